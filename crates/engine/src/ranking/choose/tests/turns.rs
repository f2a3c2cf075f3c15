//! Lists that two rankings fill in turns.

use crate::ranking::choose::tests::propensities::assert_frequencies;
use crate::ranking::choose::tests::*;

const POPULAR: [usize; 10] = [3, 2, 1, 0, 4, 5, 6, 7, 8, 9];

/// What the second side is.
enum Other<'a> {
    Ranker(&'a Choice),
    Popular,
}

/// The first side likes even items, the second one items of a high number.
fn turns(choice: &Choice, other: &Other<'_>, key: u32, pins: &[Pin]) -> Vec<Chosen> {
    let (entries, terms) = world(10);
    let candidates = candidates(&entries, &terms);
    let even: Vec<f64> =
        (0..10).map(|n| if n % 2 == 0 { 1.0 } else { 0.5 } - f64::from(n) / 100.0).collect();
    let high: Vec<f64> = (0..10).map(|n| f64::from(n) / 10.0).collect();
    let exploration = Exploration::default();
    let slate = |scores| Slate { pins, ..slate(&candidates, scores, &exploration) };
    let first = Side::Ranker { slate: slate(&even), choice };
    let second = match other {
        Other::Ranker(choice) => Side::Ranker { slate: slate(&high), choice },
        Other::Popular => Side::Order(&POPULAR),
    };
    let mut rng = seed::stream(1, seed::Purpose::Choose, &key.to_le_bytes());
    choose_in_turns([first, second], pins, choice.positions, &mut rng).chosen
}

#[test]
fn propensities_of_lists_in_turns_are_their_frequencies() {
    const DRAWS: u32 = 20_000;
    let varied = |strategy, positions| Choice {
        strategy,
        positions,
        diversity_weight: 0.3,
        topic_threshold: 0.4,
        ..CHOICE
    };
    let calm = varied(Strategy::EpsilonGreedy, 3);
    for strategy in Strategy::ALL {
        for other in [Other::Ranker(&calm), Other::Popular] {
            let choice = varied(strategy, 3);
            // They are over the coins: who chose does not matter.
            assert_frequencies(&format!("{strategy:?}"), DRAWS, |draw| {
                turns(&choice, &other, draw, &[])
            });
        }
    }
}

#[test]
fn both_choose_once_in_each_round_and_each_is_first_half_of_the_time() {
    let choice = Choice { positions: 6, ..CHOICE };
    let pins = [Pin { candidate: 5, position: 1 }];
    let mut first = 0;
    for draw in 0..2_000 {
        let list = turns(&choice, &Other::Ranker(&choice), draw, &pins);
        assert_eq!((list[1].candidate, list[1].pinned, list.len()), (5, true, 6));
        let by: Vec<usize> = list.iter().filter(|one| !one.pinned).map(|one| one.by).collect();
        assert!(by.chunks_exact(2).all(|round| round[0] != round[1]), "{by:?}");
        first += by[0];
        // Each chooses the best that is left for it.
        let expected = if by[0] == 0 { [0, 9] } else { [9, 0] };
        assert_eq!([list[0].candidate, list[2].candidate], expected);
    }
    assert!((900..1_100).contains(&first), "{first}");
}

#[test]
fn a_side_that_may_show_no_more_passes_and_the_other_goes_on() {
    let one_of_each = Choice { max_per_topic: 1, positions: 8, ..CHOICE };
    let free = Choice { positions: 8, ..CHOICE };
    for draw in 0..200 {
        let list = turns(&one_of_each, &Other::Ranker(&free), draw, &[]);
        assert_eq!(list.len(), 8);
        let by_first: Vec<usize> =
            list.iter().filter(|one| one.by == 0).map(|one| one.candidate % 2).collect();
        assert!(by_first.len() <= 2, "at most one of each topic: {list:?}");
        assert!(list.iter().all(|one| one.propensity > 0.0 && one.propensity <= 1.0));
    }
}
