//! Item-item weights in closed form (EASE): which items say that another one is wanted.
//!
//! With X the users x items matrix of what people wanted, `P = (X'X + l I)^-1` and
//! `B[j,c] = -P[j,c] / P[c,c]`, `B[c,c] = 0`: the linear map that best restores each
//! item from the others under an L2 weight l. The score of a candidate c is the sum of
//! `0.9^t B[j,c]` over the items j a person wanted, the newest first (t = 0): what
//! somebody did last says most about what comes next.
//! Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019).
//!
//! - Only the most wanted items take part: the inverse costs n^3 operations. All others
//!   are the business of the factors and of co-occurrence.
//! - Rows keep their strongest positive weights, sorted by item.
//! - Fitted by faer, whose bits depend on the CPU: the rows enter the state as data.

use std::sync::OnceLock;

use faer::Mat;
use faer::Side;
use faer::linalg::solvers::DenseSolveCore;
use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;
use serde::Deserialize;
use serde::Serialize;

use super::training_set::TrainingSet;
use crate::engine::column::Digest;
use crate::engine::column::encode;

/// Items that take part at most: 4,096^3 operations are a few seconds on one core.
pub const ITEM_ITEM_MAX: usize = 4_096;
/// People who must want an item before it takes part.
const SUPPORT_MIN: usize = 2;
/// Weights kept of a row.
const NEIGHBOURS_MAX: usize = 128;
/// Newest items of a person that are scored from.
const PATH: usize = 40;
const RECENCY_WEIGHT: f32 = 0.9;
/// Scores kept of a person.
const SCORES_MAX: usize = 1_024;

/// Sparse rows of B.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ItemItem {
    /// By item: what it says of others, sorted by item. Empty where nothing is known.
    rows: Vec<Vec<(u32, f32)>>,
    #[serde(skip)]
    digest: OnceLock<Digest>,
}

/// Scores of one person, sorted by item; an item that is missing has 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemItemScores(Vec<(u32, f32)>);

impl ItemItem {
    /// Fits the weights; `l2` is above 0, in observations. `None` when nothing takes part
    /// or the system cannot be solved.
    pub fn fit(set: &TrainingSet, l2: f64) -> Option<Self> {
        let chosen = most_wanted(set);
        if chosen.len() < 2 {
            return None;
        }
        let n = chosen.len();
        let mut place = vec![u32::MAX; set.n_items()];
        for (at, &item) in chosen.iter().enumerate() {
            place[item as usize] = at as u32;
        }
        let mut gram = Mat::<f32>::zeros(n, n);
        let mut row = Vec::new();
        for user in 0..set.n_users() {
            let (items, confidences) = set.row(user);
            row.clear();
            let wanted = items.iter().zip(confidences).filter(|entry| *entry.1 > 0.0);
            row.extend(wanted.map(|(&item, _)| place[item as usize]).filter(|&at| at != u32::MAX));
            for &left in &row {
                for &right in &row {
                    gram[(left as usize, right as usize)] += 1.0;
                }
            }
        }
        for at in 0..n {
            gram[(at, at)] += l2 as f32;
        }
        let inverse = gram.llt(Side::Lower).ok()?.inverse();
        let diagonal: Vec<f32> = (0..n).map(|at| inverse[(at, at)]).collect();
        if diagonal.iter().any(|value| !(value.is_finite() && *value > 0.0)) {
            return None;
        }
        let weights = |from: usize| {
            let weight = |to: usize| -inverse[(to, from)] / diagonal[to];
            let mut row: Vec<(u32, f32)> = (0..n)
                .filter(|&to| to != from)
                .map(|to| (chosen[to], weight(to)))
                .filter(|(_, weight)| weight.is_finite() && *weight > 0.0)
                .collect();
            if row.len() > NEIGHBOURS_MAX {
                row.select_nth_unstable_by(NEIGHBOURS_MAX - 1, |a, b| {
                    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
                });
                row.truncate(NEIGHBOURS_MAX);
            }
            row.sort_unstable_by_key(|entry| entry.0);
            row
        };
        let fitted: Vec<Vec<(u32, f32)>> = (0..n).into_par_iter().map(weights).collect();
        let mut rows = vec![Vec::new(); set.n_items()];
        for (&item, row) in chosen.iter().zip(fitted) {
            rows[item as usize] = row;
        }
        Some(Self { rows, digest: OnceLock::new() })
    }

