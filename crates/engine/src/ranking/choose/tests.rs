//! Lists from scored candidates: order, variety, caps, pins, propensities.

mod followed;
mod origins;
mod pages;
mod propensities;
mod turns;

use std::sync::Arc;

use crate::domain::Item;
use crate::domain::ItemId;
use crate::models::content::SparseVector;
use crate::models::content::TermVectors;
use crate::ranking::choose::*;
use crate::seed;
use crate::state::Entry;

const CHOICE: Choice = Choice {
    strategy: Strategy::Greedy,
    epsilon: 0.3,
    exploring: Exploring { scale: 1.0, gamma: 10.0, floor: 0.1 },
    method: DiversityMethod::Dpp,
    diversity_weight: 0.0,
    serendipity_weight: 0.0,
    novelty_weight: 0.0,
    topic_threshold: 0.0,
    source_threshold: 0.0,
    max_per_topic: 0,
    max_per_source: 0,
    positions: 4,
};

/// Standard deviations of the ten items' rewards.
const DEVIATIONS: [f64; 10] = [0.1, 0.2, 0.0, 0.5, 0.05, 0.4, 0.3, 0.1, 0.6, 0.2];

/// Items of two topics in turn, each with terms of its topic only.
fn world(count: usize) -> (Vec<Entry>, Vec<TermVectors>) {
    let entry = |number: usize| Entry {
        item: Some(Arc::new(Item {
            topics: vec![["even", "odd"][number % 2].into()],
            source: Some("one".into()),
            ..Item::new(ItemId::parse(number.to_string()).unwrap())
        })),
        ..Entry::default()
    };
    let terms = |number: usize| SparseVector::new(vec![(number as u32 % 2, 1.0)]).into();
    ((0..count).map(entry).collect(), (0..count).map(terms).collect())
}

/// Chooses among ten items of which the even ones score best.
fn chosen(choice: &Choice, key: &[u8]) -> Vec<Chosen> {
    pinned(choice, key, &[])
}

fn pinned(choice: &Choice, key: &[u8], pins: &[Pin]) -> Vec<Chosen> {
    exploring(choice, key, pins, &Exploration::default())
}

fn exploring(choice: &Choice, key: &[u8], pins: &[Pin], exploration: &Exploration) -> Vec<Chosen> {
    let (entries, terms) = world(10);
    let scores: Vec<f64> =
        (0..10).map(|n| if n % 2 == 0 { 1.0 } else { 0.5 } - f64::from(n) / 100.0).collect();
    let candidates = candidates(&entries, &terms);
    let (recent, novelty) = (vec![candidates[0]], (0..10).map(|n| f64::from(n) / 9.0).collect());
    let topic_mix = vec![("even", 0.5), ("odd", 0.5)];
    let plain = slate(&candidates, &scores, exploration);
    let slate = Slate { recent, novelty, topic_mix, pins, ..plain };
    choose(&slate, choice, None, &mut seed::stream(1, seed::Purpose::Choose, key)).chosen
}

/// A slate with nothing but the scores and deviations.
fn slate<'a>(
    candidates: &'a [Candidate<'a>],
    scores: &'a [f64],
    exploration: &'a Exploration,
) -> Slate<'a> {
    Slate {
        candidates,
        scores,
        deviations: &DEVIATIONS,
        recent: Vec::new(),
        novelty: Vec::new(),
        topic_mix: Vec::new(),
        exploration,
        above: &[],
        pins: &[],
        excluded: &[],
        also: &[],
        costs: None,
    }
}

fn candidates<'a>(entries: &'a [Entry], terms: &'a [TermVectors]) -> Vec<Candidate<'a>> {
    let candidate = |(entry, terms)| Candidate { index: None, entry, terms };
    entries.iter().zip(terms).map(candidate).collect()
}

fn order(chosen: &[Chosen]) -> Vec<usize> {
    chosen.iter().map(|chosen| chosen.candidate).collect()
}

#[test]
fn greedy_takes_the_best_scores_with_certainty() {
    let list = chosen(&CHOICE, b"a");
    assert_eq!(order(&list), [0, 2, 4, 6]);
    assert!(list.iter().all(|chosen| chosen.propensity == 1.0));
}

