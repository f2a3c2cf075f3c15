//! How a decision came about: what it takes to work it out again, and what else could
//! have been shown.
//!
//! - The request is the caller's own, as bytes that the edge of the service encodes and
//!   reads. So a field of a request that is new is recorded without a change here.
//! - Nothing is learnt from any of it, so that a record without it leads to the same state.
//! - Candidates lie in columns, not in one allocation each: a decision is made and read on
//!   hot paths.

use crate::domain::sequence::Sequence;

/// The request behind a decision, the state next to the log, and the candidates to choose from.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionDetail {
    /// Of the engine that decided: another one may decide otherwise.
    pub engine_revision: u32,
    /// The namespace's seed; with the decision id it keys the random streams.
    pub seed: u64,
    /// The request, without whose log it is about and how far that was to be read: the log
    /// that has the record and the watermark of the decision say so.
    pub request: Vec<u8>,
    /// Items that the request described, and of which the bytes hold the ids only.
    pub undescribed: u32,
    /// The variant of the caller's experiment that the decision belongs to, for those who
    /// evaluate decisions and read no request.
    pub variant: Option<Box<str>>,
    /// Watermark of the view that the user's derived values were computed on: at most
    /// the decision's, since they are kept while the user and the model stay the same.
    pub context_watermark: Sequence,
    /// Whether candidates of the catalogue were found for an earlier call of the user.
    pub remembered: bool,
    /// Items shown to the user just before and not learnt yet, once for each impression;
    /// looked at under a frequency cap only.
    pub shown_lately: Vec<Box<str>>,
    /// Keys of the items on the earlier pages of the list, in their order.
    pub earlier: Vec<u64>,
    /// Keys of those of them that were pinned.
    pub earlier_pinned: Vec<u64>,
    /// What exploring cost in decisions just before that were not learnt yet; looked at with
    /// an allowance only.
    pub unlearnt_cost: f64,
    /// So many standard deviations are in the scores of the candidates.
    pub width: f64,
    /// The candidates, in the order of the ranker.
    pub candidates: CandidateScores,
}

impl DecisionDetail {
    /// What the ranker believed of each candidate.
    pub fn beliefs(&self) -> impl ExactSizeIterator<Item = Believed<'_>> {
        self.candidates.beliefs(self.width)
    }

    /// The most that a record of it takes.
    pub(super) fn record_bytes(&self) -> usize {
        const NUMBERS: usize = 106;
        let variant = self.variant.as_deref().map_or(0, text_bytes);
        let shown: usize = self.shown_lately.iter().map(|id| text_bytes(id)).sum();
        let earlier = size_of_val(&*self.earlier) + size_of_val(&*self.earlier_pinned);
        NUMBERS + self.request.len() + variant + shown + earlier + self.candidates.record_bytes()
    }
}

/// What was believed of a candidate's reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Believed<'a> {
    pub item_id: &'a str,
    /// The score with boosts and the bonuses of new items, without what LinUCB adds for
    /// uncertainty.
    pub mean: f32,
    /// Standard deviation of the expected reward.
    pub deviation: f32,
}

/// Candidates with the scores that the choice went by (the ranker's, with boosts, the
/// bonuses of new items and, under LinUCB, widths), and with the standard deviations of
/// their expected rewards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandidateScores {
    /// The ids, one after the other.
    ids: String,
    /// Where each id ends.
    ends: Vec<u32>,
    scores: Vec<f32>,
    deviations: Vec<f32>,
}

impl CandidateScores {
    /// `id_bytes`: of all ids together.
    pub fn with_capacity(candidates: usize, id_bytes: usize) -> Self {
        Self {
            ids: String::with_capacity(id_bytes),
            ends: Vec::with_capacity(candidates),
            scores: Vec::with_capacity(candidates),
            deviations: Vec::with_capacity(candidates),
        }
    }

    /// From columns; `None` when they are not those of the same candidates.
    pub fn from_columns(
        ids: String,
        ends: Vec<u32>,
        scores: Vec<f32>,
        deviations: Vec<f32>,
    ) -> Option<Self> {
        let mut start = 0;
        let mut is_end = |end: u32| {
            let fits = start <= end && ids.is_char_boundary(end as usize);
            start = end;
            fits
        };
        let fit = ends.iter().all(|end| is_end(*end));
        let whole = ends.last().map_or(0, |end| *end as usize) == ids.len();
        let as_many = scores.len() == ends.len() && deviations.len() == ends.len();
        (fit && whole && as_many).then_some(Self { ids, ends, scores, deviations })
    }