    /// Items with a row.
    pub fn len(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_empty()).count()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(Vec::is_empty)
    }

    /// Whether every weight is a finite number and every item below `n_items`.
    pub fn is_sound(&self, n_items: usize) -> bool {
        self.rows.len() <= n_items
            && self.rows.iter().flatten().all(|(item, weight)| {
                (*item as usize) < n_items && weight.is_finite() && *weight > 0.0
            })
    }

    /// Scores of all items for somebody who wanted `path`, the newest first.
    pub fn scores(&self, path: impl Iterator<Item = u32>) -> ItemItemScores {
        let mut parts: Vec<(u32, f32)> = Vec::new();
        let mut recency = 1.0;
        for item in path.take(PATH) {
            if let Some(row) = self.rows.get(item as usize) {
                parts.extend(row.iter().map(|&(to, weight)| (to, recency * weight)));
            }
            recency *= RECENCY_WEIGHT;
        }
        // Stable: equal items keep the order of the path, so sums have one order.
        parts.sort_by_key(|part| part.0);
        let mut scores: Vec<(u32, f32)> = Vec::with_capacity(parts.len());
        for (item, part) in parts {
            match scores.last_mut() {
                Some(last) if last.0 == item => last.1 += part,
                _ => scores.push((item, part)),
            }
        }
        if scores.len() > SCORES_MAX {
            scores.select_nth_unstable_by(SCORES_MAX - 1, |a, b| {
                b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
            });
            scores.truncate(SCORES_MAX);
            scores.sort_unstable_by_key(|score| score.0);
        }
        ItemItemScores(scores)
    }

    /// The item of `path` that says most for `candidate`, the newest first.
    pub fn cause(&self, path: impl Iterator<Item = u32>, candidate: u32) -> Option<u32> {
        let mut best: Option<(f32, u32)> = None;
        let mut recency = 1.0;
        for item in path.take(PATH) {
            let row = self.rows.get(item as usize).map_or(&[][..], Vec::as_slice);
            if let Ok(place) = row.binary_search_by_key(&candidate, |entry| entry.0) {
                let part = recency * row[place].1;
                if best.is_none_or(|(strongest, _)| part > strongest) {
                    best = Some((part, item));
                }
            }
            recency *= RECENCY_WEIGHT;
        }
        best.map(|(_, item)| item)
    }

    /// Hash of the weights, made once.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| *blake3::hash(&encode(&self.rows)).as_bytes())
    }
}

impl ItemItemScores {
    pub fn of(&self, item: u32) -> f32 {
        let found = self.0.binary_search_by_key(&item, |score| score.0);
        found.map_or(0.0, |place| self.0[place].1)
    }

    /// Items with their scores, by item.
    pub fn entries(&self) -> &[(u32, f32)] {
        &self.0
    }
}

/// The items that take part, by index.
fn most_wanted(set: &TrainingSet) -> Vec<u32> {
    let mut counts = vec![0_usize; set.n_items()];
    for user in 0..set.n_users() {
        let (items, confidences) = set.row(user);
        for (&item, _) in items.iter().zip(confidences).filter(|entry| *entry.1 > 0.0) {
            counts[item as usize] += 1;
        }
    }
    let mut chosen: Vec<u32> =
        (0..set.n_items() as u32).filter(|&item| counts[item as usize] >= SUPPORT_MIN).collect();
    if chosen.len() > ITEM_ITEM_MAX {
        chosen.sort_by(|&a, &b| counts[b as usize].cmp(&counts[a as usize]).then(a.cmp(&b)));
        chosen.truncate(ITEM_ITEM_MAX);
        chosen.sort_unstable();
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> TrainingSet {
        // Items 0 and 1 go together, and so do 2 and 3; item 4 has one person only.
        let mut rows = vec![vec![(0, 1.0), (1, 1.0)]; 20];
        rows.extend(vec![vec![(2, 1.0), (3, 1.0)]; 20]);
        rows.push(vec![(0, 1.0), (2, 1.0), (4, 1.0)]);
        TrainingSet::from_rows(6, &rows).unwrap()
    }

    /// The closed form of two items that always come together, by hand: with c people,
    /// `X'X + l I = [[c+l, c], [c, c+l]]`, so `B = c / (c + l)` off the diagonal.
    #[test]
    fn the_weight_of_two_items_is_the_closed_form() {
        let rows = vec![vec![(0, 1.0), (1, 1.0)]; 30];
        let fitted = ItemItem::fit(&TrainingSet::from_rows(2, &rows).unwrap(), 10.0).unwrap();
        let score = fitted.scores([0].into_iter()).of(1);
        assert!((score - 30.0 / 40.0).abs() < 1e-5, "{score}");
    }

    #[test]
    fn items_wanted_together_say_so_and_older_ones_less() {
        let fitted = ItemItem::fit(&set(), 5.0).unwrap();
        let scores = fitted.scores([0, 2].into_iter());
        assert!(scores.of(1) > scores.of(3) && scores.of(3) > 0.0);
        assert_eq!(scores.of(5), 0.0);
        assert_eq!(fitted.cause([2, 0].into_iter(), 1), Some(0));
        assert_eq!(fitted.cause([2, 0].into_iter(), 5), None);
    }

    #[test]
    fn an_item_of_one_person_takes_no_part_and_too_little_fits_nothing() {
        let fitted = ItemItem::fit(&set(), 5.0).unwrap();
        assert_eq!(fitted.len(), 4);
        assert!(fitted.is_sound(6) && !fitted.is_sound(3));
        let one = TrainingSet::from_rows(1, &[vec![(0, 1.0)], vec![(0, 1.0)]]).unwrap();
        assert!(ItemItem::fit(&one, 5.0).is_none());
    }
}
