//! Comparison of the ranker's list with the caller's.
//!
//! The ranker's list without exploring (the greedy list) is compared with the caller's at the
//! positions that are not pinned, up to the length of the shorter: how similar they are, and by
//! which features they differ. The expected gain is the sum of posterior means over the greedy
//! list minus that over the caller's.

use crate::domain::ListOrigin;
use crate::features::Candidate;
use crate::ranking::choose::ChosenList;
use crate::ranking::choose::Slate;
use crate::seed;
use crate::state::View;

/// The caller's order among the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    Order {
        /// Indices of candidates, the best first; none twice, none that is pinned.
        order: Vec<usize>,
        /// Candidates that only this order may show, in rising order: a rule about the user
        /// excludes them otherwise.
        excluded: Vec<usize>,
        /// Positions that a list of any origin may have: as many as are in the order, less those
        /// on earlier pages.
        reach: usize,
    },
    /// The most popular first.
    Popular,
}

impl Baseline {
    pub fn excluded(&self) -> &[usize] {
        match self {
            Self::Order { excluded, .. } => excluded,
            Self::Popular => &[],
        }
    }

    /// Positions that a list may have, if not as many as there are candidates.
    pub fn reach(&self) -> Option<usize> {
        match self {
            Self::Order { reach, .. } => Some(*reach),
            Self::Popular => None,
        }
    }

    /// The order in which it shows candidates.
    pub fn order<'a>(&'a self, popular: &'a [usize]) -> &'a [usize] {
        match self {
            Self::Order { order, .. } => order,
            Self::Popular => popular,
        }
    }
}

/// The origin of the shown list, and the comparison of the ranker's list with the caller's.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// See [`crate::domain::TakeoverTrial`], also for the other fields.
    pub round: u32,
    pub origin: ListOrigin,
    pub chances: [f64; 3],
    pub positions: u32,
    pub same_position: u32,
    pub in_both: u32,
    pub same_first: bool,
    pub expected_gain: f64,
    pub difference: Vec<f32>,
}

/// Draws the origin of this decision's list; also returns the chances of all origins.
pub fn draw(view: &View, decision_id: &str) -> (ListOrigin, [f64; 3]) {
    let chances = view.takeover().chances();
    let key = decision_id.as_bytes();
    let mut rng = seed::stream(view.settings().seed, seed::Purpose::Takeover, key);
    let mut left = seed::unit(&mut rng);
    let drawn = ListOrigin::ALL.into_iter().find(|origin| {
        left -= chances[origin.index()];
        left < 0.0
    });
    (drawn.unwrap_or(ListOrigin::Baseline), chances)
}

/// The chances of an origin that is given.
pub fn certain(origin: ListOrigin) -> [f64; 3] {
    ListOrigin::ALL.map(|one| if one == origin { 1.0 } else { 0.0 })
}

/// Candidates that the ranker may choose, the most popular first.
pub fn popular(view: &View, slate: &Slate<'_>) -> Vec<usize> {
    let scales = view.popularity_scales();
    let popularity = |candidate: &Candidate<'_>| {
        let index = candidate.index.map(|index| &view.items.popularity.items[index]);
        index.map_or(0.0, |statistics| scales.popularity(statistics))
    };
    let values: Vec<f32> = slate.candidates.iter().map(popularity).collect();
    let mut order: Vec<usize> =
        (0..values.len()).filter(|&position| slate.is_free(position)).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order
}

impl Trial {
    /// `own` is the ranker's greedy list; `estimates` and `vector` are by candidate.
    pub fn new<'v>(
        view: &View,
        (origin, chances): (ListOrigin, [f64; 3]),
        baseline: &[usize],
        own: &ChosenList,
        estimates: &[f64],
        vector: impl Fn(usize) -> &'v [f32],
    ) -> Self {
        let own = own.chosen.iter().filter(|position| !position.pinned);
        let own: Vec<usize> = own.map(|position| position.candidate).collect();
        let positions = own.len().min(baseline.len());
        let (own, callers) = (&own[..positions], &baseline[..positions]);
        let pairs = || own.iter().zip(callers);
        let mut difference: Vec<f64> = Vec::new();
        for (list, sign) in [(own, 1.0), (callers, -1.0)] {
            for &candidate in list {
                let values = vector(candidate);
                difference.resize(values.len(), 0.0);
                for (sum, value) in difference.iter_mut().zip(values) {
                    *sum += sign * f64::from(*value);
                }
            }
        }
        Self {
            round: view.takeover().round,
            origin,
            chances,
            positions: positions as u32,
            same_position: pairs().filter(|(a, b)| a == b).count() as u32,
            in_both: own.iter().filter(|one| callers.contains(one)).count() as u32,
            same_first: pairs().next().is_some_and(|(a, b)| a == b),
            expected_gain: pairs().map(|(&a, &b)| estimates[a] - estimates[b]).sum(),
            difference: difference.into_iter().map(|value| value as f32).collect(),
        }
    }
}
