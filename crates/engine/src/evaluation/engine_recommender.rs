//! The service's own engine under evaluation: the same records, the same features
//! and the same ranker that serve.
//!
//! Items become catalogue records in the order of the data set, so that indices
//! agree; rows become rating interactions. Where rankings are asked for on the way, a model is
//! trained when the service would train one, on what has been seen so far. Only the number of trainings
//! is bounded, since years of recorded rows pass in minutes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::Candidate;
use crate::Choice;
use crate::Earlier;
use crate::Effort;
use crate::Engine;
use crate::FeatureMask;
use crate::GiveUp;
use crate::RankRequest;
use crate::RequestContext;
use crate::TrainingReport;
use crate::Unwatched;
use crate::UserContext;
use crate::Watch;
use crate::columns::index::ItemIndex;
use crate::domain::Attributes;
use crate::domain::AttributesChange;
use crate::domain::EventId;
use crate::domain::Interaction;
use crate::domain::InteractionContext;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::RulesChange;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::domain::UserUpdate;
use crate::evaluation::dataset::Dataset;
use crate::evaluation::dataset::Row;
use crate::evaluation::protocols::Protocol;
use crate::evaluation::recommender::Recommender;
use crate::features;
use crate::rank;
use crate::ranking::score_described;
use crate::train_watched;
use crate::training_is_due;

/// Least growth of a stream between two trainings while it is short...
const GROWTH_MIN: f64 = 0.15;
/// ...and most trainings of the rest of it.
const TRAININGS_MAX: u64 = 32;

/// What the engine of one run is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecommenderOptions {
    pub protocol: Protocol,
    /// A row with at least this value is a positive.
    pub positive: f32,
    /// Whether what a user had before may be recommended.
    pub repeats: bool,
    pub seed: u64,
}

/// Feeds an engine and ranks with it.
#[derive(Debug)]
pub struct EngineRecommender {
    engine: Engine,
    name: String,
    users: Arc<[UserId]>,
    items: Arc<[ItemId]>,
    learnt: u64,
    /// Rows at which a stream is trained on next, if it is due by then.
    next_training: u64,
    /// Most rows to wait for that.
    stride: u64,
    trainings: Vec<TrainingReport>,
    mask: FeatureMask,
    /// Features that rank by themselves, too.
    parts: Vec<&'static str>,
}

impl EngineRecommender {
    /// # Panics
    /// When an id of the data set is not one by the limits of the service; readers
    /// of files check that.
    pub fn new(dataset: &Dataset, options: RecommenderOptions) -> Self {
        let settings = Settings {
            rating_threshold: options.positive,
            // Nothing else tells the engine.
            recommend_seen: Some(options.repeats),
            seed: options.seed,
            ..Settings::default()
        };
        let user = |id: &String| UserId::parse(id.as_str()).expect("the reader checked the id");
        let item = |id: &str| ItemId::parse(id).expect("the reader checked the id");
        let mut recommender = Self {
            engine: Engine::new(settings),
            name: "engine".to_owned(),
            users: dataset.users.iter().map(user).collect(),
            items: dataset.items.iter().map(|entry| item(&entry.id)).collect(),
            learnt: 0,
            next_training: match options.protocol {
                // Nothing is asked on the way: a training would be for nothing.
                Protocol::Temporal | Protocol::LeaveLastOut => u64::MAX,
                Protocol::Prequential | Protocol::ColdStart => 0,
            },
            stride: (dataset.rows.len() as u64 / TRAININGS_MAX).max(1),
            trainings: Vec::new(),
            mask: FeatureMask::ALL,
            parts: Vec::new(),
        };
        for (item, entry) in dataset.items.iter().enumerate() {
            let item = Item {
                title: entry.title.clone(),
                topics: entry.topics.iter().map(|topic| topic.as_str().into()).collect(),
                source: entry.source.as_deref().map(Into::into),
                attributes: Attributes::new(BTreeMap::new()).expect("nothing is within limits"),
                ..Item::new(recommender.items[item].clone())
            };
            recommender.apply(Record::ItemUpserted(item), Timestamp::default());
        }
        for (user, attributes) in dataset.user_attributes.iter().enumerate() {
            if !attributes.is_empty() {
                let attributes = attributes.clone();
                let user_id = recommender.users[user].clone();
                let attributes =
                    AttributesChange { set: attributes, ..AttributesChange::default() };
                let rules = RulesChange::default();
                let record = Record::UserUpdated(UserUpdate { user_id, attributes, rules });
                recommender.apply(record, Timestamp::default());
            }
        }
        recommender
    }

    /// Trains as after an import; `watch` hears when parts of it begin and end.
    pub fn train_watched(&mut self, watch: &dyn Watch) {
        self.train_with(Effort::Search, watch);
    }

    fn train_with(&mut self, effort: Effort, watch: &dyn Watch) {
        let go_on = &mut |_epoch| ControlFlow::Continue(());
        let (report, trained) = train_watched(self.engine.state(), effort, go_on, watch);
        self.trainings.push(report);
        // Too little data leaves the engine as it is, and so does a model that is no better.
        if let Ok(model) = trained {
            let at = self.engine.state().clock();
            self.apply(Record::ModelPublished(model), at);
        }
    }

