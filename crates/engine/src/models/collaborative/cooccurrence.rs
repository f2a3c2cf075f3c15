//! Items that the same users consume in short succession, decayed over time.
//!
//! At a positive of a user for item `i`, `C[i,j]` and `C[j,i]` grow by one for each of the
//! last ten distinct items `j` of the user. The score of a candidate `c` is the sum over the
//! user's last ten items, newest first with weight 0.95^t, of `C[j,c] / (n_c^0.3 n_j^0.7)`. It is
//! the strongest single signal of a stream: it needs no training and follows the latest event
//! at once.
//!
//! Succession is the same with a direction: when `i` is consumed, `D[j,i]` grows by `e^(-g/8)` for
//! each of the last twenty items `j`, of which `g` were newer; items score with weight `e^(-p/4)`,
//! the newest with `p = 0`. It predicts what comes next where order matters: tracks, locations, episodes.
//!
//! A row is bounded, so its least entries are forgotten: 10 KiB an item at most, both together.

use std::iter;
use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::models::cold_start::Popularity;
use crate::models::cold_start::Scales;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::numeric::math;

/// Items of a user's recent path.
pub const RECENT: usize = 20;
/// Of these, the ones that co-occurrence uses.
const TOGETHER: usize = 10;
/// How much less an item of the path counts for each that is newer: in scores of co-occurrence, in scores of
/// succession, `e^(-1/4)`, and when a succession is counted, `e^(-1/8)`.
const TOGETHER_RECENCY: f32 = 0.95;
const SUCCESSION_RECENCY: f32 = 0.778_8;
const COUNTED_RECENCY: f32 = 0.882_5;
const RECENT_EXPONENT: f64 = 0.7;
const NEIGHBOURS_MAX: usize = 1_024;
const SUCCESSORS_MAX: usize = 256;
/// Weight of an item of the present session against one before it.
const SESSION_EMPHASIS: f32 = 2.0;

/// By item: other items with decayed counts.
pub type ItemRows = Column<Arc<DecayedRow<ItemIndex>>, ItemIndex>;

/// Counts that `item` was consumed after `recent`.
pub fn note(rows: &mut ItemRows, item: ItemIndex, recent: &[ItemIndex], at: DecayTime) {
    for &other in recent.iter().take(TOGETHER).filter(|&&other| other != item) {
        for (from, to) in [(item, other), (other, item)] {
            let row = Arc::make_mut(rows.get_mut(from));
            row.add(to, 1.0, at, NEIGHBOURS_MAX);
        }
    }
}

/// Counts that `item` came next after `recent`.
pub fn note_succession(rows: &mut ItemRows, item: ItemIndex, recent: &[ItemIndex], at: DecayTime) {
    for (other, weight) in before(item, recent) {
        Arc::make_mut(rows.get_mut(other)).add(item, weight, at, SUCCESSORS_MAX);
    }
}

/// Takes back what [`note`] counted.
pub fn take_back(rows: &mut ItemRows, item: ItemIndex, recent: &[ItemIndex], at: DecayTime) {
    for &other in recent.iter().take(TOGETHER).filter(|&&other| other != item) {
        for (from, to) in [(item, other), (other, item)] {
            Arc::make_mut(rows.get_mut(from)).take_back(to, 1.0, at);
        }
    }
}

/// Takes back what [`note_succession`] counted.
pub fn take_back_succession(
    rows: &mut ItemRows,
    item: ItemIndex,
    recent: &[ItemIndex],
    at: DecayTime,
) {
    for (other, weight) in before(item, recent) {
        Arc::make_mut(rows.get_mut(other)).take_back(item, weight, at);
    }
}

/// The items of a path that `item` came after, with the weights of that.
fn before(item: ItemIndex, recent: &[ItemIndex]) -> impl Iterator<Item = (ItemIndex, f32)> {
    let weights = iter::successors(Some(1.0), |weight| Some(weight * COUNTED_RECENCY));
    recent.iter().copied().zip(weights).filter(move |&(other, _)| other != item)
}

/// Scores candidates against the recent path of one user.
#[derive(Debug)]
pub struct CooccurrenceScorer<'v> {
    /// The rows of the recent items with their weights, the newest first.
    rows: Vec<(ItemIndex, &'v DecayedRow<ItemIndex>, f32)>,
    popularity: &'v Popularity,
    scales: Scales,
}

