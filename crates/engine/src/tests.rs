//! The engine as a state machine: replay, snapshots, learning.

mod consumptions;
mod credit;
mod decay;
mod decisions;
mod experiments;
mod explanations;
mod exploration;
mod forgetting;
mod merging;
mod models;
mod pages;
mod ranker;
mod snapshots;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;

use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::AttributesChange;
use crate::domain::Continues;
use crate::domain::Decision;
use crate::domain::DecisionId;
use crate::domain::EventId;
use crate::domain::Interaction;
use crate::domain::InteractionContext;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::ItemField;
use crate::domain::ItemId;
use crate::domain::ItemMask;
use crate::domain::ItemPatch;
use crate::domain::LanguageTag;
use crate::domain::ListChange;
use crate::domain::ListOrigin;
use crate::domain::LocalizedText;
use crate::domain::LogRecord;
use crate::domain::Mute;
use crate::domain::Record;
use crate::domain::RuleTarget;
use crate::domain::RulesChange;
use crate::domain::SettingsChange;
use crate::domain::ShownItem;
use crate::domain::Strategy;
use crate::domain::TakeoverChange;
use crate::domain::TakeoverTrial;
use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::domain::UserUpdate;
use crate::models::contexts::RequestValues;
use crate::ranking::RANKER_DIMENSION;
use crate::ranking::ranker_prior;
use crate::*;

const ITEMS: usize = 60;

