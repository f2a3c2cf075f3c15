//! Decisions that may still be rewarded: held by time, within a budget of memory.

use crate::domain::RankerSettings;
use crate::tests::*;

const BEGAN: i64 = 1_700_000_000;

/// A namespace whose decisions come at a steady rate.
struct Stream {
    engine: Engine,
    decisions: usize,
    effects: Vec<Effect>,
}

impl Stream {
    fn new(credit_megabytes: u32) -> Self {
        let ranker = RankerSettings { credit_megabytes, ..RankerSettings::default() };
        let engine = Engine::new(Settings { ranker, ..Settings::default() });
        Self { engine, decisions: 0, effects: Vec::new() }
    }

    fn push(&mut self, at_millis: i64, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_millis(1_000 * BEGAN + at_millis);
        let effects = self.engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap();
        self.effects.extend(effects);
    }

    /// A list of so many items, with a trial or without.
    fn decide(&mut self, at_millis: i64, items: usize, trial: Option<TakeoverTrial>) {
        let number = self.decisions;
        self.decisions += 1;
        let shown = (0..items).map(|position| ShownItem {
            item_id: item_id(position),
            score: 0.05,
            propensity: 0.3,
            features: (0..RANKER_DIMENSION).map(|f| (f + number % 7) as f32 / 10.0).collect(),
        });
        let decision = Decision {
            decision_id: decision_id(number),
            user_id: user_id(number % 50),
            decided_at: Timestamp::from_millis(1_000 * BEGAN + at_millis),
            strategy: Strategy::Thompson,
            epsilon: 0.0,
            segment: 0,
            model_version: 0,
            watermark: 0,
            candidates: items as u32,
            exploration_cost: 0.0,
            layout: ranker_prior().layout,
            trial: trial.map(Box::new),
            assignments: Vec::new(),
            division: None,
            continues: None,
            detail: None,
            shown: shown.collect(),
        };
        self.push(at_millis, Record::Decision(decision));
    }

    fn act(&mut self, at_millis: i64, decision: usize, kind: InteractionType) {
        let sequence = self.engine.state().watermark() + 1;
        let interaction = Interaction {
            event_id: EventId::parse(format!("e{sequence}")).unwrap(),
            user_id: user_id(decision % 50),
            item_id: item_id(1),
            kind,
            value: None,
            occurred_at: Timestamp::from_millis(1_000 * BEGAN + at_millis),
            session_id: None,
            decision_id: Some(decision_id(decision)),
            position: None,
            context: InteractionContext::default(),
        };
        self.push(at_millis, Record::Interaction(interaction));
    }

    fn rewards(&self) -> u64 {
        self.engine.state().ranker().shared().rewards
    }
}

fn trial(origin: ListOrigin) -> TakeoverTrial {
    TakeoverTrial {
        round: 0,
        origin,
        chances: [0.4, 0.4, 0.2],
        positions: 3,
        same_position: 1,
        in_both: 2,
        same_first: false,
        expected_gain: 0.0,
        difference: vec![0.0; RANKER_DIMENSION],
    }
}

#[test]
fn a_reward_half_an_hour_and_fifty_thousand_decisions_later_counts() {
    let mut stream = Stream::new(64);
    for number in 0..50_000 {
        stream.decide(36 * number, 3, None);
    }
    let now = 36 * 50_000;
    stream.act(now, 0, InteractionType::Click);
    assert_eq!((stream.rewards(), stream.engine.state().counts().late_rewards), (1, 0));
}

#[test]
fn what_does_not_fit_the_budget_is_forgotten_and_late_rewards_are_counted() {
    let mut stream = Stream::new(1);
    for number in 0..4_000 {
        stream.decide(number, 20, None);
        assert!(stream.engine.state().pending_decision_bytes() <= 1 << 20);
    }
    let held = stream.engine.state().decisions.held();
    assert!((650..1_200).contains(&held), "{held} decisions of 20 items in a mebibyte");
    stream.act(4_000, 3_999, InteractionType::Click);
    assert_eq!((stream.rewards(), stream.engine.state().counts().late_rewards), (1, 0));
    stream.act(4_000, 0, InteractionType::Click);
    // An impression is no reward.
    stream.act(4_000, 1, InteractionType::Impression);
    assert_eq!((stream.rewards(), stream.engine.state().counts().late_rewards), (1, 1));
    let restored = Engine::restore(stream.engine.state().sections()).unwrap();
    assert_eq!(restored.state().digest(), stream.engine.state().digest());
    assert_eq!(restored.state().counts().late_rewards, 1);
}

#[test]
fn a_pending_decision_takes_1_600_bytes_for_20_items_and_31_kilobytes_for_500() {
    for (items, most) in [(20, 1_600), (500, 31_000)] {
        let mut stream = Stream::new(64);
        stream.decide(0, items, None);
        let bytes = stream.engine.state().pending_decision_bytes();
        println!("{bytes} bytes of a decision of {items} items");
        assert!(bytes <= most, "{bytes} bytes of a decision of {items} items");
    }
}

#[test]
fn lists_of_500_keep_to_the_budget() {
    let mut stream = Stream::new(4);
    (0..400).for_each(|number| stream.decide(number, 500, None));
    let view = stream.engine.state();
    assert!(view.pending_decision_bytes() <= 4 << 20);
    assert!((130..400).contains(&view.decisions.held()), "{}", view.decisions.held());
}

