//! Logged rounds in columns: what was shown, how likely that was, what it earned, and
//! what else could have been shown.
//!
//! - Every round of a [`Log`] has a finite reward and a propensity in (0, 1], and its
//!   action is one of its candidates.
//! - A column that only some rounds have is dropped as a whole and reported by
//!   [`Log::incomplete`]: an estimate over the rounds that happen to have it would be one
//!   of another population.
//! - Without lists of candidates, every action of the log could be shown at every round.

/// What a round is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRound<'a> {
    /// Number of what was shown.
    pub action: u32,
    /// Finite.
    pub reward: f64,
    /// The logging policy's probability of the action, in (0, 1].
    pub propensity: f64,
    /// Position in the shown list, from 0.
    pub position: u32,
    /// Whether this is a position of the list that the round before is of, below it.
    pub is_below: bool,
    /// Number of the user, or else of the decision: rounds of one unit are alike.
    pub unit: u32,
    /// What a ranker gave the action; finite. Without it, the candidate's score stands for it.
    pub score: Option<f64>,
    /// The target policy's probability of the action, where a file brings it.
    pub target: Option<f64>,
    /// Features of the request context, of the same length at every round.
    pub context: &'a [f32],
    /// What could have been shown, the action included; empty when not known.
    pub candidates: &'a [Candidate<'a>],
}

/// One thing that could have been shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Candidate<'a> {
    pub action: u32,
    /// The logging policy's probability.
    pub propensity: Option<f64>,
    /// What a ranker gave it; finite.
    pub score: Option<f64>,
    /// The uncertainty of the ranker: the standard deviation of the expected reward; finite, 0
    /// or more.
    pub deviation: Option<f64>,
    /// The target policy's probability, where a file brings it.
    pub target: Option<f64>,
    /// Features of this candidate on this request context, of the same length everywhere.
    pub features: &'a [f32],
}

/// Why a round cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidRound {
    #[error("reward must be a finite number")]
    Reward,
    #[error("propensity must be above 0 and at most 1, is {0}")]
    Propensity(f64),
    #[error("a probability must be from 0 to 1, is {0}")]
    Probability(f64),
    #[error("a score or feature must be a finite number")]
    NotFinite,
    #[error("a standard deviation must be a finite number of 0 or more, is {0}")]
    Deviation(f64),
    #[error("the action is not one of the candidates, or a candidate is listed twice")]
    Candidates,
    #[error("a round has {found} features where those before have {expected}")]
    Features { found: usize, expected: usize },
}

/// A column that some rounds have and others lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete {
    pub column: &'static str,
    /// Rounds or candidates without it.
    pub missing: usize,
}

/// One round as stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    pub action: u32,
    pub position: u32,
    /// Whether this is a position of the list that the round before is of, below it. Below a
    /// position that was refused, a new list begins.
    pub is_below: bool,
    pub unit: u32,
    /// Index of the action among the candidates.
    pub chosen: u32,
    pub reward: f64,
    pub propensity: f64,
}

/// A round with its part of every column.
#[derive(Debug, Clone, Copy)]
pub struct RoundView<'a> {
    /// Number of the round in the log, from 0.
    pub at: usize,
    pub round: &'a Round,
    /// How many candidates there are.
    pub candidates: usize,
    /// By candidate; `None`: candidate `i` is action `i`.
    listed: Option<&'a [u32]>,
    /// By candidate.
    pub scores: Option<&'a [f64]>,
    pub deviations: Option<&'a [f64]>,
    pub propensities: Option<&'a [f64]>,
    pub targets: Option<&'a [f64]>,
    /// Row-major, candidates x width; empty without features.
    pub features: &'a [f32],
    /// Empty without features.
    pub context: &'a [f32],
}

impl RoundView<'_> {
    /// The action of a candidate.
    pub fn action_of(&self, candidate: usize) -> u32 {
        self.listed.map_or(candidate as u32, |listed| listed[candidate])
    }
}

/// Values of a column, and how many rows have none.
#[derive(Debug, Clone, Default)]
struct Column {
    values: Vec<f64>,
    missing: usize,
}

impl Column {
    fn push(&mut self, value: Option<f64>) {
        // Once a value is missing the column is dropped: its memory is kept.
        self.missing += usize::from(value.is_none());
        match value {
            Some(value) if self.missing == 0 => self.values.push(value),
            _ => self.values = Vec::new(),
        }
    }
}

/// Rows of a matrix of features.
#[derive(Debug, Clone, Default)]
struct Rows {
    width: usize,
    values: Vec<f32>,
    pushed: usize,
}

impl Rows {
    fn check(&self, row: &[f32]) -> Result<(), InvalidRound> {
        if self.pushed > 0 && row.len() != self.width {
            return Err(InvalidRound::Features { found: row.len(), expected: self.width });
        }
        row.iter().all(|value| value.is_finite()).then_some(()).ok_or(InvalidRound::NotFinite)
    }

