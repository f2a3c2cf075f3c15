//! A namespace with its clock: everything that happens in it is a record of the log.

use std::ops::ControlFlow;

use engine::Effect;
use engine::Effort;
use engine::Eligibility;
use engine::Engine;
use engine::Filter;
use engine::TrainingError;
use engine::UserContext;
use engine::View;
use engine::domain::Assignment;
use engine::domain::DecisionId;
use engine::domain::Division;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::ItemField;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LanguageTag;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Settings;
use engine::domain::SettingsChange;
use engine::domain::Timestamp;
use engine::domain::UserUpdate;
use engine::train;

use super::Answer;
use super::Ask;
use super::Described;
use super::Event;
use super::Kind;
use super::Random;
use super::SetFor;
use super::described::item_id;
use super::described::user_id;

/// When a world begins: 2026-03-02T08:00:00Z, a Monday.
const BEGINNING: Timestamp = Timestamp::from_seconds(1_772_438_400);

/// The defaults, but for the size of models: small enough to train in a test.
pub fn quick_settings() -> Settings {
    Settings { collaborative_factors: 16, search_trials: 1, ..Settings::default() }
}

pub struct World {
    engine: Engine,
    now: Timestamp,
    events: u64,
    decisions: u64,
    /// Its records; none, unless they are kept.
    log: Option<Vec<LogRecord>>,
    pub random: Random,
}

impl World {
    pub fn new() -> Self {
        Self::with(quick_settings())
    }

    /// A world whose settings are a record of its log.
    pub fn with(settings: Settings) -> Self {
        let engine = Engine::new(Settings::default());
        let random = Random::new(settings.seed);
        let (now, log) = (BEGINNING, None);
        let mut world = Self { engine, now, events: 0, decisions: 0, log, random };
        world.set(settings);
        world
    }

    /// A second world that goes on from this one on its own.
    pub fn fork(&self) -> Self {
        let (engine, random) = (self.engine.fork(), self.random.clone());
        Self { engine, log: self.log.clone(), random, ..*self }
    }

    /// The same with its records from the first one on, so that they can be read again.
    pub fn with_log() -> Self {
        let mut world = Self::new();
        let settings = SettingsChange { settings: world.settings(), replaces: 0 };
        let record = Record::SettingsSet(settings);
        world.log = Some(vec![LogRecord { sequence: 1, recorded_at: BEGINNING, record }]);
        world
    }

    /// Its records so far.
    pub fn log(&self) -> &[LogRecord] {
        self.log.as_deref().expect("a world that keeps its log")
    }

