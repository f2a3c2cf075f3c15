//! The simulation of `benches/peeking`, small: no verdict of the crate is wrong too often, the usual
//! methods are, effects are found.
//!
//! 300 experiments with fixed seeds: the same counts on every machine.

#[path = "../../benches/peeking/draws.rs"]
mod draws;
#[path = "../../benches/peeking/verdicts.rs"]
mod verdicts;
#[path = "../../benches/peeking/votes.rs"]
mod votes;
#[path = "../../benches/peeking/worlds.rs"]
mod worlds;

use draws::Draws;
use rayon::prelude::*;
use verdicts::{Judge, Tally};
use worlds::{SETTINGS, Setting, Users};

const EXPERIMENTS: u64 = 300;

/// A fifth of the looks of the bench, so that the test takes seconds.
fn shortened(setting: &Setting) -> Setting {
    Setting { looks: setting.looks / 5, ..*setting }
}

fn tallies(setting: &Setting, lift: f64, judges: &[Judge]) -> Vec<Tally> {
    let one = |experiment| verdicts::experiment(setting, lift, judges, Draws::new(8, experiment));
    let none = || vec![Tally::default(); judges.len()];
    let sum = |a: Vec<Tally>, b: Vec<Tally>| a.into_iter().zip(b).map(|(a, b)| a.add(b)).collect();
    (0..EXPERIMENTS).into_par_iter().map(one).reduce(none, sum)
}

/// Whether the crate gives this verdict, and means it: amounts need a cap.
fn is_given(judge: Judge, setting: &Setting) -> bool {
    let is_open = matches!(setting.users, Users::Buy { cap } if cap == f64::INFINITY);
    let others = [Judge::Naive, Judge::UnguardedDifference, Judge::UnguardedLift];
    !is_open && !others.contains(&judge)
}

#[test]
fn no_verdict_is_wrong_too_often_under_continuous_peeking() {
    let mut naive = 0;
    for setting in SETTINGS.iter().map(shortened) {
        let judges = Judge::of(&setting);
        for (judge, tally) in judges.iter().zip(tallies(&setting, 0.0, &judges)) {
            let wrong = tally.higher + tally.lower;
            if *judge == Judge::Naive {
                naive += wrong;
            }
            // 5 % of 300 is 15; one in ten thousand of such counts is above 30.
            if is_given(*judge, &setting) {
                let name = setting.name;
                assert!(wrong <= 30, "{name}, {judge:?}: {wrong} of {EXPERIMENTS} wrong");
                let missed = tally.without_difference.max(tally.without_lift);
                assert!(missed <= 30, "{name}, {judge:?}: {missed} of {EXPERIMENTS} missed");
            }
        }
    }
    let all = EXPERIMENTS * SETTINGS.len() as u64;
    assert!(naive * 3 > all, "the fixed test at every look: {naive} of {all} wrong");
}

#[test]
fn without_guards_the_usual_sequences_are_wrong_far_too_often() {
    let setting = SETTINGS.iter().find(|it| it.name == "rate .01, 90/10").map(shortened).unwrap();
    let judges = [Judge::UnguardedDifference, Judge::UnguardedLift];
    for tally in tallies(&setting, 0.0, &judges) {
        assert!(tally.higher + tally.lower > EXPERIMENTS / 5);
    }
}

#[test]
fn large_effects_are_found() {
    for name in ["rate .01, 90/10", "rate .05, 50/50", "revenue capped, 50/50"] {
        let setting = SETTINGS.iter().find(|it| it.name == name).map(shortened).unwrap();
        let judges = [Judge::Sequential, Judge::Fixed];
        for (judge, tally) in judges.iter().zip(tallies(&setting, 4.0 * setting.lift, &judges)) {
            assert!(tally.higher * 10 > EXPERIMENTS * 8, "{name}, {judge:?}: {}", tally.higher);
            assert_eq!(tally.lower, 0, "{name}, {judge:?}");
        }
    }
}

#[test]
fn guardrails_at_their_margin_are_rarely_wrong() {
    for setting in SETTINGS.iter().map(shortened) {
        let one = |experiment| verdicts::guardrail(&setting, Draws::new(9, experiment));
        let all = (0..EXPERIMENTS).into_par_iter();
        let tally = all.map(one).reduce(Tally::default, Tally::add);
        let (safe, harmed) = (tally.higher, tally.lower);
        assert!(safe <= 30 && harmed <= 30, "{}: {safe} safe, {harmed} harmed", setting.name);
    }
}

#[test]
fn counts_watched_at_every_step_raise_few_alarms() {
    let alarms = |share: f64| {
        let raised = |experiment: &u64| votes::ratio_alarm(0.5, share, Draws::new(10, *experiment));
        (0..EXPERIMENTS).into_par_iter().filter(raised).count()
    };
    assert!(alarms(0.5) <= 4);
    assert!(alarms(0.52) > 290);
    let decided = |share: f64| {
        let shown = |experiment: &u64| votes::votes_decide(share, Draws::new(11, *experiment));
        (0..EXPERIMENTS).into_par_iter().filter(shown).count()
    };
    assert!(decided(0.5) <= 30);
    assert!(decided(0.55) > 290);
}