#[test]
fn a_takeover_whose_window_is_not_held_at_the_present_rate_is_reported() {
    let window = |seconds| TakeoverChange {
        share: Some(0.5),
        reward_window_seconds: Some(seconds),
        ..TakeoverChange::default()
    };
    let mut stream = Stream::new(1);
    assert_eq!(stream.engine.state().window_not_held(&window(1_800)), None, "nothing is known");
    // A decision of 3 items a second: about 2,500 fit.
    for number in 0..3_000 {
        stream.decide(1_000 * number, 3, None);
    }
    let held = stream.engine.state().credit_seconds_held().unwrap();
    assert!((2_000..3_000).contains(&held), "{held}");
    assert_eq!(stream.engine.state().window_not_held(&window(1_800)), None);
    let not_held = stream.engine.state().window_not_held(&window(7_200)).unwrap();
    assert_eq!((not_held.held_seconds, not_held.window_seconds), (held, 7_200));
    // A share of 0 needs no window.
    let listens = TakeoverChange { share: Some(0.0), ..window(7_200) };
    assert_eq!(stream.engine.state().window_not_held(&listens), None);
    stream.push(3_000_000, Record::TakeoverChanged(window(1_800)));
    assert_eq!(stream.effects, []);
    stream.push(3_000_000, Record::TakeoverChanged(window(7_200)));
    assert_eq!(stream.effects, [Effect::TakeoverWindowNotHeld(not_held)]);
    // At ten times the rate the window is too long.
    for number in 0..3_000 {
        stream.decide(3_000_000 + 100 * number, 3, None);
    }
    assert!(stream.engine.state().window_not_held(&window(1_800)).is_some());
}

#[test]
fn trials_are_settled_after_their_window_or_when_they_are_forgotten_and_that_is_said_once() {
    let mut stream = Stream::new(1);
    let window = TakeoverChange { reward_window_seconds: Some(60), ..TakeoverChange::default() };
    stream.push(0, Record::TakeoverChanged(window));
    let settled = |stream: &Stream| stream.engine.state().takeover().outcomes[0].settled;
    stream.decide(0, 3, Some(trial(ListOrigin::Ranker)));
    stream.act(30_000, 0, InteractionType::Click);
    stream.push(59_999, Record::ItemDeleted(item_id(0)));
    assert_eq!(settled(&stream), 0);
    stream.push(60_000, Record::ItemDeleted(item_id(0)));
    assert_eq!(settled(&stream), 1);
    assert_eq!(stream.engine.state().takeover().outcomes[0].reward, 1.0);
    assert_eq!((stream.engine.state().takeover().cut_short, stream.effects.len()), (0, 0));
    // So many within a second that memory does not hold them for a minute.
    for number in 0..10_000 {
        stream.decide(60_001 + number / 10, 3, Some(trial(ListOrigin::Ranker)));
    }
    let takeover = stream.engine.state().takeover();
    assert!(takeover.cut_short > 5_000, "{}", takeover.cut_short);
    assert_eq!(takeover.outcomes[0].settled, 1 + takeover.cut_short);
    let told = stream.effects.iter().filter(
        |effect| matches!(effect, Effect::TakeoverWindowNotHeld(not) if not.window_seconds == 60),
    );
    assert_eq!(told.count(), 1);
}

#[test]
fn a_clock_that_leaps_and_odd_numbers_do_no_harm() {
    let mut stream = Stream::new(1);
    for (number, millis) in [0, i64::MAX / 2, -(1 << 50), 5].into_iter().enumerate() {
        stream.decide(millis, 3, Some(trial(ListOrigin::Ranker)));
        stream.act(millis, number, InteractionType::Hide);
    }
    let odd = [f32::NAN, f32::INFINITY, -1e30, 0.0];
    let shown = odd.iter().map(|&number| ShownItem {
        item_id: item_id(1),
        score: number,
        propensity: number,
        features: vec![number; RANKER_DIMENSION],
    });
    let decision = Decision {
        decision_id: decision_id(99),
        user_id: user_id(0),
        decided_at: Timestamp::from_millis(i64::MIN),
        strategy: Strategy::Greedy,
        epsilon: f32::NAN,
        segment: 255,
        model_version: 0,
        watermark: 0,
        candidates: 0,
        exploration_cost: f32::INFINITY,
        layout: ranker_prior().layout,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
        shown: shown.collect(),
    };
    for _ in 0..2 {
        stream.push(6, Record::Decision(decision.clone()));
        for kind in [InteractionType::Hide, InteractionType::Purchase, InteractionType::Click] {
            let event = Interaction {
                event_id: EventId::parse("odd").unwrap(),
                user_id: user_id(0),
                item_id: item_id(1),
                kind,
                value: None,
                occurred_at: Timestamp::from_millis(i64::MAX),
                session_id: None,
                decision_id: Some(decision_id(99)),
                position: Some(u32::MAX),
                context: InteractionContext::default(),
            };
            stream.push(7, Record::Interaction(event));
        }
    }
    let view = stream.engine.state();
    assert!(view.belief().mean.iter().all(|mean| mean.is_finite()));
    assert!(view.item_effect(view.item_index("film-1")).mean.is_finite());
    assert!(view.ranker().account.cost().is_finite());
    let restored = Engine::restore(view.sections()).unwrap();
    assert_eq!(restored.state().digest(), view.digest());
}
