//! What is known of decisions, and what they leave behind.

use crate::domain::ArmContext;
use crate::domain::ArmFeatures;
use crate::domain::ArmName;
use crate::domain::ArmSelection;
use crate::domain::ArmSetName;
use crate::domain::ArmStrategy;
use crate::domain::OfferedArm;
use crate::domain::RankerSettings;
use crate::tests::*;

/// A namespace that remembers decisions for an hour, in a mebibyte: 2,500 short ones.
fn remembering_little() -> Record {
    let ranker = RankerSettings { credit_hours: 1, credit_megabytes: 1, ..Default::default() };
    let settings = Settings { ranker, ..Settings::default() };
    Record::SettingsSet(SettingsChange { settings, replaces: 0 })
}

const LITTLE: usize = 2_600;

fn selection(id: &str) -> ArmSelection {
    let offered = ["red", "blue"].map(|name| OfferedArm {
        name: ArmName::parse(name).unwrap(),
        features: ArmFeatures::default(),
        propensity: 0.5,
        mean: 0.0,
        deviation: 0.0,
    });
    ArmSelection {
        decision_id: DecisionId::parse(id).unwrap(),
        set: ArmSetName::parse("colours").unwrap(),
        offered: offered.into(),
        chosen: 0,
        context: ArmContext::default(),
        strategy: ArmStrategy::Thompson,
        epsilon: 0.0,
        selected_at: Timestamp::from_seconds(1_700_000_000),
        watermark: 0,
        seed: 0,
    }
}

#[test]
fn decisions_and_selections_are_known_as_long_as_they_can_be_rewarded() {
    let mut world = World::new(2);
    world.catalogue();
    world.push(remembering_little());
    world.decision();
    world.push(Record::ArmSelected(selection("chosen")));
    let mut engine = applied(&world.records);
    let knows = |engine: &Engine, id: &str| engine.state().knows_decision(decision_key(id));
    let knows_chosen = |engine: &Engine| engine.state().knows_selection(decision_key("chosen"));
    assert!(knows(&engine, "decision-0") && knows_chosen(&engine));
    assert!(!knows(&engine, "chosen"), "each has its own kind");
    assert!(!knows(&engine, "decision-1") && !knows(&engine, ""));
    let restored = Engine::restore(engine.state().sections()).unwrap();
    assert!(knows(&restored, "decision-0") && knows_chosen(&restored));
    let learnt = world.records.len();
    for _ in 0..10 {
        world.decision();
    }
    engine.apply(&world.records[learnt..]).unwrap();
    assert!(knows(&engine, "decision-0"));
    let sequence = engine.state().watermark() + 1;
    let hour = 3_600 + 1_700_000_000 + learnt as i64 - 1;
    let later = |sequence, recorded_at| LogRecord {
        sequence,
        recorded_at: Timestamp::from_seconds(recorded_at),
        record: Record::ItemDeleted(item_id(0)),
    };
    engine.apply(&[later(sequence, hour - 1)]).unwrap();
    assert!(knows(&engine, "decision-0"));
    engine.apply(&[later(sequence + 1, hour)]).unwrap();
    assert!(!knows(&engine, "decision-0") && knows_chosen(&engine));
    assert!(knows(&engine, "decision-1") && knows(&engine, "decision-10"));
}

/// A decision for a user of whom nothing is known, that shows items which the request
/// described.
fn shown_to_a_stranger(number: usize) -> Decision {
    let shown = (0..3).map(|position| ShownItem {
        item_id: ItemId::parse(format!("described-{number}-{position}")).unwrap(),
        score: 0.5,
        propensity: 0.9,
        features: vec![0.1; RANKER_DIMENSION],
    });
    Decision {
        decision_id: decision_id(number),
        user_id: UserId::parse(format!("stranger-{number}")).unwrap(),
        decided_at: Timestamp::from_seconds(1_700_000_000 + number as i64 / 100),
        strategy: Strategy::Greedy,
        epsilon: 0.0,
        segment: 0,
        layout: ranker_prior().layout,
        model_version: 0,
        watermark: 1,
        candidates: 3,
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
        shown: shown.collect(),
    }
}

fn bytes(engine: &Engine) -> usize {
    engine.state().sections().map(|(_, section)| section.len()).sum()
}