/// A small seeded world: users of two tastes, films of two genres, every kind of
/// record.
struct World {
    rng: rand_chacha::ChaCha8Rng,
    records: Vec<LogRecord>,
    /// Decisions that interactions may name: id, user, items shown.
    decisions: Vec<(DecisionId, UserId, Vec<ItemId>)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = seed::stream(seed, seed::Purpose::Choose, b"world");
        Self { rng, records: Vec::new(), decisions: Vec::new() }
    }

    fn push(&mut self, record: Record) {
        let sequence = self.records.len() as u64 + 1;
        let recorded_at = Timestamp::from_seconds(1_700_000_000 + sequence as i64);
        self.records.push(LogRecord { sequence, recorded_at, record });
    }

    fn below(&mut self, bound: usize) -> usize {
        seed::below(&mut self.rng, bound)
    }

    fn catalogue(&mut self) {
        for number in 0..ITEMS {
            let genre = if number % 2 == 0 { "comedy" } else { "drama" };
            self.push(Record::ItemUpserted(Item {
                title: format!("Film {number} {genre}"),
                topics: vec![genre.into()],
                source: Some(if number % 3 == 0 { "a" } else { "b" }.into()),
                published_at: Some(Timestamp::from_seconds(1_690_000_000 + number as i64)),
                ..Item::new(item_id(number))
            }));
        }
    }

    /// User `n` likes items of the parity of `n`, mostly.
    fn interaction(&mut self) {
        let user = self.below(30);
        let mut number = self.below(ITEMS / 2) * 2 + user % 2;
        let mut kind = InteractionType::ALL[self.below(11)];
        if self.below(10) == 0 {
            number = self.below(ITEMS);
        }
        if self.below(3) > 0 {
            kind = InteractionType::Like;
        }
        let mut subject = (None, user_id(user), item_id(number));
        if self.below(3) == 0 && !self.decisions.is_empty() {
            let decision = self.below(self.decisions.len());
            let position = self.below(5);
            let (decision_id, user_id, shown) = &self.decisions[decision];
            subject = (Some(decision_id.clone()), user_id.clone(), shown[position].clone());
        }
        let (decision_id, user_id, item_id) = subject;
        let occurred_at = 1_700_000_000 + self.below(5_000_000) as i64 - 4_000_000;
        let event_id = EventId::parse(format!("e{}", self.records.len())).unwrap();
        self.push(Record::Interaction(Interaction {
            event_id,
            user_id,
            item_id,
            kind,
            value: kind.needs_value().then_some(4.0),
            occurred_at: Timestamp::from_seconds(occurred_at),
            session_id: None,
            decision_id,
            position: None,
            context: InteractionContext {
                device_type: Some("phone".into()),
                ..InteractionContext::default()
            },
        }));
    }

    fn decision(&mut self) {
        let shown: Vec<ItemId> = (0..5).map(|_| item_id(self.below(ITEMS))).collect();
        let (decision_id, user_id) = (decision_id(self.decisions.len()), user_id(self.below(30)));
        self.decisions.push((decision_id.clone(), user_id.clone(), shown.clone()));
        let number = self.decisions.len();
        let before = (number > 2 && number % 4 == 1).then(|| &self.decisions[number - 2]);
        let continues = before.map(|(decision_id, ..)| {
            let (decision_id, origin) = (decision_id.clone(), Some(ListOrigin::Ranker));
            Box::new(Continues { decision_id, origin })
        });
        let runs = |one: &LogRecord| matches!(one.record, Record::ExperimentChanged(_));
        let assignments = match self.records.iter().any(runs) {
            true => experiments::assigned(user_id.as_str()),
            false => Vec::new(),
        };
        let decision = Decision {
            decision_id,
            user_id,
            decided_at: Timestamp::from_seconds(1_700_000_000),
            strategy: Strategy::EpsilonGreedy,
            epsilon: 0.1,
            segment: 3,
            layout: ranker_prior().layout,
            model_version: 0,
            watermark: 1,
            candidates: 10,
            exploration_cost: 0.01,
            trial: self.decisions.len().is_multiple_of(2).then(|| Box::new(self.trial())),
            assignments,
            division: None,
            continues,
            detail: None,
            shown: shown
                .into_iter()
                .enumerate()
                .map(|(position, item_id)| ShownItem {
                    item_id,
                    score: 0.5,
                    propensity: 0.9,
                    features: (0..RANKER_DIMENSION).map(|f| (f + position) as f32 / 10.0).collect(),
                })
                .collect(),
        };
        self.push(Record::Decision(decision));
    }

    fn trial(&mut self) -> TakeoverTrial {
        TakeoverTrial {
            round: 0,
            origin: ListOrigin::ALL[self.below(3)],
            chances: [0.4, 0.4, 0.2],
            positions: 5,
            same_position: self.below(5) as u32,
            in_both: 5,
            same_first: self.below(2) == 0,
            expected_gain: 0.25,
            difference: vec![0.5; RANKER_DIMENSION],
        }
    }

    fn user_update(&mut self) {
        let country = ["DE", "FR"][self.below(2)].to_owned();
        let values = BTreeMap::from([("country".to_owned(), AttributeValue::Text(country))]);
        let attributes = Attributes::new(values).unwrap();
        let user_id = user_id(self.below(30));
        let attributes = AttributesChange { replaces: true, set: attributes, remove: Vec::new() };
        let add = vec![item_id(self.below(ITEMS)).as_str().into()];
        let blocked_items = ListChange { replaces: self.below(4) == 0, add, remove: Vec::new() };
        let target = RuleTarget::Topic("drama".into());
        let until = Timestamp::from_seconds(1_700_000_030 + self.records.len() as i64);
        let add = vec![Mute { target, until: Some(until) }];
        let mutes = ListChange { add, ..ListChange::default() };
        let non_profiled = Some(self.below(8) == 0);
        let rules = RulesChange { blocked_items, mutes, non_profiled, ..RulesChange::default() };
        self.push(Record::UserUpdated(UserUpdate { user_id, attributes, rules }));
    }

    fn merge(&mut self) {
        let (from, into) = (user_id(self.below(30)), user_id(self.below(30)));
        self.push(Record::UsersMerged { from, into });
    }

    /// Changes an item in one of several ways; some break a bound of the item.
    fn patch(&mut self) {
        let number = self.below(ITEMS);
        let german = || LanguageTag::parse("de").unwrap();
        let bare = Item::new(item_id(number));
        let fields = |field: ItemField| ItemMask { fields: [field].into(), ..Default::default() };
        let (mask, values) = match self.below(4) {
            0 => (fields(ItemField::Hidden), Item { hidden: self.below(2) == 0, ..bare }),
            1 => {
                let seconds = 1_690_000_000 - 50 + self.below(14_000_000) as i64;
                let expires_at = Some(Timestamp::from_seconds(seconds));
                (fields(ItemField::ExpiresAt), Item { expires_at, ..bare })
            }
            2 => {
                let title = format!("Film {} auf Deutsch", self.below(9));
                let text = LocalizedText { title, ..Default::default() };
                let mask = ItemMask { localized: [german()].into(), ..Default::default() };
                (mask, Item { localized: [(german(), text)].into(), ..bare })
            }
            _ => {
                let title = format!("Film {}", self.below(9));
                (fields(ItemField::Title), Item { title, ..bare })
            }
        };
        self.push(Record::ItemPatched(ItemPatch { mask, values }));
    }

    /// Everything mixed, with a model published in the middle.
    fn history(seed: u64, length: usize) -> Vec<LogRecord> {
        let mut world = Self::new(seed);
        world.catalogue();
        world.push(experiments::running());
        for step in 0..length {
            match world.below(20) {
                0 => world.user_update(),
                1 | 2 => world.decision(),
                3 if step > length / 2 => {
                    let number = world.below(ITEMS);
                    world.push(Record::ItemDeleted(item_id(number)));
                }
                4 if step % 4 == 0 => world.merge(),
                3 | 4 => world.patch(),
                _ => world.interaction(),
            }
            if step == length / 2 {
                let mut engine = applied(&world.records);
                world.push(experiments::measured_further(&engine));
                engine.apply(&world.records[world.records.len() - 1..]).unwrap();
                world.push(experiments::backfilled(&engine, &world.records));
                world.push(Record::TakeoverChanged(TakeoverChange {
                    share: Some(0.6),
                    reward_window_seconds: Some(30),
                    ..TakeoverChange::default()
                }));
                let settings =
                    Settings { collaborative_factors: 16, epsilon: 0.2, ..Settings::default() };
                world.push(Record::SettingsSet(SettingsChange { settings, replaces: 0 }));
                if let Ok(model) =
                    train(engine.state(), Effort::Search, &mut |_| ControlFlow::Continue(()))
                {
                    world.push(Record::ModelPublished(model));
                }
            }
        }
        world.records
    }
}