#[test]
fn diversity_adds_the_other_topic() {
    let list = order(&chosen(&Choice { diversity_weight: 0.6, ..CHOICE }, b"a"));
    assert_eq!(list[..2], [0, 1]);
}

#[test]
fn a_topic_takes_at_most_its_share_unless_the_list_would_be_short() {
    let half = Choice { topic_threshold: 0.5, ..CHOICE };
    assert_eq!(order(&chosen(&half, b"a")), [0, 2, 1, 3]);
    let sources = Choice { source_threshold: 0.9, ..CHOICE };
    assert_eq!(chosen(&sources, b"a").len(), 4);
}

/// 20,000 draws: a share of p = 0.3 has a standard deviation of 0.0032. Five of them are
/// exceeded by chance once in two million runs. The seeds are fixed.
#[test]
fn propensities_are_the_frequencies_of_what_is_chosen() {
    assert_calibrated(&Exploration::default());
}

#[test]
fn propensities_are_frequencies_with_a_share_of_new_items_too() {
    let is_new: Vec<bool> = (0..10).map(|n| n >= 7).collect();
    let propensities = assert_calibrated(&Exploration::marking(0.2, &is_new));
    let new: f64 = propensities[7..].iter().sum();
    assert!((new - (0.2 + 0.8 * 0.3 * 3.0 / 10.0)).abs() < 1e-9, "{propensities:?}");
}

#[test]
fn a_new_item_may_take_a_position_however_low_it_scores() {
    let (entries, terms) = world(200);
    let candidates = candidates(&entries, &terms);
    let scores: Vec<f64> = (0..200).map(|n| -f64::from(n)).collect();
    let is_new: Vec<bool> = (0..200).map(|n| n == 199).collect();
    let exploration = Exploration::marking(0.5, &is_new);
    let is_shown = |key: u32| {
        let slate = Slate { deviations: &[], ..slate(&candidates, &scores, &exploration) };
        let mut rng = seed::stream(1, seed::Purpose::Choose, &key.to_le_bytes());
        let list = choose(&slate, &CHOICE, None, &mut rng).chosen;
        assert_eq!(list.len(), 4);
        list.iter().any(|chosen| chosen.candidate == 199)
    };
    // Of 100 lists of four positions 6 are expected to miss it, with a deviation of 2.4.
    assert!((0..100).filter(|&key| is_shown(key)).count() > 80);
}