impl<'v> CooccurrenceScorer<'v> {
    /// By what is consumed together. Popularity comes with its scales at `now`; `recent` has the newest item
    /// first and at most [`RECENT`] items.
    pub fn together(
        rows: &'v ItemRows,
        popularity: (&'v Popularity, Scales),
        recent: &[ItemIndex],
        now: DecayTime,
    ) -> Self {
        let recent = &recent[..recent.len().min(TOGETHER)];
        Self::new(rows, popularity, recent, now, TOGETHER_RECENCY)
    }

    /// By what comes next; otherwise as [`Self::together`].
    pub fn next(
        rows: &'v ItemRows,
        popularity: (&'v Popularity, Scales),
        recent: &[ItemIndex],
        now: DecayTime,
    ) -> Self {
        Self::new(rows, popularity, recent, now, SUCCESSION_RECENCY)
    }

    fn new(
        rows: &'v ItemRows,
        (popularity, scales): (&'v Popularity, Scales),
        recent: &[ItemIndex],
        now: DecayTime,
        recency_weight: f32,
    ) -> Self {
        let mut recency = 1.0;
        let mut weighted = Vec::with_capacity(recent.len());
        for &item in recent {
            let row: &DecayedRow<ItemIndex> = &rows[item];
            let mass = scales.cooccurrence_mass(&popularity.items[item]);
            let scale = row.scale(now);
            if mass > 0.0 {
                let norm = math::pow(f64::from(mass), RECENT_EXPONENT) as f32;
                weighted.push((item, row, recency * scale / norm));
            }
            recency *= recency_weight;
        }
        Self { rows: weighted, popularity, scales }
    }

    /// Lets the items of the present session, by index, weigh more than those before,
    /// with the weights of all together unchanged.
    #[must_use]
    pub fn emphasising(mut self, session: &[(ItemIndex, f32)]) -> Self {
        let in_session = |item: ItemIndex| session.iter().any(|&(known, _)| known == item);
        let inside = self.rows.iter().filter(|(item, _, _)| in_session(*item)).count() as f32;
        let outside = self.rows.len() as f32 - inside;
        if inside == 0.0 || outside == 0.0 {
            return self;
        }
        let scale = (inside + outside) / (SESSION_EMPHASIS * inside + outside);
        for (item, _, weight) in &mut self.rows {
            *weight *= if in_session(*item) { SESSION_EMPHASIS * scale } else { scale };
        }
        self
    }

    /// Whether no item of the path has a row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn score(&self, candidate: ItemIndex) -> f32 {
        let sum: f32 =
            self.rows.iter().map(|(_, row, weight)| weight * row.stored(candidate)).sum();
        if sum == 0.0 { 0.0 } else { sum * self.candidate_weight(candidate) }
    }

    /// The recent item that adds most to the candidate's score.
    pub fn cause(&self, candidate: ItemIndex) -> Option<ItemIndex> {
        self.rows
            .iter()
            .map(|(item, row, weight)| (weight * row.stored(candidate), *item))
            .filter(|(part, _)| *part > 0.0)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))
            .map(|(_, item)| item)
    }

    /// Scores of every item that shares a row with the recent path, dense by index;
    /// the same bits as [`Self::score`].
    pub fn score_all(&self, scores: &mut [f32]) {
        scores.fill(0.0);
        for (_, row, weight) in &self.rows {
            for &(candidate, count) in row.entries() {
                scores[candidate.as_usize()] += weight * count;
            }
        }
        for (candidate, score) in (0..).map(ItemIndex::new).zip(scores) {
            if *score != 0.0 {
                *score *= self.candidate_weight(candidate);
            }
        }
    }

    /// Every item with a score above 0, in no particular order but always the same.
    pub fn neighbours(&self) -> Vec<(ItemIndex, f32)> {
        let mut parts: Vec<(ItemIndex, f32)> = self
            .rows
            .iter()
            .flat_map(|(_, row, weight)| {
                row.entries().iter().map(move |&(item, count)| (item, weight * count))
            })
            .collect();
        parts.sort_by_key(|part| part.0);
        let mut merged: Vec<(ItemIndex, f32)> = Vec::with_capacity(parts.len());
        for (item, part) in parts {
            match merged.last_mut() {
                Some(last) if last.0 == item => last.1 += part,
                _ => merged.push((item, part)),
            }
        }
        for (item, score) in &mut merged {
            *score *= self.candidate_weight(*item);
        }
        merged
    }