fn item_id(number: usize) -> ItemId {
    ItemId::parse(format!("film-{number}")).unwrap()
}

fn user_id(number: usize) -> UserId {
    UserId::parse(format!("person-{number}")).unwrap()
}

fn decision_id(number: usize) -> DecisionId {
    DecisionId::parse(format!("decision-{number}")).unwrap()
}

fn applied(records: &[LogRecord]) -> Engine {
    let mut engine = Engine::new(Settings::default());
    engine.apply(records).unwrap();
    engine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_split_into_batches_leads_to_the_same_state(
        seed in 0..1_000_u64,
        cuts in prop::collection::vec(0..700_usize, 0..12),
    ) {
        let records = World::history(seed, 600);
        let whole = applied(&records).state().digest();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(records.len())).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        let mut engine = Engine::new(Settings::default());
        for pair in cuts.windows(2) {
            engine.apply(&records[pair[0]..pair[1]]).unwrap();
            // A view that a reader holds must not change what is learnt.
            let _held = engine.view();
        }
        prop_assert_eq!(engine.state().digest(), whole);
    }

    #[test]
    fn a_snapshot_and_the_rest_of_the_log_lead_to_the_same_state(
        seed in 0..1_000_u64,
        cut in 0..700_usize,
    ) {
        let records = World::history(seed, 600);
        let (head, tail) = records.split_at(cut.min(records.len()));
        let first = applied(head);
        let mut second = Engine::restore(first.view().sections()).unwrap();
        prop_assert_eq!(second.state().digest(), first.state().digest());
        second.apply(tail).unwrap();
        prop_assert_eq!(second.state().digest(), applied(&records).state().digest());
    }
}

#[test]
fn a_view_never_changes_while_the_engine_learns_on() {
    let records = World::history(3, 400);
    let mut engine = Engine::new(Settings::default());
    engine.apply(&records[..200]).unwrap();
    let view = engine.view();
    let before = view.digest();
    engine.apply(&records[200..]).unwrap();
    assert_eq!(Engine::restore(view.sections()).unwrap().state().digest(), before);
    assert_ne!(engine.state().digest(), before);
}

