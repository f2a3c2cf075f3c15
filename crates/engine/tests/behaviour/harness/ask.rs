//! One call of Personalize on a world, put together as the service does it.

use std::collections::BTreeMap;

use engine::Baseline;
use engine::Candidate;
use engine::Choice;
use engine::DrawnVariant;
use engine::Earlier;
use engine::EarlierPages;
use engine::Eligibility;
use engine::Exploring;
use engine::Filter;
use engine::GiveUp;
use engine::RankRequest;
use engine::Ranked;
use engine::RankedBy;
use engine::Reason;
use engine::RequestContext;
use engine::Retrieval;
use engine::Rival;
use engine::Supply;
use engine::UserContext;
use engine::View;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::Continues;
use engine::domain::Decision;
use engine::domain::DecisionId;
use engine::domain::Division;
use engine::domain::ItemId;
use engine::domain::ListOrigin;
use engine::domain::ShownItem;
use engine::domain::TakeoverTrial;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::draw_key;
use engine::name_key;
use engine::parse_expression;
use engine::rank;
use engine::user_boosts;

use super::Strategy;
use super::World;
use super::described::text_attribute;

/// What is asked. Where nothing is said, the namespace's settings hold, as in the service,
/// but without chance.
#[derive(Debug, Clone)]
pub struct Ask {
    user: String,
    n: usize,
    strategy: Strategy,
    varied: bool,
    popular: bool,
    include_seen: Option<bool>,
    filter: Filter,
    among: Option<Vec<String>>,
    at: Option<Timestamp>,
    device: Option<String>,
    location: Option<String>,
    context_attributes: Attributes,
    caps: (u32, u32),
    threshold: Option<f64>,
    page_before: Option<String>,
    earlier: EarlierPages,
    key: String,
    rival: Option<Box<Ask>>,
}

impl Ask {
    pub fn of(user: &str, n: usize) -> Self {
        Self {
            user: user.to_owned(),
            n,
            strategy: Strategy::Greedy,
            varied: true,
            popular: false,
            include_seen: None,
            filter: Filter::default(),
            among: None,
            at: None,
            device: None,
            location: None,
            context_attributes: Attributes::default(),
            caps: (0, 0),
            threshold: None,
            page_before: None,
            earlier: EarlierPages::default(),
            key: "look".to_owned(),
            rival: None,
        }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// By relevance alone: nothing is moved to vary the list.
    pub fn plain(self) -> Self {
        Self { varied: false, ..self }
    }

    /// What a caller without an order of its own would show: the most popular items.
    pub fn popular_baseline(self) -> Self {
        Self { popular: true, ..self }
    }

    pub fn include_seen(self, include: bool) -> Self {
        Self { include_seen: Some(include), ..self }
    }

    pub fn cooldown_hours(mut self, hours: f32) -> Self {
        self.filter.seen_cooldown_hours = hours;
        self.include_seen(true)
    }

    pub fn seen_after(mut self, interactions: u32) -> Self {
        self.filter.seen_after_sessions = interactions;
        self.include_seen(true)
    }

    /// No item more often than this in 24 hours.
    pub fn capped(mut self, times: u32) -> Self {
        self.filter.frequency_cap_per_day = times;
        self
    }

    pub fn topic(mut self, topic: &str) -> Self {
        self.filter.topics.push(topic.into());
        self.filter.topics.sort_unstable();
        self
    }

    pub fn source(mut self, source: &str) -> Self {
        self.filter.sources.push(source.into());
        self.filter.sources.sort_unstable();
        self
    }

    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        let value = AttributeValue::Text(value.to_owned());
        let values = BTreeMap::from([(name.to_owned(), value)]);
        self.filter.attributes = Attributes::new(values).expect("short attributes");
        self
    }

    pub fn expression(mut self, text: &str) -> Self {
        self.filter.expression = Some(parse_expression(text).expect("a filter expression"));
        self
    }

    /// Only these items.
    pub fn among<T: AsRef<str>>(self, items: &[T]) -> Self {
        let among = items.iter().map(|item| item.as_ref().to_owned()).collect();
        Self { among: Some(among), ..self }
    }

    /// A second ranking that fills the list in turns.
    pub fn against(self, rival: Ask) -> Self {
        Self { rival: Some(Box::new(rival)), ..self }
    }

    /// The variant of the first page.
    pub fn drawn_before(&self) -> Option<DrawnVariant> {
        self.earlier.drawn
    }

    /// For another time than now.
    pub fn at(self, at: Timestamp) -> Self {
        Self { at: Some(at), ..self }
    }

    pub fn device(self, device: &str) -> Self {
        Self { device: Some(device.to_owned()), ..self }
    }

    /// With a text attribute in the request context.
    pub fn in_context(self, name: &str, value: &str) -> Self {
        Self { context_attributes: text_attribute(name, value), ..self }
    }