    /// Ranks by each of these features alone, too: plain models on the same data, at the same training.
    ///
    /// # Panics
    /// When there is no feature of such a name.
    #[must_use]
    pub fn with_parts(mut self, features: &[&'static str]) -> Self {
        assert!(features.iter().all(|name| features::feature(name).is_some()), "{features:?}");
        self.parts = features.to_vec();
        self
    }

    /// A copy that learns on its own and is never trained again.
    fn copy(&self) -> Self {
        Self {
            engine: self.engine.fork(),
            name: self.name.clone(),
            users: self.users.clone(),
            items: self.items.clone(),
            learnt: self.learnt,
            next_training: u64::MAX,
            stride: self.stride,
            trainings: Vec::new(),
            mask: self.mask,
            parts: Vec::new(),
        }
    }

    /// What each training so far tried, chose and refused.
    pub fn trainings(&self) -> &[TrainingReport] {
        &self.trainings
    }

    /// A copy that ranks without some features; `component` names them in reports.
    #[must_use]
    pub fn without(&self, component: &str, features: &[&str]) -> Self {
        let mask = FeatureMask::without(features);
        Self { name: format!("without {component}"), mask, ..self.copy() }
    }

    /// The best of `candidates` for a user at `now` as the service would list them. What explores draws by
    /// the user.
    pub fn list(&self, user: u32, now: Timestamp, candidates: &[u32], choice: Choice) -> Vec<u32> {
        let decision_id = &self.users[user as usize];
        let view = self.engine.state();
        let user = view.user_index(self.users[user as usize].as_str());
        let user = user.map(|index| view.user(index).as_ref());
        let known: Vec<Candidate<'_>> =
            candidates.iter().map(|&item| Candidate::known(view, ItemIndex::new(item))).collect();
        let request = RankRequest {
            user,
            context: &UserContext::new(view, user),
            request_context: RequestContext::at(now),
            choice,
            boosts: &[],
            own_boosts: 0,
            pins: &[],
            earlier: Earlier::default(),
            baseline: None,
            ranked_by: crate::RankedBy::default(),
            rival: None,
            unlearnt_cost: 0.0,
            explain: false,
            deviations: false,
            decision_id: decision_id.as_str(),
            give_up: &GiveUp::never(),
        };
        let ranked = rank(view, &known, &request).expect("the call is not given up");
        ranked.items.iter().map(|item| candidates[item.candidate]).collect()
    }

    /// How the service diversifies by default.
    pub fn settings(&self) -> &Settings {
        self.engine.state().settings()
    }

    fn apply(&mut self, record: Record, at: Timestamp) {
        let sequence = self.engine.state().watermark() + 1;
        let record = LogRecord { sequence, recorded_at: at, record };
        self.engine.apply(&[record]).expect("records made here are in order and readable");
    }
}

impl Recommender for EngineRecommender {
    fn name(&self) -> &str {
        &self.name
    }

    fn fork(&self) -> Box<dyn Recommender> {
        Box::new(self.copy())
    }

    fn learn(&mut self, row: &Row) {
        self.learnt += 1;
        let interaction = Interaction {
            event_id: EventId::parse(self.learnt.to_string()).expect("a number is an id"),
            user_id: self.users[row.user as usize].clone(),
            item_id: self.items[row.item as usize].clone(),
            kind: InteractionType::Rating,
            value: Some(row.value),
            occurred_at: row.at,
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        };
        self.apply(Record::Interaction(interaction), row.at);
        if self.learnt >= self.next_training && training_is_due(self.engine.state(), row.at) {
            self.train_with(Effort::WhenDue, &Unwatched);
            let growth = (self.learnt as f64 * GROWTH_MIN) as u64;
            self.next_training = self.learnt + growth.min(self.stride) + 1;
        }
    }

    fn train(&mut self) {
        self.train_with(Effort::Search, &Unwatched);
    }

    fn parts(&self) -> Vec<&'static str> {
        self.parts.clone()
    }

    fn score(&self, user: u32, now: Timestamp, scores: &mut [f32]) {
        self.score_with_parts(user, now, scores, &mut []);
    }

    fn score_with_parts(
        &self,
        user: u32,
        now: Timestamp,
        scores: &mut [f32],
        parts: &mut [Vec<f32>],
    ) {
        let view = self.engine.state();
        let user = view.user_index(self.users[user as usize].as_str());
        let user = user.map(|index| view.user(index).as_ref());
        let context = UserContext::new(view, user);
        let indices = (0..scores.len() as u32).map(ItemIndex::new);
        let candidates: Vec<Candidate<'_>> =
            indices.map(|index| Candidate::known(view, index)).collect();
        // Recorded rows say when, not where.
        let asked = RequestContext::at(now);
        let mut features = features::describe_raw(view, user, &context, &asked, &candidates);
        for (name, scores) in self.parts.iter().zip(parts) {
            let at = features::feature(name).map(|(at, _)| at).expect("checked at the begin");
            scores.iter_mut().zip(features.rows()).for_each(|(score, row)| *score = row[at]);
        }
        view.hybrid().scale().apply(&mut features);
        let ranked = score_described(view, user, &asked, &candidates, (features, self.mask));
        for (score, ranked) in scores.iter_mut().zip(ranked) {
            *score = ranked as f32;
        }
    }
}
