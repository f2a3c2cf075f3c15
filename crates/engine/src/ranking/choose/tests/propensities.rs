//! Propensities against frequencies: of every strategy, with every kind of variety.
//!
//! Seeds are fixed. A bound is exceeded by chance with a probability below 1e-5 (chosen once).

use std::collections::BTreeMap;

use crate::ranking::choose::policy::Draw;
use crate::ranking::choose::policy::Policy;
use crate::ranking::choose::pool::Pool;
use crate::ranking::choose::tests::*;

pub const METHODS: [DiversityMethod; 3] =
    [DiversityMethod::None, DiversityMethod::Dpp, DiversityMethod::Calibrated];

fn varied(strategy: Strategy, method: DiversityMethod, positions: usize) -> Choice {
    let (diversity_weight, topic_threshold) = (0.5, 0.5);
    Choice { strategy, method, positions, diversity_weight, topic_threshold, ..CHOICE }
}

fn new_items(share: f64) -> Exploration {
    let is_new: Vec<bool> = (0..10).map(|n| n >= 8).collect();
    if share > 0.0 { Exploration::marking(share, &is_new) } else { Exploration::default() }
}

/// The statistic of counts against expectations of at least 5, the rest pooled, and the number
/// of cells.
fn chi_square(counts: &[(u32, f64)], draws: u32) -> (f64, usize) {
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut rest = (f64::from(draws), f64::from(draws));
    for &(count, share) in counts {
        let expected = share * f64::from(draws);
        if expected >= 5.0 {
            cells.push((f64::from(count), expected));
            rest = (rest.0 - f64::from(count), rest.1 - expected);
        }
    }
    if rest.1 >= 1.0 {
        cells.push(rest);
    }
    (cells.iter().map(|(count, expected)| (count - expected).powi(2) / expected).sum(), cells.len())
}

/// Exceeded with a probability below 1e-5 (Wilson and Hilferty).
fn bound(cells: usize) -> f64 {
    let k = (cells.max(2) - 1) as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 4.26 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

/// The propensity of a list is the product over its positions, each given those above, whatever else was
/// drawn. So the frequency of a list must be this product.
pub fn assert_frequencies(what: &str, draws: u32, list: impl Fn(u32) -> Vec<Chosen>) {
    let mut lists = BTreeMap::<Vec<usize>, (u32, f64)>::new();
    for draw in 0..draws {
        let list = list(draw);
        let propensity: f64 = list.iter().map(|one| one.propensity).product();
        let known = lists.entry(order(&list)).or_insert((0, propensity));
        assert!((known.1 - propensity).abs() < 1e-9, "{what} {list:?}");
        known.0 += 1;
    }
    let counts: Vec<(u32, f64)> = lists.into_values().collect();
    let (statistic, cells) = chi_square(&counts, draws);
    assert!(statistic < bound(cells), "{what}: {statistic} of {cells} cells");
}

#[test]
fn propensities_of_lists_are_their_frequencies_under_every_strategy_and_method() {
    const DRAWS: u32 = 12_000;
    for strategy in Strategy::ALL {
        for (number, method) in METHODS.into_iter().enumerate() {
            // Every other method has a share for new items.
            let exploration = new_items(if number % 2 == 0 { 0.2 } else { 0.0 });
            let choice = varied(strategy, method, 2);
            assert_frequencies(&format!("{strategy:?} {method:?}"), DRAWS, |draw| {
                exploring(&choice, &draw.to_le_bytes(), &[], &exploration)
            });
        }
    }
}

#[test]
fn at_every_position_the_propensities_of_the_admissible_add_up_to_one() {
    let (entries, terms) = world(10);
    let candidates = candidates(&entries, &terms);
    let scores: Vec<f64> = (0..10).map(|n| f64::from(n * 7 % 10) / 10.0).collect();
    for strategy in Strategy::ALL {
        for method in METHODS {
            let choice = varied(strategy, method, 6);
            let exploration = new_items(0.2);
            let topic_mix = vec![("even", 0.5), ("odd", 0.5)];
            let slate = Slate { topic_mix, ..slate(&candidates, &scores, &exploration) };
            let mut rng = seed::stream(1, seed::Purpose::Choose, b"a");
            let (mut pool, mut policy) = (Pool::new(&slate, &choice), Policy::new(&choice));
            for position in 0..6 {
                assert!(pool.look());
                let admissible = pool.admissible().to_vec();
                let members = admissible.iter().map(|&member| (member, pool.candidate(member)));
                let for_new = exploration.at_position(members);
                let mut of = |member: usize| {
                    let draw = policy.choose(&pool, Some(member), &mut rng);
                    assert_eq!(draw.member, member);
                    for_new.propensity(member, draw.propensity)
                };
                let propensities: Vec<f64> = admissible.iter().map(|&member| of(member)).collect();
                let sum: f64 = propensities.iter().sum();
                assert!((sum - 1.0).abs() < 1e-9, "{strategy:?} {method:?} {position}: {sum}");
                let least = match strategy {
                    Strategy::Greedy => 0.0,
                    Strategy::EpsilonGreedy => 0.8 * 0.3,
                    _ => 0.8 * 0.1,
                } / admissible.len() as f64;
                assert!(propensities.iter().all(|p| *p >= least - 1e-12), "{propensities:?}");
                let Draw { member, .. } = policy.choose(&pool, None, &mut rng);
                pool.take(member);
            }
        }
    }
}

#[test]
fn uncertainty_gives_a_chance_and_certainty_is_greedy() {
    let thompson = varied(Strategy::Thompson, DiversityMethod::None, 1);
    let first = |scale: f64, key: u32| {
        let exploring = Exploring { scale, floor: 1e-4, ..CHOICE.exploring };
        chosen(&Choice { exploring, ..thompson }, &key.to_le_bytes())[0]
    };
    assert!((0..50).all(|key| first(0.0, key).candidate == 0));
    // The score of item 8 is .08 below the best, with a deviation of .6.
    let took = (0..1_000).filter(|&key| first(1.0, key).candidate == 8).count();
    assert!((100..500).contains(&took), "{took}");
}

#[test]
fn inverse_gap_weighting_is_the_formula_on_the_scale_of_scores() {
    let choice = Choice {
        exploring: Exploring { floor: 1e-4, ..CHOICE.exploring },
        ..varied(Strategy::SquareCb, DiversityMethod::None, 1)
    };
    // Score 1 - n / 100 for even n, .5 - n / 100 for odd n; gamma 10.
    for key in 0..200_u32 {
        let first = chosen(&choice, &key.to_le_bytes())[0];
        let gap = first.candidate as f64 / 100.0 + 0.5 * (first.candidate % 2) as f64;
        if first.candidate != 0 {
            let expected = (1.0 - 1e-4) / (10.0 + 10.0 * gap) + 1e-5;
            assert!((first.propensity - expected).abs() < 1e-9, "{first:?}");
        }
    }
}
