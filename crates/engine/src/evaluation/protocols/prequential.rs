//! Test, then learn (Vinagre et al. 2014): positives only, one by one.
//!
//! - Candidates are the items that the user has not yet had as a positive. A positive
//!   that the user had before cannot be ranked: it is learnt and not counted. With
//!   repeats every item is a candidate and every begin of a use counts ([`super::uses`]).
//! - `now` is the time of the event. Nothing is ever seen before it is tested.
//! - A recommender and its parts are scored in one pass over its state.

use xxhash_rust::xxh3::xxh3_64;

use crate::evaluation::dataset::Dataset;
use crate::evaluation::facts::Facts;
use crate::evaluation::protocols::Case;
use crate::evaluation::protocols::Outcome;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Scores;
use crate::evaluation::protocols::Task;
use crate::evaluation::protocols::best;
use crate::evaluation::protocols::names;
use crate::evaluation::protocols::uses;
use crate::evaluation::recommender::Recommender;

/// One case per positive that is tested, in order of time, for the recommender and for each of its parts.
pub fn prequential(
    dataset: &Dataset,
    task: &Task,
    facts: &Facts,
    recommender: &mut dyn Recommender,
    progress: Progress<'_>,
) -> Outcome {
    let total = dataset.positives(task.positive) as u64;
    let share = task.max_cases as f64 / total.max(1) as f64;
    let mut outcome: Outcome =
        names(&*recommender).into_iter().map(|name| (name, Vec::new())).collect();
    let mut had_by_user: Vec<Vec<u32>> = vec![Vec::new(); dataset.users.len()];
    let mut history_of = vec![0_u32; dataset.users.len()];
    let mut scores = Scores::new(dataset.items.len(), outcome.len() - 1);
    let begins = uses(dataset, task.positive);
    let rows = dataset.rows.iter().zip(&begins).filter(|(row, _)| row.value >= task.positive);
    for (done, (row, begins)) in (0..).zip(rows) {
        progress(done, total);
        let had = &mut had_by_user[row.user as usize];
        let history = &mut history_of[row.user as usize];
        let position = had.binary_search(&row.item);
        if *begins && (task.repeats || position.is_err()) && is_drawn(done, share) {
            let excluded: &[u32] = if task.repeats { &[] } else { had };
            scores.fill(&*recommender, (row.user, row.at), excluded);
            let candidates = dataset.items.len() - excluded.len();
            for ((_, cases), scores) in outcome.iter_mut().zip(scores.all()) {
                cases.push(Case {
                    user: row.user,
                    had: 0..*history,
                    list: best(task.k, scores),
                    expected: facts.expected(task.k, excluded),
                    relevant: vec![row.item],
                    rank: Some(rank_of(row.item as usize, scores, candidates)),
                });
            }
        }
        if let Err(position) = position {
            had.insert(position, row.item);
        }
        *history += 1;
        recommender.learn(row);
    }
    progress(total, total);
    outcome
}

/// Whether the event is among the share of them that is tested.
fn is_drawn(event: u64, share: f64) -> bool {
    const ALL: f64 = u64::MAX as f64;
    share >= 1.0 || (xxh3_64(&event.to_le_bytes()) as f64) < share * ALL
}

/// Rank from 1 of `target`: how many items score higher, or the same with a lower
/// index, plus one. The last of `candidates` when its score is not finite.
fn rank_of(target: usize, scores: &[f32], candidates: usize) -> u32 {
    let own = scores[target];
    if !own.is_finite() {
        return u32::try_from(candidates).expect("items are counted in 32 bits");
    }
    // Counts in u32 so that the loops vectorise; NaN fails every comparison.
    let before: u32 =
        scores[..target].iter().map(|x| u32::from((*x >= own) & (*x < f32::INFINITY))).sum();
    let after: u32 =
        scores[target + 1..].iter().map(|x| u32::from((*x > own) & (*x < f32::INFINITY))).sum();
    1 + before + after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_not_finite_rank_last_and_never_push_others_down() {
        let scores = [f32::INFINITY, f32::NAN, 1.0, f32::NEG_INFINITY, 2.0];
        assert_eq!(rank_of(4, &scores, 5), 1);
        assert_eq!(rank_of(2, &scores, 5), 2);
        for diverged in [0, 1, 3] {
            assert_eq!(rank_of(diverged, &scores, 5), 5);
        }
        assert_eq!(rank_of(0, &[f32::NAN; 7], 7), 7, "a diverged model once won by its ties");
        assert_eq!(best(3, &scores), [4, 2]);
    }

    #[test]
    fn about_the_requested_share_of_events_is_drawn() {
        let drawn = (0..10_000).filter(|&event| is_drawn(event, 0.1)).count();
        // Standard deviation 30: five of them.
        assert!((850..1_150).contains(&drawn), "{drawn}");
        assert!((0..100).all(|event| is_drawn(event, 1.0)));
    }
}