/// Invariant 19: nothing is learnt from an item of a request, or of a user from asking.
#[test]
fn thirty_thousand_decisions_for_strangers_leave_no_more_than_the_window() {
    let mut world = World::new(4);
    world.catalogue();
    world.push(remembering_little());
    let mut engine = applied(&world.records);
    let (users, items) = (engine.state().users_len(), engine.state().items_len());
    let decide = |engine: &mut Engine, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let sequence = engine.state().watermark() + 1;
            let recorded_at = Timestamp::from_seconds(1_700_000_000 + number as i64 / 100);
            let record = Record::Decision(shown_to_a_stranger(number));
            engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap();
        }
    };
    // Until the table of how much users count is full, too.
    decide(&mut engine, 0..12_000);
    let window = bytes(&engine);
    decide(&mut engine, 12_000..30_000);
    let later = bytes(&engine);
    assert_eq!((engine.state().users_len(), engine.state().items_len()), (users, items));
    // Numbers of decisions take a byte more; nothing else does.
    assert!(later < window + window / 50, "{window} bytes became {later}");
    assert_eq!(engine.state().counts().decisions, 30_000);
    assert!(engine.state().pending_decision_bytes() <= 1 << 20);
}

fn event(user: &str, item: &str, decision: Option<DecisionId>, kind: InteractionType) -> Record {
    Record::Interaction(Interaction {
        event_id: EventId::parse(format!("{user}/{item}/{}", kind.index())).unwrap(),
        user_id: UserId::parse(user).unwrap(),
        item_id: ItemId::parse(item).unwrap(),
        kind,
        value: None,
        occurred_at: Timestamp::from_seconds(1_700_000_100),
        session_id: None,
        decision_id: decision,
        position: None,
        context: InteractionContext::default(),
    })
}

#[test]
fn a_stranger_s_click_on_a_described_item_is_credited_to_the_decision() {
    let mut world = World::new(4);
    world.catalogue();
    world.push(Record::Decision(shown_to_a_stranger(0)));
    let click = InteractionType::Click;
    world.push(event("another-user", "described-0-1", Some(decision_id(0)), click));
    let others = applied(&world.records);
    assert_eq!(others.state().ranker().shared().rewards, 0);
    world.push(event("stranger-0", "described-0-1", Some(decision_id(0)), click));
    let credited = applied(&world.records);
    let shared = credited.state().ranker().shared();
    assert_eq!((shared.impressions, shared.rewards), (2, 1));
    let restored = Engine::restore(credited.state().sections()).unwrap();
    assert_eq!(restored.state().ranker(), credited.state().ranker());
}

/// Which of the three described items a cap of one impression a day excludes.
fn worn_out(engine: &Engine, now: i64) -> Vec<bool> {
    let view = engine.state();
    let filter = Filter { frequency_cap_per_day: 1, include_seen: true, ..Filter::default() };
    let (context, now) = (UserContext::default(), Timestamp::from_seconds(now));
    let eligible = Eligibility::new(view, &filter, "stranger-0", &context, now, &[]);
    let mut described = World::new(1);
    described.catalogue();
    let Record::ItemUpserted(item) = &described.records[0].record else {
        panic!("a catalogue is made of items");
    };
    let allows = |index: usize| {
        let id = ItemId::parse(format!("described-{}-{index}", index / 2)).unwrap();
        let (entry, _) = view.describe_inline(Arc::new(Item { item_id: id, ..item.clone() }));
        eligible.allows(&entry, None)
    };
    (0..3).map(|index| !allows(index)).collect()
}

#[test]
fn caps_hold_for_strangers_and_described_items_and_stay_when_a_stranger_becomes_known() {
    let mut world = World::new(4);
    world.catalogue();
    world.push(remembering_little());
    world.push(Record::Decision(shown_to_a_stranger(0)));
    let stranger = applied(&world.records);
    assert_eq!(worn_out(&stranger, 1_700_000_200), [true, true, false]);
    assert_eq!(worn_out(&stranger, 1_700_000_000 + 86_400), [false, false, false]);
    assert!(stranger.state().knows_impressions("stranger-0", decision_key("decision-0")));
    world.push(event("stranger-0", "film-1", None, InteractionType::Click));
    for number in 1..=LITTLE {
        let decision = Decision {
            decided_at: Timestamp::from_seconds(1_700_000_100),
            ..shown_to_a_stranger(number)
        };
        world.push(Record::Decision(decision));
    }
    let known = applied(&world.records);
    assert!(!known.state().knows_decision(decision_key("decision-0")));
    assert!(known.state().knows_impressions("stranger-0", decision_key("decision-0")));
    assert_eq!(worn_out(&known, 1_700_000_200), [true, true, false]);
    let restored = Engine::restore(known.state().sections()).unwrap();
    assert_eq!(worn_out(&restored, 1_700_000_200), [true, true, false]);
}