#[test]
fn training_gives_the_same_model_on_one_thread_and_on_many() {
    let engine = applied(&World::history(7, 800));
    let trained = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            train(engine.state(), Effort::Search, &mut |_| ControlFlow::Continue(())).unwrap()
        })
    };
    assert_eq!(trained(1), trained(4));
}

#[test]
fn a_gap_in_the_log_stops_the_engine_before_it_learns_past_it() {
    let mut records = World::history(1, 50);
    records.remove(70);
    let mut engine = Engine::new(Settings::default());
    let error = engine.apply(&records).unwrap_err();
    assert_eq!(error, Unreadable::OutOfOrder { watermark: 70, found: 72 });
    assert_eq!(engine.state().watermark(), 70);
}

#[test]
fn users_get_what_those_with_their_taste_like() {
    let mut world = World::new(11);
    world.catalogue();
    for _ in 0..1_500 {
        world.interaction();
    }
    let mut engine = applied(&world.records);
    let model = train(engine.state(), Effort::Search, &mut |_| ControlFlow::Continue(())).unwrap();
    world.records.clear();
    world.records.push(LogRecord {
        sequence: engine.state().watermark() + 1,
        recorded_at: Timestamp::from_seconds(1_700_100_000),
        record: Record::ModelPublished(model),
    });
    engine.apply(&world.records).unwrap();
    let view = engine.view();
    let user = view.user(view.user_index("person-4").unwrap()).clone();
    let context = UserContext::new(&view, Some(&user));
    let request_context = RequestContext {
        now: view.clock(),
        utc_offset_minutes: 0,
        device: None,
        values: RequestValues::NONE,
    };
    let candidates: Vec<_> =
        view.item_indices().take(ITEMS).map(|item| Candidate::known(&view, item)).collect();
    let scores = score_candidates(
        &view,
        Some(&user),
        &context,
        &request_context,
        &candidates,
        FeatureMask::ALL,
    );
    let mut order: Vec<usize> = (0..ITEMS).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let own = order[..10].iter().filter(|&&item| item % 2 == 0).count();
    assert!(own >= 8, "{own} of the first 10 are of the user's taste");
}

#[test]
fn rewarded_decisions_move_the_ranker_and_resent_rewards_do_not() {
    let mut world = World::new(2);
    world.catalogue();
    world.decision();
    let Record::Decision(decision) = &world.records[ITEMS].record else {
        panic!("the last record is the decision");
    };
    let (decision_id, user_id, item_id) =
        (decision.decision_id.clone(), decision.user_id.clone(), decision.shown[1].item_id.clone());
    let mut click = |event: &str| {
        world.push(Record::Interaction(Interaction {
            event_id: EventId::parse(event).unwrap(),
            user_id: user_id.clone(),
            item_id: item_id.clone(),
            kind: InteractionType::Click,
            value: None,
            occurred_at: Timestamp::from_seconds(1_700_000_000),
            session_id: None,
            decision_id: Some(decision_id.clone()),
            position: Some(1),
            context: InteractionContext::default(),
        }));
    };
    click("first");
    click("second");
    let first = applied(&world.records[..ITEMS + 2]);
    let second = applied(&world.records);
    assert_eq!(first.state().ranker().shared().impressions, 2);
    assert_eq!(first.state().ranker().shared().rewards, 1);
    assert_eq!(first.state().ranker().shared(), second.state().ranker().shared());
    let prior = Engine::new(Settings::default());
    assert_ne!(first.state().belief(), prior.state().belief());
}

/// The state a known log leads to. When the meaning of a record changes on purpose,
/// raise `ENGINE_REVISION` and put the new digest here.
#[test]
fn the_golden_log_leads_to_the_golden_digest() {
    let records: Vec<LogRecord> = World::history(42, 500)
        .into_iter()
        .filter(|record| !matches!(record.record, Record::ModelPublished(_)))
        .enumerate()
        .map(|(index, record)| LogRecord { sequence: index as u64 + 1, ..record })
        .collect();
    let digest = blake3::Hash::from_bytes(applied(&records).state().digest()).to_hex();
    assert_eq!((ENGINE_REVISION, digest.as_str()), (7, GOLDEN_DIGEST));
}

const GOLDEN_DIGEST: &str = "a839ff219f0102404aa5e5a378eab9029b42c6b9df0867a3a17f639aa05c29d1";
