//! Behaviour of trainings in planted worlds: does the better model come to serve?

mod published;
mod streams;

use std::ops::ControlFlow;

use crate::Engine;
use crate::domain::EventId;
use crate::domain::Interaction;
use crate::domain::InteractionContext;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::LogRecord;
use crate::domain::PublishedModel;
use crate::domain::Record;
use crate::domain::Settings;
use crate::domain::SettingsChange;
use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::learning::Effect;
use crate::seed;
use crate::training::Effort;
use crate::training::TrainingError;
use crate::training::TrainingReport;
use crate::training::train_and_tell;

const TASTES: usize = 6;
const USERS: usize = 160;

/// A stream of likes: users have a taste each, items have one each, and nine likes in ten are of
/// the user's taste, newer items more often.
pub(super) struct Planted {
    rng: rand_chacha::ChaCha8Rng,
    pub(super) engine: Engine,
    pub(super) seconds: i64,
    items: usize,
    tastes: Vec<usize>,
    /// Which item is at each slot; slot `s` is of taste `s % TASTES`.
    slots: Vec<usize>,
    /// By user, so that no user likes an item twice.
    had: Vec<Vec<usize>>,
    /// All likes: the time before, user, item.
    pub(super) likes: Vec<(i64, usize, usize)>,
}

impl Planted {
    pub(super) fn new(seed: u64, items: usize) -> Self {
        let rng = seed::stream(seed, seed::Purpose::Choose, b"planted");
        let mut planted = Self {
            rng,
            engine: Engine::new(Settings::default()),
            seconds: 1_700_000_000,
            items: 0,
            tastes: (0..USERS).map(|user| user % TASTES).collect(),
            slots: Vec::new(),
            had: vec![Vec::new(); USERS],
            likes: Vec::new(),
        };
        planted.settings(|settings| settings);
        for _ in 0..items {
            planted.item();
        }
        planted
    }

    /// Small models, so that tests take seconds.
    fn settings(&mut self, change: impl Fn(Settings) -> Settings) {
        let settings =
            Settings { collaborative_factors: 16, search_trials: 8, ..Settings::default() };
        let (settings, replaces) = (change(settings), self.engine.state().settings_at());
        self.push(Record::SettingsSet(SettingsChange { settings, replaces }));
    }

    fn push(&mut self, record: Record) -> Vec<Effect> {
        self.seconds += 60;
        let sequence = self.engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_seconds(self.seconds);
        self.engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap()
    }

    fn item(&mut self) {
        let item_id = item_id(self.items);
        self.slots.push(self.items);
        self.items += 1;
        self.push(Record::ItemUpserted(Item::new(item_id)));
    }

    fn below(&mut self, bound: usize) -> usize {
        seed::below(&mut self.rng, bound)
    }

    /// One like of a random user.
    pub(super) fn like(&mut self) {
        let user = self.below(USERS);
        let (items, taste) = (self.items / TASTES, self.tastes[user]);
        for _ in 0..20 {
            let newest = self.below(items).max(self.below(items));
            let taste = if self.below(10) == 0 { self.below(TASTES) } else { taste };
            let item = self.slots[newest * TASTES + taste];
            if !self.had[user].contains(&item) {
                self.had[user].push(item);
                self.likes.push((self.seconds, user, item));
                self.like_of(user, &item_id(item));
                return;
            }
        }
    }

    pub(super) fn like_of(&mut self, user: usize, item_id: &ItemId) {
        self.push(Record::Interaction(Interaction {
            event_id: EventId::parse(format!("e{}", self.seconds)).unwrap(),
            user_id: UserId::parse(format!("u{user}")).unwrap(),
            item_id: item_id.clone(),
            kind: InteractionType::Like,
            value: None,
            occurred_at: Timestamp::from_seconds(self.seconds + 60),
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        }));
    }

    fn train(&self, effort: Effort) -> (TrainingReport, Result<PublishedModel, TrainingError>) {
        train_and_tell(self.engine.state(), effort, &mut |_| ControlFlow::Continue(()))
    }

    fn publish(&mut self, model: PublishedModel) {
        let version = model.version;
        let effects = self.push(Record::ModelPublished(model));
        assert_eq!(effects, [Effect::ModelSwitched { version }]);
    }
}

pub(super) fn item_id(number: usize) -> ItemId {
    ItemId::parse(format!("i{number}")).unwrap()
}