fn assert_calibrated(exploration: &Exploration) -> [f64; 10] {
    let choice = Choice { strategy: Strategy::EpsilonGreedy, positions: 1, ..CHOICE };
    let draws = 20_000_u32;
    let mut counts = [0_u32; 10];
    let mut propensities = [0.0; 10];
    for draw in 0..draws {
        let first = exploring(&choice, &draw.to_le_bytes(), &[], exploration)[0];
        counts[first.candidate] += 1;
        propensities[first.candidate] = first.propensity;
    }
    for (count, propensity) in counts.iter().zip(propensities) {
        let share = f64::from(*count) / f64::from(draws);
        let deviation = (propensity * (1.0 - propensity) / f64::from(draws)).sqrt();
        assert!((share - propensity).abs() < 5.0 * deviation, "{share} against {propensity}");
    }
    assert!((propensities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    propensities
}

#[test]
fn every_method_mixes_topics_when_relevance_alone_would_not() {
    for method in [DiversityMethod::Dpp, DiversityMethod::Calibrated] {
        let list = order(&chosen(&Choice { method, diversity_weight: 0.7, ..CHOICE }, b"a"));
        assert!(list.iter().any(|item| item % 2 == 1), "{method:?} {list:?}");
        assert_eq!(list[0], 0, "{method:?}");
    }
    let none = Choice { method: DiversityMethod::None, diversity_weight: 0.7, ..CHOICE };
    assert_eq!(order(&chosen(&none, b"a")), [0, 2, 4, 6]);
}

#[test]
fn unexpected_and_little_known_items_rise_with_their_weights() {
    let unlike = order(&chosen(&Choice { serendipity_weight: 1.0, ..CHOICE }, b"a"));
    assert!(unlike.iter().all(|item| item % 2 == 1), "{unlike:?}");
    let unknown = order(&chosen(&Choice { novelty_weight: 1.0, ..CHOICE }, b"a"));
    assert_eq!(unknown, [9, 8, 7, 6]);
}

#[test]
fn absolute_caps_are_kept_even_if_the_list_gets_shorter() {
    let two = Choice { max_per_topic: 1, ..CHOICE };
    assert_eq!(order(&chosen(&two, b"a")), [0, 1]);
    let three =
        Choice { max_per_source: 3, epsilon: 0.9, strategy: Strategy::EpsilonGreedy, ..CHOICE };
    assert_eq!(chosen(&three, b"a").len(), 3);
}

#[test]
fn an_item_that_two_topics_claim_does_not_come_at_the_price_of_a_shorter_list() {
    let (mut entries, terms) = world(10);
    let both = Arc::make_mut(entries[0].item.as_mut().unwrap());
    both.topics = vec!["even".into(), "odd".into()];
    let candidates = candidates(&entries, &terms);
    let scores: Vec<f64> = (0..10).map(|n| -f64::from(n)).collect();
    let exploration = Exploration::default();
    let slate = Slate { deviations: &[], ..slate(&candidates, &scores, &exploration) };
    for (strategy, positions, expected) in [
        (Strategy::Greedy, 1, vec![0]),
        (Strategy::Greedy, 2, vec![1, 2]),
        (Strategy::EpsilonGreedy, 2, vec![]),
    ] {
        let choice = Choice { max_per_topic: 1, strategy, positions, ..CHOICE };
        for key in 0..50_u32 {
            let mut rng = seed::stream(1, seed::Purpose::Choose, &key.to_le_bytes());
            let list = order(&choose(&slate, &choice, None, &mut rng).chosen);
            assert_eq!(list.len(), positions, "{list:?}");
            assert!(expected.is_empty() || list == expected, "{list:?}");
        }
    }
}

#[test]
fn a_source_with_low_scores_fills_the_list_that_a_cap_would_leave_short() {
    let (mut entries, terms) = world(400);
    for entry in &mut entries[390..] {
        Arc::make_mut(entry.item.as_mut().unwrap()).source = Some("two".into());
    }
    let candidates = candidates(&entries, &terms);
    let scores: Vec<f64> = (0..400).map(|n| -f64::from(n)).collect();
    let exploration = Exploration::default();
    let slate = Slate { deviations: &[], ..slate(&candidates, &scores, &exploration) };
    let choice = Choice { max_per_source: 2, ..CHOICE };
    let mut rng = seed::stream(1, seed::Purpose::Choose, b"a");
    let list = choose(&slate, &choice, None, &mut rng).chosen;
    assert_eq!(order(&list), [0, 1, 390, 391]);
}

#[test]
fn pins_take_their_positions_with_certainty_and_the_rest_is_chosen_around_them() {
    let pins = [Pin { candidate: 9, position: 2 }, Pin { candidate: 7, position: 0 }];
    let list = pinned(&CHOICE, b"a", &pins);
    assert_eq!(order(&list), [7, 0, 9, 2]);
    let certain: Vec<_> = list.iter().map(|one| (one.pinned, one.propensity)).collect();
    assert_eq!(certain, [(true, 1.0), (false, 1.0), (true, 1.0), (false, 1.0)]);
    let short = Choice { max_per_topic: 1, positions: 10, ..CHOICE };
    let far = [Pin { candidate: 4, position: 9 }];
    // The pin is the one of its topic that the cap allows.
    assert_eq!(order(&pinned(&short, b"a", &far)), [1, 4]);
}

#[test]
fn a_pin_further_down_has_its_space_under_a_cap_whatever_is_drawn_above_it() {
    let two = Choice { max_per_topic: 2, ..CHOICE };
    let last = [Pin { candidate: 4, position: 3 }];
    assert_eq!(order(&pinned(&two, b"a", &last)), [0, 1, 3, 4]);
    for strategy in Strategy::ALL {
        for key in 0..100_u32 {
            let list = pinned(&Choice { strategy, ..two }, &key.to_le_bytes(), &last);
            let even = list.iter().filter(|one| one.candidate % 2 == 0).count();
            assert_eq!((list.len(), even), (4, 2), "{strategy:?} {list:?}");
        }
    }
    // Pins are the caller's own word: more of them than the cap allows are there.
    let three = [4, 6, 8].map(|candidate| Pin { candidate, position: candidate / 2 - 1 });
    assert_eq!(order(&pinned(&two, b"a", &three)), [1, 4, 6, 8]);
}
