//! Lists that are given: their probabilities are those of drawing them.

use crate::ranking::choose::tests::propensities::METHODS;
use crate::ranking::choose::tests::*;

fn placed(list: &[Chosen]) -> Vec<Placed> {
    let placed = |one: &Chosen| Placed { candidate: one.candidate, pinned: one.pinned };
    list.iter().map(placed).collect()
}

fn chosen_ones(candidates: &[usize]) -> Vec<Placed> {
    candidates.iter().map(|&candidate| Placed { candidate, pinned: false }).collect()
}

/// The slate of [`chosen`], with pins and new items.
fn with_slate<T>(pins: &[Pin], exploration: &Exploration, look: impl FnOnce(&Slate<'_>) -> T) -> T {
    let (entries, terms) = world(10);
    let scores: Vec<f64> =
        (0..10).map(|n| if n % 2 == 0 { 1.0 } else { 0.5 } - f64::from(n) / 100.0).collect();
    let candidates = candidates(&entries, &terms);
    let topic_mix = vec![("even", 0.5), ("odd", 0.5)];
    look(&Slate { topic_mix, pins, ..slate(&candidates, &scores, exploration) })
}

fn followed(slate: &Slate<'_>, choice: &Choice, shown: &[Placed]) -> Vec<f64> {
    follow(slate, choice, shown, || Ok::<(), ()>(())).unwrap()
}

#[test]
fn a_list_that_was_drawn_has_the_propensities_of_the_draw_under_every_strategy() {
    let is_new: Vec<bool> = (0..10).map(|n| n >= 8).collect();
    let new = [Exploration::default(), Exploration::marking(0.2, &is_new)];
    let pins = [Pin { candidate: 9, position: 1 }, Pin { candidate: 4, position: 5 }];
    let rules = [
        CHOICE,
        Choice { diversity_weight: 0.5, topic_threshold: 0.5, ..CHOICE },
        Choice { max_per_topic: 2, ..CHOICE },
        Choice { diversity_weight: 0.5, max_per_topic: 3, max_per_source: 5, ..CHOICE },
    ];
    for strategy in Strategy::ALL {
        for (method, rule) in METHODS.into_iter().flat_map(|it| rules.map(|rule| (it, rule))) {
            let choice = Choice { strategy, method, positions: 6, ..rule };
            for (pins, exploration) in [&pins[..], &[]].into_iter().zip(&new) {
                with_slate(pins, exploration, |slate| {
                    for key in 0..40_u32 {
                        let mut rng = seed::stream(1, seed::Purpose::Choose, &key.to_le_bytes());
                        let drawn = choose(slate, &choice, None, &mut rng).chosen;
                        let expected: Vec<f64> = drawn.iter().map(|one| one.propensity).collect();
                        let found = followed(slate, &choice, &placed(&drawn));
                        assert_eq!(found, expected, "{strategy:?} {method:?} {drawn:?}");
                    }
                });
            }
        }
    }
}

#[test]
fn what_cannot_come_has_no_chance_and_the_rest_is_a_later_page_below_it() {
    let choice = Choice { strategy: Strategy::EpsilonGreedy, max_per_topic: 2, ..CHOICE };
    with_slate(&[], &Exploration::default(), |slate| {
        // The cap on even items is reached at the third.
        let found = followed(slate, &choice, &chosen_ones(&[0, 2, 4, 1]));
        assert_eq!(found[2], 0.0);
        // Below them any of five odd ones, of which 1 is the best.
        assert!((found[3] - (0.7 + 0.3 / 5.0)).abs() < 1e-12, "{found:?}");
        // An excluded item counts for the cap as well: of the even ones one more may come.
        let slate = Slate { excluded: &[8], ..slate.clone() };
        let found = followed(&slate, &choice, &chosen_ones(&[8, 0, 1, 3]));
        let below = [0.7 + 0.3 / 9.0, 0.7 + 0.3 / 5.0, 0.7 + 0.3 / 4.0];
        assert_eq!(found[0], 0.0);
        for (found, expected) in found[1..].iter().zip(below) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    });
}

#[test]
fn a_pin_that_may_no_longer_be_one_still_stands_above_the_rest() {
    let greedy = Choice { topic_threshold: 0.5, ..CHOICE };
    with_slate(&[], &Exploration::default(), |slate| {
        let mut shown = chosen_ones(&[6, 0, 1, 3]);
        shown[0].pinned = true;
        // Two of four positions are for even items: 6 and 0 have them.
        assert_eq!(followed(slate, &greedy, &shown), [1.0; 4]);
        // As a choice it would not have come.
        shown[0].pinned = false;
        assert_eq!(followed(slate, &greedy, &shown), [0.0, 1.0, 1.0, 1.0]);
    });
}

#[test]
fn following_ends_when_it_is_given_up() {
    with_slate(&[], &Exploration::default(), |slate| {
        let slate = Slate { excluded: &[8], ..slate.clone() };
        let given_up = follow(&slate, &CHOICE, &chosen_ones(&[8, 0]), || Err("given up"));
        assert_eq!(given_up, Err("given up"));
    });
}