    fn push(&mut self, row: &[f32]) {
        self.width = row.len();
        self.pushed += 1;
        self.values.extend_from_slice(row);
    }
}

/// Takes rounds one by one; see [`Log`].
#[derive(Debug, Default)]
pub struct LogBuilder {
    rounds: Vec<Round>,
    /// Whether what came last was refused.
    is_cut: bool,
    units: u32,
    actions: u32,
    chosen_scores: Column,
    chosen_targets: Column,
    context: Rows,
    /// Where the candidates of each round begin.
    offsets: Vec<usize>,
    listed: Vec<u32>,
    unlisted: usize,
    scores: Column,
    deviations: Column,
    propensities: Column,
    targets: Column,
    features: Rows,
}

impl LogBuilder {
    /// Adds a round, or leaves everything as it was.
    ///
    /// # Errors
    /// What about the round cannot be used.
    pub fn push(&mut self, new: &NewRound<'_>) -> Result<(), InvalidRound> {
        let is_cut = std::mem::replace(&mut self.is_cut, true);
        self.check(new)?;
        self.is_cut = false;
        let is_chosen = |candidate: &Candidate<'_>| candidate.action == new.action;
        let listed = new.candidates.iter().position(is_chosen);
        let chosen = listed.unwrap_or(new.action as usize) as u32;
        self.offsets.push(self.listed.len());
        for candidate in new.candidates {
            self.listed.push(candidate.action);
            self.scores.push(candidate.score);
            self.deviations.push(candidate.deviation);
            self.propensities.push(candidate.propensity);
            self.targets.push(candidate.target);
            self.features.push(candidate.features);
            self.actions = self.actions.max(candidate.action + 1);
        }
        self.unlisted += usize::from(new.candidates.is_empty());
        let listed_score = listed.and_then(|at| new.candidates[at].score);
        self.chosen_scores.push(new.score.or(listed_score));
        self.chosen_targets.push(new.target);
        self.context.push(new.context);
        self.actions = self.actions.max(new.action + 1);
        self.units = self.units.max(new.unit + 1);
        self.rounds.push(Round {
            action: new.action,
            position: new.position,
            is_below: new.is_below && !is_cut && !self.rounds.is_empty(),
            unit: new.unit,
            chosen,
            reward: new.reward,
            propensity: new.propensity.min(1.0),
        });
        Ok(())
    }

    fn check(&self, new: &NewRound<'_>) -> Result<(), InvalidRound> {
        /// Probabilities written with six digits may add up to a little more than 1.
        const SLACK: f64 = 1e-6;
        let is_probability = |value: f64| (0.0..=1.0 + SLACK).contains(&value);
        if !new.reward.is_finite() {
            return Err(InvalidRound::Reward);
        }
        if !is_probability(new.propensity) || new.propensity == 0.0 {
            return Err(InvalidRound::Propensity(new.propensity));
        }
        self.context.check(new.context)?;
        if new.score.is_some_and(|score| !score.is_finite()) {
            return Err(InvalidRound::NotFinite);
        }
        let of_candidates =
            new.candidates.iter().flat_map(|candidate| [candidate.propensity, candidate.target]);
        let mut probabilities = std::iter::once(new.target).chain(of_candidates).flatten();
        if let Some(wrong) = probabilities.find(|value| !is_probability(*value)) {
            return Err(InvalidRound::Probability(wrong));
        }
        let mut width = (self.features.pushed > 0).then_some(self.features.width);
        for candidate in new.candidates {
            self.features.check(candidate.features)?;
            let (found, expected) = (candidate.features.len(), width);
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(InvalidRound::Features { found, expected });
            }
            width = Some(found);
            if candidate.score.is_some_and(|score| !score.is_finite()) {
                return Err(InvalidRound::NotFinite);
            }
            let is_deviation = |value: &f64| value.is_finite() && *value >= 0.0;
            if let Some(wrong) = candidate.deviation.filter(|value| !is_deviation(value)) {
                return Err(InvalidRound::Deviation(wrong));
            }
        }
        let mut actions: Vec<u32> =
            new.candidates.iter().map(|candidate| candidate.action).collect();
        actions.sort_unstable();
        let is_twice = actions.windows(2).any(|pair| pair[0] == pair[1]);
        let is_missing = !actions.is_empty() && actions.binary_search(&new.action).is_err();
        if is_twice || is_missing { Err(InvalidRound::Candidates) } else { Ok(()) }
    }

    /// Number of rounds so far.
    pub fn len(&self) -> usize {
        self.rounds.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    pub fn build(mut self) -> Log {
        let mut incomplete = Vec::new();
        let count = self.rounds.len();
        let is_listed = count > 0 && self.unlisted == 0;
        if !is_listed {
            if self.unlisted < count {
                incomplete.push(Incomplete { column: "candidates", missing: self.unlisted });
            }
            self.rounds.iter_mut().for_each(|round| round.chosen = round.action);
        }
        let mut whole = |column: Column, name, positions: usize| {
            if column.missing > 0 && column.missing < positions {
                incomplete.push(Incomplete { column: name, missing: column.missing });
            }
            (column.missing == 0 && positions > 0).then_some(column.values)
        };
        let positions = if is_listed { self.listed.len() } else { 0 };
        let chosen_scores = whole(self.chosen_scores, "scores of what was shown", count);
        let chosen_targets = whole(self.chosen_targets, "target probability", count);
        let scores = whole(self.scores, "candidates' scores", positions);
        let deviations = whole(self.deviations, "candidates' deviations", positions);
        let propensities = whole(self.propensities, "candidates' propensities", positions);
        let targets = whole(self.targets, "candidates' target probabilities", positions);
        self.offsets.push(self.listed.len());
        Log {
            rounds: self.rounds,
            units: self.units,
            actions: self.actions,
            chosen_scores,
            chosen_targets,
            context: self.context,
            offsets: is_listed.then_some(self.offsets),
            listed: self.listed,
            scores,
            deviations,
            propensities,
            targets,
            features: if is_listed { self.features } else { Rows::default() },
            incomplete,
        }
    }
}