    pub fn location(self, location: &str) -> Self {
        Self { location: Some(location.to_owned()), ..self }
    }

    /// Names the draws: another key is another chance.
    pub fn keyed(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// At most so many items of one topic, and of one source.
    pub fn at_most(self, per_topic: u32, per_source: u32) -> Self {
        Self { caps: (per_topic, per_source), ..self }
    }

    /// No topic has more than 1 - this share of the positions.
    pub fn topic_threshold(self, threshold: f64) -> Self {
        Self { threshold: Some(threshold), ..self }
    }

    /// The page after another one.
    pub fn after(self, page: &Answer) -> Self {
        let shown = page.list.iter().map(|one| name_key(&one.item));
        let items = page.earlier.items.iter().copied().chain(shown).collect();
        let drawn = match page.decision.division.as_deref() {
            Some(&Division::Drawn { experiment, variant, .. }) => {
                Some(DrawnVariant { experiment, variant })
            }
            _ => page.earlier.drawn,
        };
        let pinned = Vec::new();
        let earlier = EarlierPages { items, pinned, origin: page.origin, drawn };
        Self { page_before: Some(page.decision_id.clone()), earlier, ..self }
    }

    fn choice(&self, view: &View) -> Choice {
        let settings = view.request_settings();
        let varied = if self.varied { 1.0 } else { 0.0 };
        Choice {
            strategy: self.strategy,
            epsilon: f64::from(settings.epsilon),
            exploring: Exploring::of(&settings.ranker),
            method: settings.diversity_method,
            diversity_weight: varied * f64::from(settings.diversity_weight),
            serendipity_weight: varied * f64::from(settings.serendipity_weight),
            novelty_weight: varied * f64::from(settings.novelty_weight),
            topic_threshold: self
                .threshold
                .unwrap_or(varied * f64::from(settings.topic_diversity_threshold)),
            source_threshold: 0.0,
            max_per_topic: self.caps.0,
            max_per_source: self.caps.1,
            positions: self.n,
        }
    }

    fn filter(&self, view: &View) -> Filter {
        let settings = view.request_settings();
        let learnt = settings.recommend_seen == Some(true);
        Filter { include_seen: self.include_seen.unwrap_or(learnt), ..self.filter.clone() }
    }
}

/// An item of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    pub item: String,
    pub score: f64,
    pub propensity: f64,
    /// Which of two rankings chose it.
    pub by: usize,
    /// Parts of the score by name.
    pub components: BTreeMap<String, f64>,
    pub reasons: Vec<Reason>,
}

/// One of the candidates of an answer.
#[derive(Debug, Clone)]
pub struct Considered {
    pub item: String,
    pub score: f64,
    /// Of the expected reward.
    pub deviation: f64,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub decision_id: String,
    pub user: String,
    pub list: Vec<Listed>,
    /// All that stood to choose from.
    pub candidates: Vec<Considered>,
    /// What the pages before showed.
    earlier: EarlierPages,
    origin: Option<ListOrigin>,
    pub(super) decision: Decision,
}

impl Answer {
    pub fn items(&self) -> Vec<String> {
        self.list.iter().map(|one| one.item.clone()).collect()
    }

    /// The candidate of this id.
    ///
    /// # Panics
    /// Where it was none.
    pub fn candidate(&self, item: &str) -> &Considered {
        let found = self.candidates.iter().find(|one| one.item == item);
        found.unwrap_or_else(|| panic!("{item} is no candidate of {:?}", self.candidates))
    }

    /// The feature vectors that are recorded with the list.
    pub fn features(&self) -> impl Iterator<Item = &[f32]> {
        self.decision.shown.iter().map(|shown| &shown.features[..])
    }
}

impl World {
    /// Answers without recording anything.
    pub fn answer(&self, ask: &Ask) -> Answer {
        self.work_out(ask, |view, retrieval, supply, request| {
            let mut indices = match &ask.among {
                None => retrieval.run(supply).expect("nobody gives up"),
                Some(items) => items.iter().filter_map(|item| view.item_index(item)).collect(),
            };
            if ask.among.is_some() {
                indices.retain(|&index| retrieval.eligible.allows(view.entry(index), Some(index)));
            }
            let candidates: Vec<Candidate<'_>> =
                indices.iter().map(|&index| Candidate::known(view, index)).collect();
            let ranked = rank(view, &candidates, request).expect("nobody gives up");
            let ids: Vec<&str> =
                indices.iter().map(|&index| view.item_id(index).expect("a known item")).collect();
            put_together(view, ask, request, &ids, ranked)
        })
    }

    /// What retrieval finds for a user, in no order.
    pub fn retrieved(&self, ask: &Ask) -> Vec<String> {
        self.work_out(ask, |view, retrieval, supply, _request| {
            let found = retrieval.run(supply).expect("nobody gives up");
            found
                .into_iter()
                .map(|index| view.item_id(index).expect("a known item").to_owned())
                .collect()
        })
    }

