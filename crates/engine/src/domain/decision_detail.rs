//! How a decision came about: what it takes to work it out again, and what else could
//! have been shown.
//!
//! - Plain data: the call as it was checked, not as it was sent. Nothing is learnt from
//!   it, so that a record without it leads to the same state.
//! - Candidates lie in three buffers, not in one allocation each: a decision is made and
//!   read on hot paths.

use std::sync::Arc;

use super::attributes::Attributes;
use super::decision::DiversityMethod;
use super::decision::Strategy;
use super::ids::ItemId;
use super::item::Item;
use super::record::Sequence;
use super::timestamp::Timestamp;

/// The call behind a decision and the candidates it chose from.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionDetail {
    /// Of the engine that decided: another one may decide otherwise.
    pub engine_revision: u32,
    /// The namespace's seed; with the decision id it keys the random streams.
    pub seed: u64,
    /// The variant of the caller's experiment that the decision belongs to.
    pub variant: Option<Box<str>>,
    pub occasion: RecordedOccasion,
    /// Watermark of the view that the person's derived values were computed on: at most
    /// the decision's, since they are kept while the person and the model stay the same.
    pub context_watermark: Sequence,
    pub source: CandidateSource,
    pub choice: RecordedChoice,
    pub filter: RecordedFilter,
    pub pins: Vec<RecordedPin>,
    pub boosts: Vec<RecordedBoost>,
    /// Items shown to the person just before and not learnt yet, once for each showing;
    /// looked at under a frequency cap only.
    pub shown_lately: Vec<Box<str>>,
    /// What exploring cost in decisions just before that were not learnt yet; looked at with
    /// an allowance only.
    pub unlearnt_cost: f64,
    /// Of the candidates, so many at the end were described by the request itself.
    pub described: u32,
    /// Their descriptions, in the order of the candidates; empty unless they are kept.
    pub items: Vec<Arc<Item>>,
    /// What stood to choose from, in the order of the ranker.
    pub candidates: CandidateScores,
}

impl DecisionDetail {
    /// What was believed of each candidate by the ranker of a decision by `strategy`.
    pub fn beliefs(&self, strategy: Strategy) -> impl ExactSizeIterator<Item = Believed<'_>> {
        let width = match strategy {
            Strategy::LinUcb => self.choice.exploration_scale,
            Strategy::Greedy
            | Strategy::EpsilonGreedy
            | Strategy::Thompson
            | Strategy::SquareCb => 0.0,
        };
        self.candidates.beliefs(width)
    }
}

/// What was believed of a candidate's reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Believed<'a> {
    pub item_id: &'a str,
    /// The score with boosts and the bonuses of new items, without what LinUCB adds for
    /// being unsure; with that, too, where the deviation is not recorded.
    pub mean: f32,
    /// Standard deviation of the expected reward, where it is recorded.
    pub deviation: Option<f32>,
}

/// When and where, beside the time of the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedOccasion {
    pub utc_offset_minutes: i32,
    pub device_type: Option<Box<str>>,
    pub location: Option<Box<str>>,
}

/// Where candidates came from. The discriminants are stored: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CandidateSource {
    /// The request named them.
    Given = 1,
    /// The catalogue was searched.
    Catalogue = 2,
    /// The catalogue was searched, in part for an earlier call of the same person.
    Remembered = 3,
}

impl CandidateSource {
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Given),
            2 => Some(Self::Catalogue),
            3 => Some(Self::Remembered),
            _ => None,
        }
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Catalogue => "catalogue",
            Self::Remembered => "remembered",
        }
    }
}

/// How the list was to be chosen, beside the strategy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordedChoice {
    /// Probability per place of an exploring choice, in full precision.
    pub epsilon: f64,
    /// Factor of the standard deviations under Thompson sampling and LinUCB.
    pub exploration_scale: f64,
    pub square_cb_gamma: f64,
    /// Share of a place that is spread evenly.
    pub propensity_floor: f64,
    pub method: DiversityMethod,
    pub diversity_weight: f64,
    pub serendipity_weight: f64,
    pub novelty_weight: f64,
    pub topic_threshold: f64,
    pub source_threshold: f64,
    pub max_per_topic: u32,
    pub max_per_source: u32,
    pub places: u32,
}

/// Which candidates the call allowed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedFilter {
    pub topics: Vec<Box<str>>,
    pub sources: Vec<Box<str>>,
    pub attributes: Attributes,
    pub published_after: Option<Timestamp>,
    pub exclude: Vec<Box<str>>,
    /// As text that reads as the same expression.
    pub expression: Option<Box<str>>,
    pub include_seen: bool,
    pub seen_cooldown_hours: f32,
    pub seen_after_interactions: u32,
    pub frequency_cap_per_day: u32,
}