/// Rounds in the order of their time.
#[derive(Debug)]
pub struct Log {
    rounds: Vec<Round>,
    units: u32,
    actions: u32,
    chosen_scores: Option<Vec<f64>>,
    chosen_targets: Option<Vec<f64>>,
    context: Rows,
    /// `None`: every action could be shown at every round.
    offsets: Option<Vec<usize>>,
    listed: Vec<u32>,
    scores: Option<Vec<f64>>,
    deviations: Option<Vec<f64>>,
    propensities: Option<Vec<f64>>,
    targets: Option<Vec<f64>>,
    features: Rows,
    incomplete: Vec<Incomplete>,
}

impl Log {
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// Whether any list has several positions.
    pub fn has_lists(&self) -> bool {
        self.rounds.iter().any(|round| round.is_below)
    }

    /// Number of units, at least one more than the greatest.
    pub fn units(&self) -> usize {
        self.units as usize
    }

    /// Number of actions, one more than the greatest.
    pub fn actions(&self) -> usize {
        self.actions as usize
    }

    /// Whether rounds say what could have been shown.
    pub fn lists_candidates(&self) -> bool {
        self.offsets.is_some()
    }

    /// The most candidates of any round.
    pub fn candidates_max(&self) -> usize {
        let widths = |offsets: &Vec<usize>| offsets.windows(2).map(|pair| pair[1] - pair[0]).max();
        self.offsets.as_ref().map_or(self.actions(), |offsets| widths(offsets).unwrap_or(0))
    }

    /// What a ranker gave what was shown, by round, where every round says it.
    pub fn chosen_scores(&self) -> Option<&[f64]> {
        self.chosen_scores.as_deref()
    }

    /// The target policy's probabilities of what was shown, where the log brings them.
    pub fn chosen_targets(&self) -> Option<&[f64]> {
        self.chosen_targets.as_deref()
    }

    pub fn has_targets(&self) -> bool {
        self.targets.is_some()
    }

    pub fn has_scores(&self) -> bool {
        self.scores.is_some()
    }

    /// Whether candidates come with the uncertainty of their scores.
    pub fn has_deviations(&self) -> bool {
        self.deviations.is_some()
    }

    /// Features of a request context.
    pub fn context_width(&self) -> usize {
        self.context.width
    }

    /// Features of a candidate.
    pub fn features_width(&self) -> usize {
        self.features.width
    }

    /// Columns that were dropped because only some rounds have them.
    pub fn incomplete(&self) -> &[Incomplete] {
        &self.incomplete
    }

    pub fn view(&self, at: usize) -> RoundView<'_> {
        let range = match &self.offsets {
            Some(offsets) => offsets[at]..offsets[at + 1],
            None => 0..self.actions(),
        };
        let (width, context) = (self.features.width, self.context.width);
        RoundView {
            at,
            round: &self.rounds[at],
            candidates: range.len(),
            listed: self.offsets.as_ref().map(|_| &self.listed[range.clone()]),
            scores: self.scores.as_ref().map(|column| &column[range.clone()]),
            deviations: self.deviations.as_ref().map(|column| &column[range.clone()]),
            propensities: self.propensities.as_ref().map(|column| &column[range.clone()]),
            targets: self.targets.as_ref().map(|column| &column[range.clone()]),
            features: self
                .features
                .values
                .get(range.start * width..range.end * width)
                .unwrap_or_default(),
            context: &self.context.values[at * context..(at + 1) * context],
        }
    }
}
