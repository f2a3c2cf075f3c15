//! The guard and the figures of a takeover, on simulated trials.

use crate::bandit::ItemEffects;
use crate::bandit::Learners;
use crate::bandit::Posterior;
use crate::bandit::Ranker;
use crate::bandit::RankerPrior;
use crate::bandit::Weight;
use crate::takeover::*;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const LATER: Timestamp = Timestamp::from_seconds(1_700_001_800);

fn trial(takeover: &Takeover, origin: ListOrigin) -> TakeoverTrial {
    TakeoverTrial {
        round: takeover.round,
        origin,
        chances: takeover.chances(),
        positions: 4,
        same_position: 1,
        in_both: 3,
        same_first: origin == ListOrigin::Ranker,
        expected_gain: 0.5,
        difference: vec![0.0, 1.0],
    }
}

/// A decision that showed one item and earned this.
fn decision(reward: f32) -> PendingDecision {
    let (ranker, effects) = (&mut Ranker::new(1), &mut ItemEffects::default());
    let mut decision = PendingDecision::of_items(&[7]);
    decision.credit(7, reward, Weight::FULL, &mut Learners { ranker, effects });
    decision
}

/// One trial and what it earned.
fn go(takeover: &mut Takeover, origin: ListOrigin, reward: f32) -> Option<ListOrigin> {
    let trial = trial(takeover, origin);
    takeover.begin(&trial);
    takeover.settle(&PendingTrial::new(&trial, NOW), &decision(reward), LATER)
}

fn taken_over(share: f64, popular_share: f64) -> Takeover {
    let mut takeover = Takeover::default();
    let (share, popular_share) = (Some(share), Some(popular_share));
    takeover.change(&TakeoverChange { share, popular_share, ..TakeoverChange::default() });
    takeover
}

#[test]
fn shadow_mode_shows_the_list_of_the_caller() {
    assert_eq!(Takeover::default().chances(), [0.0, 1.0, 0.0]);
    let chances = taken_over(0.5, 0.2).chances();
    assert!((chances[0] - 0.4).abs() < 1e-12 && (chances[2] - 0.1).abs() < 1e-12);
    assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn a_ranker_worse_than_the_popular_items_falls_back_until_it_is_restarted() {
    let mut takeover = taken_over(1.0, 0.5);
    let mut fell = None;
    for round in 0..1_000 {
        let ours = round % 2 == 0;
        let origin = if ours { ListOrigin::Ranker } else { ListOrigin::Popular };
        fell = fell.or(go(&mut takeover, origin, if ours { 0.0 } else { 1.0 }));
    }
    assert_eq!(fell, Some(ListOrigin::Popular));
    let fallback = takeover.fallback.unwrap();
    assert!(fallback.lift.high < 0.0 && fallback.lift.value < -0.9, "{fallback:?}");
    assert_eq!((takeover.share, takeover.share_in_force()), (1.0, 0.0));
    // Another share does not undo it; a restart does.
    takeover.change(&TakeoverChange { share: Some(0.3), ..TakeoverChange::default() });
    assert_eq!(takeover.share_in_force(), 0.0);
    takeover.change(&TakeoverChange { restart: true, ..TakeoverChange::default() });
    assert_eq!(takeover.share_in_force(), 0.3);
    assert_eq!((takeover.round, takeover.trials), (1, 0));
}

#[test]
fn a_ranker_worse_than_the_caller_falls_back_too() {
    let mut takeover = taken_over(0.5, 0.01);
    let rounds = 0..2_000;
    let fell = rounds.into_iter().find_map(|round| {
        let ours = round % 2 == 0;
        let origin = if ours { ListOrigin::Ranker } else { ListOrigin::Baseline };
        go(&mut takeover, origin, if ours { 0.0 } else { 1.0 })
    });
    assert_eq!(fell, Some(ListOrigin::Baseline));
}

#[test]
fn decisions_of_an_earlier_round_count_in_none() {
    let mut takeover = taken_over(0.5, 0.1);
    let old = trial(&takeover, ListOrigin::Ranker);
    takeover.change(&TakeoverChange { restart: true, ..TakeoverChange::default() });
    let before = takeover.clone();
    takeover.begin(&old);
    takeover.settle(&PendingTrial::new(&old, NOW), &decision(1.0), NOW);
    assert_eq!(takeover, before);
}

#[test]
fn trials_that_are_settled_early_are_counted() {
    let mut takeover = taken_over(0.5, 0.1);
    let trial = trial(&takeover, ListOrigin::Ranker);
    let (waited, cut) = (PendingTrial::new(&trial, NOW), PendingTrial::new(&trial, LATER));
    takeover.settle(&waited, &decision(1.0), LATER);
    assert_eq!(takeover.cut_short, 0);
    takeover.settle(&cut, &decision(1.0), LATER);
    assert_eq!((takeover.cut_short, takeover.outcomes[0].settled), (1, 2));
    takeover.change(&TakeoverChange { restart: true, ..TakeoverChange::default() });
    assert_eq!(takeover.cut_short, 0);
}

#[test]
fn agreement_and_outcomes_are_summed() {
    let mut takeover = taken_over(0.5, 0.1);
    go(&mut takeover, ListOrigin::Ranker, 1.0);
    go(&mut takeover, ListOrigin::Baseline, -1.0);
    let agreement = takeover.agreement;
    assert_eq!((agreement.first, agreement.positions), (1, 8));
    assert_eq!((agreement.same_position, agreement.in_both), (2, 6));
    let [ranker, baseline, popular] = takeover.outcomes;
    assert_eq!((ranker.settled, ranker.reward), (1, 1.0));
    assert_eq!((baseline.settled, baseline.reward), (1, -1.0));
    assert_eq!(popular, Outcome::default());
}

#[test]
fn the_estimated_lift_is_the_difference_of_the_lists_by_the_weights_of_now() {
    let mut takeover = Takeover::default();
    let belief = |rewarded: u32| {
        let mut posterior = Posterior::new(2);
        for round in 0..400 {
            let features = [1.0, (round % 2) as f32];
            posterior.add_impression(&features, Weight::FULL);
            if round % 2 == 1 && round < 2 * rewarded {
                posterior.change_reward(&features, 0.0, 1.0, Weight::FULL);
            }
        }
        posterior.solve(&RankerPrior::even(2, 50.0))
    };
    assert_eq!(takeover.estimated_lift(&belief(100)), None);
    for _ in 0..50 {
        assert_eq!(go(&mut takeover, ListOrigin::Baseline, 0.0), None);
    }
    let good = belief(100);
    let lift = takeover.estimated_lift(&good).unwrap();
    assert!((lift.value - good.mean[1]).abs() < 1e-6 && lift.value > 0.2, "{lift:?}");
    assert!(lift.low > 0.0 && lift.high < 1.0, "{lift:?}");
    // The estimate follows the new weights.
    assert!(takeover.estimated_lift(&belief(0)).unwrap().value < 0.05);
}