/// An item that the caller wanted at a place, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPin {
    pub item_id: ItemId,
    pub place: u32,
}

/// What a boost is about. The discriminants are stored: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BoostSubject {
    Item = 1,
    Topic = 2,
    Source = 3,
    /// Items that an expression holds for.
    Matching = 4,
}

impl BoostSubject {
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Item),
            2 => Some(Self::Topic),
            3 => Some(Self::Source),
            4 => Some(Self::Matching),
            _ => None,
        }
    }

    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A rule of the caller that raised or lowered scores.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedBoost {
    pub subject: BoostSubject,
    /// The item, topic or source, or the expression.
    pub name: Box<str>,
    /// Whether scores were multiplied by the amount; else it was added.
    pub multiplies: bool,
    pub amount: f64,
}

/// Candidates with the scores that the choice went by: the ranker's, with boosts, the
/// bonuses of new items and, under LinUCB, widths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandidateScores {
    /// The ids, one after the other.
    ids: String,
    /// Where each id ends.
    ends: Vec<u32>,
    scores: Vec<f32>,
    /// Standard deviations of the expected rewards: one for each, or none at all.
    deviations: Vec<f32>,
}

impl CandidateScores {
    pub fn with_capacity(candidates: usize, id_bytes: usize) -> Self {
        Self {
            ids: String::with_capacity(candidates * id_bytes),
            ends: Vec::with_capacity(candidates),
            scores: Vec::with_capacity(candidates),
            deviations: Vec::new(),
        }
    }

    /// With the standard deviations of their expected rewards; `None` when there are not
    /// as many as candidates.
    pub fn with_deviations(self, deviations: Vec<f32>) -> Option<Self> {
        (deviations.len() == self.len()).then_some(Self { deviations, ..self })
    }

    /// Adds a candidate. Ids of all candidates of a call have at most 256 KB.
    pub fn push(&mut self, item_id: &str, score: f32) {
        self.ids.push_str(item_id);
        self.ends.push(self.ids.len() as u32);
        self.scores.push(score);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len()).map(|place| {
            let start = if place == 0 { 0 } else { self.ends[place - 1] };
            &self.ids[start as usize..self.ends[place] as usize]
        })
    }

    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Standard deviations of the expected rewards, where they are recorded.
    pub fn deviations(&self) -> Option<&[f32]> {
        (!self.deviations.is_empty()).then_some(&self.deviations)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f32)> {
        self.ids().zip(self.scores.iter().copied())
    }

    /// Of scores that hold so many standard deviations, where those are recorded.
    fn beliefs(&self, width: f64) -> impl ExactSizeIterator<Item = Believed<'_>> {
        let deviations = self.deviations();
        self.iter().enumerate().map(move |(place, (item_id, score))| {
            let deviation = deviations.map(|deviations| deviations[place]);
            let uncertainty = width * f64::from(deviation.unwrap_or_default());
            Believed { item_id, mean: (f64::from(score) - uncertainty) as f32, deviation }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_back_in_order_whatever_the_length_of_their_ids() {
        let mut candidates = CandidateScores::with_capacity(2, 4);
        let pushed = [("a", 0.5), ("ünïcode", -1.0), ("x:long-id", 0.0)];
        pushed.iter().for_each(|(id, score)| candidates.push(id, *score));
        assert_eq!(candidates.iter().collect::<Vec<_>>(), pushed);
        assert_eq!(candidates.len(), 3);
    }

    #[test]
    fn deviations_are_of_all_candidates_or_of_none() {
        let mut candidates = CandidateScores::default();
        ["a", "b"].iter().for_each(|id| candidates.push(id, 0.5));
        assert_eq!(candidates.deviations(), None);
        assert_eq!(candidates.clone().with_deviations(vec![0.1]), None);
        let known = candidates.with_deviations(vec![0.1, 0.2]).unwrap();
        assert_eq!(known.deviations(), Some(&[0.1, 0.2][..]));
    }

    #[test]
    fn means_are_without_the_standard_deviations_that_scores_hold() {
        let mut candidates = CandidateScores::default();
        [("a", 0.5), ("b", 0.75)].iter().for_each(|(id, score)| candidates.push(id, *score));
        let means = |candidates: &CandidateScores, width| {
            candidates.beliefs(width).map(|belief| belief.mean).collect::<Vec<_>>()
        };
        assert_eq!(means(&candidates, 0.5), [0.5, 0.75], "nothing is known to take off");
        let known = candidates.with_deviations(vec![0.25, 1.0]).unwrap();
        assert_eq!(means(&known, 0.5), [0.375, 0.25]);
        assert_eq!(means(&known, 0.0), [0.5, 0.75]);
        let deviations: Vec<_> = known.beliefs(0.5).map(|belief| belief.deviation).collect();
        assert_eq!(deviations, [Some(0.25), Some(1.0)]);
    }
}