    /// Adds a candidate. Ids of all candidates of a call have at most a few hundred KB.
    pub fn push(&mut self, item_id: &str, score: f32, deviation: f32) {
        self.ids.push_str(item_id);
        self.ends.push(self.ids.len() as u32);
        self.scores.push(score);
        self.deviations.push(deviation);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ids, one after the other without anything between them.
    pub fn joined_ids(&self) -> &str {
        &self.ids
    }

    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len()).map(|position| {
            let start = if position == 0 { 0 } else { self.ends[position - 1] };
            &self.ids[start as usize..self.ends[position] as usize]
        })
    }

    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Standard deviations of the expected rewards.
    pub fn deviations(&self) -> &[f32] {
        &self.deviations
    }

    /// Of scores that hold so many standard deviations.
    fn beliefs(&self, width: f64) -> impl ExactSizeIterator<Item = Believed<'_>> {
        let numbers = self.scores.iter().zip(&self.deviations);
        self.ids().zip(numbers).map(move |(item_id, (score, deviation))| {
            let mean = f64::from(*score) - width * f64::from(*deviation);
            Believed { item_id, mean: mean as f32, deviation: *deviation }
        })
    }

    /// The most that they take in a record: ids with their lengths, and two columns.
    fn record_bytes(&self) -> usize {
        self.ids.len() + self.ends.len() * (3 + 2 * size_of::<f32>())
    }
}

/// A text with its length before it, in a record.
pub(super) const fn text_bytes(text: &str) -> usize {
    3 + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pushed: &[(&str, f32, f32)]) -> CandidateScores {
        let mut candidates = CandidateScores::with_capacity(2, 4);
        pushed.iter().for_each(|(id, score, deviation)| candidates.push(id, *score, *deviation));
        candidates
    }

    #[test]
    fn candidates_come_back_in_order_whatever_the_length_of_their_ids() {
        let candidates =
            scores(&[("a", 0.5, 0.1), ("ünïcode", -1.0, 0.2), ("x:long-id", 0.0, 0.3)]);
        assert_eq!(candidates.ids().collect::<Vec<_>>(), ["a", "ünïcode", "x:long-id"]);
        assert_eq!(candidates.scores(), [0.5, -1.0, 0.0]);
        assert_eq!(candidates.deviations(), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn columns_are_taken_when_they_are_of_the_same_candidates() {
        let columns = |ends: &[u32], scores: usize, deviations: usize| {
            let zeros = |count| vec![0.0; count];
            let ids = "aüb".to_owned();
            CandidateScores::from_columns(ids, ends.to_vec(), zeros(scores), zeros(deviations))
        };
        let whole = columns(&[1, 3, 4], 3, 3).unwrap();
        assert_eq!(whole.ids().collect::<Vec<_>>(), ["a", "ü", "b"]);
        for (ends, why) in [
            (&[1, 2, 4][..], "inside of a character"),
            (&[1, 3][..], "bytes are left"),
            (&[3, 1, 4][..], "backwards"),
            (&[1, 3, 9][..], "beyond the end"),
            (&[][..], "no candidate has them"),
        ] {
            assert_eq!(columns(ends, ends.len(), ends.len()), None, "{why}");
        }
        assert_eq!(columns(&[1, 3, 4], 2, 3), None);
        assert_eq!(columns(&[1, 3, 4], 3, 4), None);
    }

    #[test]
    fn means_are_without_the_standard_deviations_that_scores_hold() {
        let candidates = scores(&[("a", 0.5, 0.25), ("b", 0.75, 1.0)]);
        let means = |width| candidates.beliefs(width).map(|one| one.mean).collect::<Vec<_>>();
        assert_eq!(means(0.5), [0.375, 0.25]);
        assert_eq!(means(0.0), [0.5, 0.75]);
        let deviations: Vec<_> = candidates.beliefs(0.5).map(|one| one.deviation).collect();
        assert_eq!(deviations, [0.25, 1.0]);
    }
}