    pub fn view(&self) -> &View {
        self.engine.state()
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// So many hours from now; before now where negative.
    pub fn in_hours(&self, hours: f64) -> Timestamp {
        self.now.plus_millis((hours * Timestamp::HOUR_MS as f64) as i64)
    }

    pub fn pass_hours(&mut self, hours: f64) {
        self.now = self.in_hours(hours);
    }

    pub fn pass_seconds(&mut self, seconds: f64) {
        self.pass_hours(seconds / 3_600.0);
    }

    /// Appends a record at the world's time.
    pub fn record(&mut self, record: Record) -> Vec<Effect> {
        let sequence = self.view().watermark() + 1;
        let record = LogRecord { sequence, recorded_at: self.now, record };
        let effects = self.engine.apply(std::slice::from_ref(&record));
        self.log.iter_mut().for_each(|log| log.push(record.clone()));
        effects.expect("records follow one another")
    }

    pub fn set(&mut self, settings: Settings) {
        let settings = settings.check().expect("settings within their ranges");
        let replaces = self.view().settings_at();
        self.record(Record::SettingsSet(SettingsChange { settings, replaces }));
    }

    pub fn settings(&self) -> Settings {
        self.view().settings().clone()
    }

    pub fn add(&mut self, item: Described) {
        self.record(Record::ItemUpserted(item.0));
    }

    /// Changes some fields of an item of the catalogue to those of `values`.
    pub fn patch(&mut self, fields: &[&str], values: Described) {
        let fields = fields.iter().map(|name| ItemField::named(name).expect("a field"));
        let mask = ItemMask { fields: fields.collect(), ..ItemMask::default() };
        self.record(Record::ItemPatched(ItemPatch { mask, values: values.0 }));
    }

    /// Changes one attribute of an item.
    pub fn patch_attribute(&mut self, name: &str, values: Described) {
        let mask = ItemMask { attributes: [name.into()].into(), ..ItemMask::default() };
        self.record(Record::ItemPatched(ItemPatch { mask, values: values.0 }));
    }

    /// Changes the text of an item in one language.
    pub fn patch_language(&mut self, tag: &str, values: Described) {
        let tag = LanguageTag::parse(tag).expect("a tag");
        let mask = ItemMask { localized: [tag].into(), ..ItemMask::default() };
        self.record(Record::ItemPatched(ItemPatch { mask, values: values.0 }));
    }

    /// An item as the catalogue has it.
    pub fn described(&self, item: &str) -> Option<Described> {
        let entry = self.view().catalogue_item(item)?;
        entry.item.as_deref().cloned().map(Described)
    }

    /// The items most similar to one, the most similar first.
    pub fn similar(&self, item: &str, n: usize) -> Vec<String> {
        self.similarities(item, n).into_iter().map(|one| one.0).collect()
    }

    /// The same with the part of the texts in each similarity.
    pub fn similarities(&self, item: &str, n: usize) -> Vec<(String, f64)> {
        let view = self.view();
        let index = view.item_index(item).expect("a known item");
        let similar = engine::similar_items(view, index, self.now, n).into_iter();
        let named = |one: engine::SimilarItem| {
            let id = view.item_id(one.index).expect("a known item");
            (id.to_owned(), one.components["content"])
        };
        similar.map(named).collect()
    }

    /// What a new user would be asked about.
    pub fn onboarding(&self, n: usize) -> Vec<String> {
        let (view, nobody, filter) = (self.view(), UserContext::default(), Filter::default());
        let eligible = Eligibility::new(view, &filter, "", &nobody, self.now, &[]);
        let picked = engine::onboarding_items(view, &eligible, n).into_iter();
        let id = |index| view.item_id(index).expect("a known item").to_owned();
        picked.map(|one| id(one.index)).collect()
    }

    pub fn delete(&mut self, item: &str) {
        self.record(Record::ItemDeleted(item_id(item)));
    }

    /// What is set for a user changes.
    pub fn update(&mut self, user: &str, change: SetFor) {
        let SetFor { attributes, rules } = change;
        self.record(Record::UserUpdated(UserUpdate { user_id: user_id(user), attributes, rules }));
    }

    /// Two ids of one person are one user from now on.
    pub fn merge(&mut self, from: &str, into: &str) {
        self.record(Record::UsersMerged { from: user_id(from), into: user_id(into) });
    }

    pub fn erase(&mut self, user: &str) {
        self.record(Record::UserErased(user_id(user)));
    }

    /// A second world, which has learnt the log of this one with placeholders for all records of
    /// users with these ids.
    pub fn replayed_without(&self, ids: &[&str]) -> Self {
        let mut log = self.log().to_vec();
        for record in &mut log {
            if record.record.user_ids().any(|id| ids.contains(&id.as_str())) {
                record.record = Record::Placeholder;
            }
        }
        let mut engine = Engine::new(Settings::default());
        engine.apply(&log).expect("placeholders keep the sequence");
        Self { engine, log: Some(log), random: self.random.clone(), ..*self }
    }

    pub fn happens(&mut self, event: Event) {
        let record = self.interaction(event);
        self.record(record);
    }

    /// Many events of the same moment, learnt as one batch.
    pub fn happen(&mut self, events: impl IntoIterator<Item = Event>) {
        let recorded_at = self.now;
        let records: Vec<Record> = events.into_iter().map(|one| self.interaction(one)).collect();
        let sequences = self.view().watermark() + 1..;
        let batch: Vec<LogRecord> = sequences
            .zip(records)
            .map(|(sequence, record)| LogRecord { sequence, recorded_at, record })
            .collect();
        self.engine.apply(&batch).expect("records follow one another");
        self.log.iter_mut().for_each(|log| log.extend_from_slice(&batch));
    }

    fn interaction(&mut self, event: Event) -> Record {
        self.events += 1;
        let Event { user, item, kind, value, at, answer, context } = event;
        let event_id = EventId::parse(format!("event-{}", self.events)).expect("an id");
        let decision_id = answer.map(|id| DecisionId::parse(id).expect("an id"));
        Record::Interaction(Interaction {
            event_id,
            user_id: user_id(&user),
            item_id: item_id(&item),
            kind,
            value,
            occurred_at: at.unwrap_or(self.now),
            session_id: None,
            decision_id,
            position: None,
            context,
        })
    }

    pub fn click(&mut self, user: &str, item: &str) {
        self.happens(Event::of(user, item, Kind::Click));
    }

    pub fn like(&mut self, user: &str, item: &str) {
        self.happens(Event::of(user, item, Kind::Like));
    }

    pub fn hide(&mut self, user: &str, item: &str) {
        self.happens(Event::of(user, item, Kind::Hide));
    }

    pub fn skip(&mut self, user: &str, item: &str) {
        self.happens(Event::of(user, item, Kind::Skip));
    }

    pub fn purchase(&mut self, user: &str, item: &str) {
        self.happens(Event::of(user, item, Kind::Purchase));
    }

    pub fn impression(&mut self, user: &str, item: &str) {
        self.happens(Event::of(user, item, Kind::Impression));
    }

    pub fn dwell(&mut self, user: &str, item: &str, seconds: f32) {
        self.happens(Event::of(user, item, Kind::Dwell).value(seconds));
    }

    /// What the user of an answer does with one of its items.
    pub fn reacts(&mut self, answer: &Answer, item: &str, kind: Kind) {
        self.happens(Event::of(&answer.user, item, kind).to(answer));
    }

    /// An answer that is recorded, as the service records each.
    pub fn decide(&mut self, ask: Ask) -> Answer {
        self.decide_with(ask, Vec::new(), None)
    }

    /// The same where variants of experiments acted on it.
    pub fn decide_with(
        &mut self,
        ask: Ask,
        assignments: Vec<Assignment>,
        division: Option<Division>,
    ) -> Answer {
        let id = self.next_decision_id();
        self.decisions += 1;
        let mut answer = self.answer(&ask.keyed(&id));
        let by: Vec<Option<u8>> = answer.list.iter().map(|one| Some(one.by as u8)).collect();
        answer.decision.assignments = assignments;
        answer.decision.division = division.map(|division| {
            Box::new(match division {
                Division::InTurns { experiment, .. } => {
                    Division::InTurns { experiment, chosen_by: by }
                }
                drawn @ Division::Drawn { .. } => drawn,
            })
        });
        self.record(Record::Decision(answer.decision.clone()));
        answer
    }

    /// The id of the next decision.
    pub(super) fn next_decision_id(&self) -> String {
        format!("decision-{}", self.decisions)
    }

    /// Records an answer again under an id of its own, as if it had been given to this user.
    pub fn repeat_decision(&mut self, answer: &Answer, user: &str) -> Answer {
        let mut again = answer.clone();
        again.decision_id = format!("decision-{}", self.decisions);
        again.user = user.to_owned();
        self.decisions += 1;
        let decision = &mut again.decision;
        decision.decision_id = DecisionId::parse(again.decision_id.as_str()).expect("an id");
        (decision.user_id, decision.decided_at) = (user_id(user), self.now);
        self.record(Record::Decision(decision.clone()));
        again
    }

    /// What a user would be shown now, best first: the defaults of the service without chance.
    pub fn top(&self, user: &str, n: usize) -> Vec<String> {
        self.answer(&Ask::of(user, n)).items()
    }

    /// The same by relevance alone: nothing is moved to vary the list.
    pub fn best(&self, user: &str, n: usize) -> Vec<String> {
        self.answer(&Ask::of(user, n).plain()).items()
    }

    /// Trains and publishes as the service does when a training is due.
    ///
    /// # Errors
    /// Why nothing was published.
    pub fn train(&mut self) -> Result<(), TrainingError> {
        self.train_with(Effort::WhenDue)
    }

    /// The same when an operator asks for a training: with a search.
    ///
    /// # Errors
    /// As [`Self::train`].
    pub fn train_with_search(&mut self) -> Result<(), TrainingError> {
        self.train_with(Effort::Search)
    }

    fn train_with(&mut self, effort: Effort) -> Result<(), TrainingError> {
        let model = train(self.view(), effort, &mut |_| ControlFlow::Continue(()))?;
        let effects = self.record(Record::ModelPublished(model));
        let switched = effects.iter().any(|one| matches!(one, Effect::ModelSwitched { .. }));
        assert!(switched, "the model was not taken: {effects:?}");
        Ok(())
    }

    /// A second world that was restored from a snapshot of this one.
    pub fn restored(&self) -> Self {
        let engine = Engine::restore(self.view().sections()).expect("an own snapshot");
        Self { engine, log: self.log.clone(), random: self.random.clone(), ..*self }
    }
}