    fn work_out<T>(
        &self,
        ask: &Ask,
        go: impl FnOnce(&View, &Retrieval<'_>, &Supply<'_>, &RankRequest<'_>) -> T,
    ) -> T {
        let view = self.view();
        let now = ask.at.unwrap_or(self.now());
        let user = view.profiled(&ask.user);
        let rules = view.user_rules(&ask.user);
        let boosts = rules.map_or_else(Vec::new, |rules| user_boosts(rules, now));
        let context = UserContext::new(view, user);
        let (choice, filter, give_up) = (ask.choice(view), ask.filter(view), GiveUp::never());
        let eligible = Eligibility::new(view, &filter, &ask.user, &context, now, &[])
            .after(&ask.earlier.items);
        let above = ask.earlier.items.iter().filter_map(|key| view.item_of_key(*key));
        let above: Vec<Candidate<'_>> = above.map(|index| Candidate::known(view, index)).collect();
        let values = view.context_values(ask.location.as_deref(), &ask.context_attributes);
        let retrieval = Retrieval {
            view,
            user,
            context: &context,
            eligible: &eligible,
            values,
            now,
            seed_key: &draw_key(view.user_key(&ask.user), now),
            give_up: &give_up,
        };
        let baseline = ask.popular.then_some(Baseline::Popular);
        let rival = ask.rival.as_ref().map(|rival| Rival {
            choice: rival.choice(view),
            boosts: boosts.clone(),
            ranked_by: RankedBy { popular: rival.popular, ..RankedBy::default() },
        });
        let request = RankRequest {
            user,
            context: &context,
            request_context: RequestContext {
                now,
                utc_offset_minutes: 0,
                device: ask.device.as_ref().and_then(|device| view.device_index(device)),
                values,
            },
            choice,
            boosts: &boosts,
            own_boosts: boosts.len(),
            pins: &[],
            earlier: Earlier { items: &above, origin: ask.earlier.origin },
            baseline: baseline.as_ref(),
            ranked_by: RankedBy::default(),
            rival: rival.as_ref(),
            unlearnt_cost: 0.0,
            explain: true,
            deviations: true,
            decision_id: &ask.key,
            give_up: &give_up,
        };
        go(view, &retrieval, &Supply::of(&choice, &above, &boosts), &request)
    }
}

fn put_together(
    view: &View,
    ask: &Ask,
    request: &RankRequest<'_>,
    ids: &[&str],
    ranked: Ranked,
) -> Answer {
    let shown = ranked.items.iter().map(|item| ShownItem {
        item_id: ItemId::parse(ids[item.candidate]).expect("an id"),
        score: item.estimate as f32,
        propensity: item.propensity as f32,
        features: item.features.clone(),
    });
    let trial = ranked.trial.as_ref().map(|trial| TakeoverTrial {
        round: trial.round,
        origin: trial.origin,
        chances: trial.chances,
        positions: trial.positions,
        same_position: trial.same_position,
        in_both: trial.in_both,
        same_first: trial.same_first,
        expected_gain: trial.expected_gain as f32,
        difference: trial.difference.clone(),
    });
    let decision = Decision {
        decision_id: DecisionId::parse(ask.key.as_str()).expect("an id"),
        user_id: UserId::parse(ask.user.as_str()).expect("an id"),
        decided_at: request.request_context.now,
        strategy: request.choice.strategy,
        epsilon: request.choice.epsilon as f32,
        model_version: view.model_version(),
        watermark: view.watermark(),
        candidates: ids.len() as u32,
        segment: ranked.segment,
        layout: view.ranker().layout().clone(),
        shown: shown.collect(),
        exploration_cost: ranked.exploration_cost as f32,
        trial: trial.map(Box::new),
        assignments: Vec::new(),
        division: None,
        continues: ask.page_before.as_ref().map(|page| {
            let decision_id = DecisionId::parse(page.as_str()).expect("an id");
            Box::new(Continues { decision_id, origin: ranked.origin })
        }),
        detail: None,
    };
    let listed = |item: &engine::RankedItem| Listed {
        item: ids[item.candidate].to_owned(),
        score: item.score,
        propensity: item.propensity,
        by: item.by,
        components: item.components.iter().map(|(name, part)| (name.to_string(), *part)).collect(),
        reasons: item.reasons.clone(),
    };
    let numbers = ranked.scores.iter().zip(&ranked.deviations);
    let considered = |(id, (score, deviation)): (&&str, (&f64, &f64))| Considered {
        item: id.to_string(),
        score: *score,
        deviation: *deviation,
    };
    Answer {
        decision_id: ask.key.clone(),
        user: ask.user.clone(),
        list: ranked.items.iter().map(listed).collect(),
        candidates: ids.iter().zip(numbers).map(considered).collect(),
        earlier: ask.earlier.clone(),
        origin: ranked.origin,
        decision,
    }
}
