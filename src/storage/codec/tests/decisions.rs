//! Arbitrary decisions with what is recorded of them.

use proptest::prelude::*;

use super::experiments::assignments;
use super::experiments::division;
use super::*;
use engine::domain::Continues;
use engine::domain::FeatureLayout;

fn detail() -> impl Strategy<Value = DecisionDetail> {
    let numbers = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u64>(), 0.0..9.0, 0.0..9.0);
    let request = prop::collection::vec(any::<u8>(), 0..300);
    let options = (prop::option::of(label()), any::<bool>());
    let keys = || prop::collection::vec(any::<u64>(), 0..9);
    let before = (prop::collection::vec(label(), 0..3), (keys(), keys()));
    let scored = prop::collection::vec((".{1,20}", number(), number()), 0..20);
    (numbers, request, options, before, scored).prop_map(
        |(numbers, request, (variant, remembered), (shown_lately, earlier), scored)| {
            let mut candidates = CandidateScores::default();
            scored
                .iter()
                .for_each(|(id, score, deviation)| candidates.push(id, *score, *deviation));
            DecisionDetail {
                engine_revision: numbers.0,
                seed: numbers.1,
                request,
                undescribed: numbers.2,
                variant,
                context_watermark: numbers.3,
                remembered,
                shown_lately,
                earlier: earlier.0,
                earlier_pinned: earlier.1,
                unlearnt_cost: numbers.4,
                width: numbers.5,
                candidates,
            }
        },
    )
}

fn trial() -> impl Strategy<Value = TakeoverTrial> {
    let origin = prop::sample::select(&ListOrigin::ALL[..]);
    let chances = prop::array::uniform3(0.0..1.0);
    let counts = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>());
    let difference = prop::collection::vec(number(), 0..6);
    (origin, chances, counts, number(), difference).prop_map(
        |(origin, chances, counts, expected_gain, difference)| TakeoverTrial {
            round: counts.0,
            origin,
            chances,
            positions: counts.1,
            same_position: counts.2,
            in_both: counts.3,
            same_first: counts.4,
            expected_gain,
            difference,
        },
    )
}

fn continues() -> impl Strategy<Value = Continues> {
    let origin = prop::option::of(prop::sample::select(&ListOrigin::ALL[..]));
    (id(DecisionId::parse), origin)
        .prop_map(|(decision_id, origin)| Continues { decision_id, origin })
}

pub fn takeover_change() -> impl Strategy<Value = Record> {
    let some = |range: std::ops::Range<f64>| prop::option::of(range);
    let values = (some(0.0..1.0), some(0.0..1.0), some(0.0..1.0));
    (values, prop::option::of(any::<u32>()), any::<bool>()).prop_map(
        |((share, popular_share, alpha), reward_window_seconds, restart)| {
            Record::TakeoverChanged(TakeoverChange {
                share,
                popular_share,
                alpha,
                reward_window_seconds,
                restart,
            })
        },
    )
}

pub fn decision() -> impl Strategy<Value = Record> {
    let features = prop::collection::vec(number(), 0..20);
    let shown = (id(ItemId::parse), number(), number(), features).prop_map(
        |(item_id, score, propensity, features)| ShownItem { item_id, score, propensity, features },
    );
    let choice = prop::sample::select(&Choice::ALL[..]);
    let ids = (id(DecisionId::parse), id(UserId::parse), time());
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>());
    let shown = prop::collection::vec(shown, 0..5);
    let division = prop::option::of(division());
    let list = (prop::option::of(trial()), prop::option::of(continues()), assignments(), division);
    let parts = (list, number(), prop::option::of(detail()));
    (ids, choice, number(), numbers, shown, parts).prop_map(
        |(
            ids,
            strategy,
            epsilon,
            numbers,
            shown,
            ((trial, continues, assignments, division), exploration_cost, detail),
        )| {
            Record::Decision(Decision {
                decision_id: ids.0,
                user_id: ids.1,
                decided_at: ids.2,
                strategy,
                epsilon,
                model_version: numbers.0,
                watermark: numbers.1,
                candidates: numbers.2,
                segment: numbers.2 as u8,
                layout: FeatureLayout::new([0, 1, numbers.2 as u16]),
                shown,
                exploration_cost,
                trial: trial.map(Box::new),
                assignments,
                division: division.map(Box::new),
                continues: continues.map(Box::new),
                detail: detail.map(Box::new),
            })
        },
    )
}

/// Of two candidates, `a` and `bü`, as bytes and as what they mean.
fn of_two_candidates() -> (Vec<u8>, DecisionDetail) {
    let mut candidates = CandidateScores::default();
    candidates.push("a", 0.5, 0.25);
    candidates.push("bü", 1.0, 0.75);
    let detail = DecisionDetail {
        engine_revision: 1,
        seed: 1,
        request: b"request".to_vec(),
        undescribed: 0,
        variant: None,
        context_watermark: 1,
        remembered: false,
        shown_lately: Vec::new(),
        earlier: Vec::new(),
        earlier_pinned: Vec::new(),
        unlearnt_cost: 0.0,
        width: 0.0,
        candidates,
    };
    let mut bytes = Vec::new();
    decision_detail::put(&mut bytes, &detail);
    (bytes, detail)
}

#[test]
fn columns_of_candidates_that_do_not_fit_together_are_damage() {
    let (bytes, detail) = of_two_candidates();
    let read = |bytes: &[u8]| decision_detail::read(&mut Reader::new(bytes));
    assert_eq!(read(&bytes), Ok(detail));
    // The number of candidates, the lengths of their ids, the ids, four floats.
    let count = bytes.len() - 4 * size_of::<f32>() - 4 - 3;
    assert_eq!(bytes[count..count + 3], [2, 1, 3]);
    for (position, value, why) in [
        (count, 3, "a candidate more"),
        (count + 1, 2, "an id that ends inside of a character"),
        (count + 2, 200, "an id longer than what is left"),
    ] {
        let mut bytes = bytes.clone();
        bytes[position] = value;
        let found = read(&bytes);
        assert!(matches!(found, Err(Fault::Damaged(_))), "{why}: {found:?}");
    }
}

proptest! {
    #[test]
    fn a_record_of_a_decision_takes_no_more_than_is_said(record in decision()) {
        let Record::Decision(decision) = &record else { unreachable!("made above") };
        let mut bytes = Vec::new();
        put(&mut bytes, &record, Timestamp::default());
        prop_assert!(bytes.len() <= decision.record_bytes());
        let positions = decision.shown.len() + decision.detail.as_ref().map_or(0, |detail| {
            detail.candidates.len() + detail.shown_lately.len()
        });
        let slack = 300 + 8 * positions;
        prop_assert!(decision.record_bytes() <= bytes.len() + slack);
    }
}
