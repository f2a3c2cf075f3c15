//! Later pages of a list: what is above counts.

use crate::ranking::choose::tests::propensities::assert_frequencies;
use crate::ranking::choose::tests::*;

/// The page below these items: of the ten items of [`chosen`], those that are left.
fn below(choice: &Choice, key: &[u8], above: &[usize]) -> Vec<Chosen> {
    let (entries, terms) = world(10);
    let all = candidates(&entries, &terms);
    let left: Vec<usize> = (0..10).filter(|one| !above.contains(one)).collect();
    let score = |n: usize| if n.is_multiple_of(2) { 1.0 } else { 0.5 } - n as f64 / 100.0;
    let scores: Vec<f64> = left.iter().map(|&one| score(one)).collect();
    let deviations: Vec<f64> = left.iter().map(|&one| DEVIATIONS[one]).collect();
    let candidates: Vec<Candidate<'_>> = left.iter().map(|&one| all[one]).collect();
    let above: Vec<Candidate<'_>> = above.iter().map(|&one| all[one]).collect();
    let exploration = Exploration::default();
    let slate = Slate {
        deviations: &deviations,
        topic_mix: vec![("even", 0.5), ("odd", 0.5)],
        above: &above,
        ..slate(&candidates, &scores, &exploration)
    };
    let mut rng = seed::stream(1, seed::Purpose::Choose, key);
    let list = choose(&slate, choice, None, &mut rng).chosen;
    list.into_iter().map(|one| Chosen { candidate: left[one.candidate], ..one }).collect()
}

/// A list in pages of so many positions, until no more come.
fn pages(choice: &Choice, positions: usize) -> Vec<usize> {
    let mut list = Vec::new();
    loop {
        let page = order(&below(&Choice { positions, ..*choice }, b"a", &list));
        if page.is_empty() {
            return list;
        }
        list.extend(page);
    }
}

#[test]
fn pages_by_relevance_are_the_one_long_list() {
    let long = Choice { positions: 10, ..CHOICE };
    for positions in [1, 3, 4, 10] {
        assert_eq!(pages(&CHOICE, positions), order(&chosen(&long, b"a")));
    }
}

#[test]
fn caps_and_shares_count_over_all_pages() {
    let three = Choice { max_per_topic: 3, ..CHOICE };
    assert_eq!(pages(&three, 4), [0, 2, 4, 1, 3, 5]);
    let five = Choice { max_per_source: 5, ..CHOICE };
    assert_eq!(pages(&five, 2), [0, 2, 4, 6, 8]);
    // Half of four positions, half of eight, then what is left.
    let half = Choice { topic_threshold: 0.5, ..CHOICE };
    assert_eq!(pages(&half, 4), [0, 2, 1, 3, 4, 6, 5, 7, 8, 9]);
    // A topic that has more than its share above waits until the others have caught up.
    assert_eq!(order(&below(&half, b"a", &[0, 2, 4, 6])), [1, 3, 5, 7]);
}

#[test]
fn variety_looks_at_the_items_of_the_pages_before() {
    for method in [DiversityMethod::Dpp, DiversityMethod::Calibrated] {
        let varied = Choice { method, diversity_weight: 0.7, positions: 1, ..CHOICE };
        assert_eq!(order(&below(&varied, b"a", &[])), [0], "{method:?}");
        assert_eq!(order(&below(&varied, b"a", &[0])), [1], "{method:?}");
        assert_eq!(order(&below(&varied, b"a", &[1])), [0], "{method:?}");
    }
}

#[test]
fn propensities_of_a_later_page_are_its_frequencies_given_the_pages_before() {
    const DRAWS: u32 = 12_000;
    let methods = [DiversityMethod::None, DiversityMethod::Dpp, DiversityMethod::Calibrated];
    for (strategy, method) in Strategy::ALL.into_iter().zip(methods.into_iter().cycle()) {
        let choice = Choice {
            strategy,
            method,
            positions: 2,
            diversity_weight: 0.5,
            topic_threshold: 0.5,
            ..CHOICE
        };
        assert_frequencies(&format!("{strategy:?} {method:?}"), DRAWS, |draw| {
            below(&choice, &draw.to_le_bytes(), &[0, 3, 2])
        });
    }
}