    fn candidate_weight(&self, candidate: ItemIndex) -> f32 {
        self.scales.cooccurrence_weight(&self.popularity.items[candidate])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Settings;
    use crate::domain::Timestamp;
    use crate::models::decays::Decays;

    fn indices(items: &[u32]) -> Vec<ItemIndex> {
        items.iter().copied().map(ItemIndex::new).collect()
    }

    fn world(paths: &[&[u32]]) -> (ItemRows, Popularity, Decays) {
        let decays = Decays::new(&Settings::default());
        let mut rows: ItemRows = (0..10).map(|_| Arc::default()).collect();
        let items = (0..10).map(|_| Default::default()).collect();
        let mut popularity = Popularity { items, ..Popularity::default() };
        let now = Timestamp::from_seconds(0);
        for path in paths {
            let path = indices(path);
            for (position, &item) in path.iter().enumerate() {
                note(&mut rows, item, &path[..position], decays.cooccurrence.at(now));
                popularity.add_rise(item, 1.0, Some(1.0), now, &decays);
            }
        }
        (rows, popularity, decays)
    }

    fn scorer_at<'v>(
        rows: &'v ItemRows,
        popularity: &'v Popularity,
        decays: &Decays,
        recent: &[ItemIndex],
        now: Timestamp,
    ) -> CooccurrenceScorer<'v> {
        let scales = popularity.scales(now, decays);
        let now = decays.cooccurrence.at(now);
        CooccurrenceScorer::together(rows, (popularity, scales), recent, now)
    }

    #[test]
    fn the_score_is_the_documented_formula() {
        let (rows, popularity, decays) = world(&[&[1, 2], &[1, 2], &[1, 3]]);
        let now = Timestamp::from_seconds(0);
        let scorer = scorer_at(&rows, &popularity, &decays, &indices(&[1]), now);
        let expected = 2.0 / (2.0_f64.powf(0.3) * 3.0_f64.powf(0.7));
        let [one, two, seven] = [1, 2, 7].map(ItemIndex::new);
        assert!((f64::from(scorer.score(two)) - expected).abs() < 1e-6);
        assert_eq!(scorer.cause(two), Some(one));
        assert_eq!(scorer.score(seven), 0.0);
    }

    #[test]
    fn what_came_just_before_leads_to_an_item_more_than_what_came_earlier_and_nothing_leads_back() {
        let now = DecayTime::default();
        let [one, two, three] = [1, 2, 3].map(ItemIndex::new);
        let mut rows: ItemRows = (0..10).map(|_| Arc::default()).collect();
        note_succession(&mut rows, three, &[two, three, one], now);
        let counts = [one, two, three].map(|from| rows[from].stored(three));
        assert!((counts[0] - (-0.25_f32).exp()).abs() < 1e-4, "{counts:?}");
        assert_eq!(counts[1..], [1.0, 0.0]);
        assert_eq!(rows[three].entries(), []);
        take_back_succession(&mut rows, three, &[two, three, one], now);
        assert!(rows.iter().all(|row| row.entries().is_empty()));
    }

    #[test]
    fn the_items_of_a_session_weigh_more_and_all_together_the_same() {
        let (rows, popularity, decays) = world(&[&[1, 3], &[2, 4]]);
        let now = Timestamp::from_seconds(0);
        let path = indices(&[1, 2]);
        let scorer = || scorer_at(&rows, &popularity, &decays, &path, now);
        let (plain, busy) = (scorer(), scorer().emphasising(&[(path[0], 1.0)]));
        let [three, four] = [3, 4].map(ItemIndex::new);
        assert!(busy.score(three) > plain.score(three) && busy.score(four) < plain.score(four));
        let gain = |item| busy.score(item) / plain.score(item);
        let ratio = gain(three) / gain(four);
        assert!((ratio - SESSION_EMPHASIS).abs() < 1e-5, "{ratio}");
        let everything = scorer().emphasising(&[(path[0], 1.0), (path[1], 1.0)]);
        assert_eq!(everything.score(three).to_bits(), plain.score(three).to_bits());
    }

    #[test]
    fn dense_sparse_and_single_scores_agree_to_the_bit() {
        let (rows, popularity, decays) = world(&[&[1, 2, 3, 4], &[2, 4, 5], &[5, 1]]);
        let now = Timestamp::from_seconds(3_600);
        let scorer = scorer_at(&rows, &popularity, &decays, &indices(&[2, 5]), now);
        let mut dense = [0.0; 10];
        scorer.score_all(&mut dense);
        let sparse = scorer.neighbours();
        for item in (0..10).map(ItemIndex::new) {
            let single = scorer.score(item);
            assert_eq!(dense[item.as_usize()].to_bits(), single.to_bits());
            let found = sparse.iter().find(|entry| entry.0 == item).map_or(0.0, |entry| entry.1);
            assert_eq!(found.to_bits(), single.to_bits());
        }
    }
}
