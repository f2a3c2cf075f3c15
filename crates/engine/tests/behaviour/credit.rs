//! Credit: what came of an answer is learnt for as long as is promised, and of one impression
//! nobody learns that nothing is ever looked at.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Kind;
use crate::harness::Settings;
use crate::harness::Strategy;
use crate::harness::World;
use crate::harness::quick_settings;

fn shop(settings: Settings) -> World {
    let mut world = World::with(settings);
    for item in 0..30 {
        world.add(Described::new(&format!("item-{item}")));
    }
    for user in 0..20 {
        world.click(&format!("user-{user}"), &format!("item-{}", user % 9));
        world.pass_hours(3.0);
    }
    world
}

/// Answers of a busy second, each for a visitor of its own.
const DECISIONS: usize = 18_000;
/// Of these the first so many are rewarded.
const REWARDED: usize = 500;

#[test]
fn a_reward_counts_after_many_thousand_decisions_of_the_same_minute() {
    let mut world = shop(quick_settings());
    let template = world.decide(Ask::of("visitor", 3).plain());
    let mut answers = Vec::new();
    for visitor in 0..DECISIONS {
        let answer = world.repeat_decision(&template, &format!("visitor-{visitor}"));
        if visitor < REWARDED {
            answers.push(answer);
        }
        world.pass_seconds(0.001);
    }
    world.pass_seconds(60.0);
    let before = world.rewards_learnt();
    for answer in &answers {
        let item = answer.items()[0].clone();
        world.reacts(answer, &item, Kind::Click);
    }
    let learnt = world.rewards_learnt() - before;
    assert_eq!(learnt as usize, REWARDED, "rewards that were learnt a minute after 18,000 answers");
}

#[test]
fn a_takeover_counts_the_rewards_of_its_whole_window() {
    let mut world = shop(quick_settings());
    let template = world.decide(Ask::of("visitor", 3).plain().popular_baseline());
    let mut answers = Vec::new();
    for visitor in 0..DECISIONS {
        let answer = world.repeat_decision(&template, &format!("visitor-{visitor}"));
        if visitor < REWARDED {
            answers.push(answer);
        }
        world.pass_seconds(0.001);
    }
    // Rewards are waited for for half an hour.
    world.pass_seconds(1_200.0);
    for answer in &answers {
        let item = answer.items()[0].clone();
        world.reacts(answer, &item, Kind::Click);
    }
    world.pass_hours(2.0);
    world.impression("user-0", "item-0");
    let (settled, reward) = world.baseline_outcome();
    let rewarded = reward * settled as f64;
    assert_eq!(
        (settled as usize, rewarded.round() as usize),
        (DECISIONS + 1, REWARDED),
        "lists that were waited for, and what they earned"
    );
}

#[test]
fn one_impression_without_a_reward_does_not_teach_that_nobody_looks_at_a_list() {
    let mut settings = quick_settings();
    settings.ranker.examination_decay = Some(1.0);
    let mut world = shop(settings);
    let before = world.examination(8, 1.0);
    let ask = Ask::of("visitor", 8).plain().strategy(Strategy::Thompson);
    let answer = world.decide(ask.among(&["item-20", "item-21", "item-22"]));
    let propensities: Vec<f64> = answer.list.iter().map(|one| one.propensity).collect();
    assert!(propensities[0] <= 0.5, "chance decides: {propensities:?}");
    world.reacts(&answer, &answer.items()[0], Kind::Impression);
    let after = world.examination(8, 1.0);
    let moved = before.iter().zip(&after).map(|(was, is)| (was - is).abs()).fold(0.0, f64::max);
    assert!(after[0] == 1.0 && moved <= 0.05, "before {before:.3?}, after {after:.3?}");
}
