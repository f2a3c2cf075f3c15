//! What a policy earned: positions that were shown and clicked, by round, by person and since a drift.

use std::collections::BTreeMap;

use serde::Serialize;

use super::world::Response;
use super::world::Settings;
use super::world::Visit;

/// From how many earlier visits of a person on a column of the table by earlier visits counts.
pub const EARLIER_VISITS: [u32; 5] = [0, 1, 3, 6, 12];
/// The same for visits since a drift.
pub const SINCE_DRIFT: [u32; 5] = [0, 1, 3, 6, 12];
/// The same for rounds since an item appeared.
pub const AGES: [u32; 5] = [0, 1, 2, 4, 8];
/// Rounds before a drift whose click rate is what recovery is measured by.
const FORMER_ROUNDS: u32 = 5;

/// Positions that were shown, and how many of them were clicked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub shown: u64,
    pub clicked: u64,
}

impl Count {
    /// The click rate; `None` when nothing was shown.
    pub fn rate(&self) -> Option<f64> {
        (self.shown > 0).then(|| self.clicked as f64 / self.shown as f64)
    }

    fn add(&mut self, responses: &[Response]) {
        self.shown += responses.len() as u64;
        self.clicked += responses.iter().filter(|it| it.is_clicked).count() as u64;
    }

    /// The sum of some.
    pub fn sum<'c>(counts: impl IntoIterator<Item = &'c Self>) -> Self {
        counts.into_iter().fold(Self::default(), |sum, count| Self {
            shown: sum.shown + count.shown,
            clicked: sum.clicked + count.clicked,
        })
    }
}

/// The people whose taste changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// In the rounds just before.
    pub former: Count,
    /// By visits since, see [`SINCE_DRIFT`].
    pub since: [Count; SINCE_DRIFT.len()],
}

impl Recovery {
    /// Click rates since the change over that before.
    pub fn relative(&self) -> [Option<f64>; SINCE_DRIFT.len()] {
        let former = self.former.rate().filter(|rate| *rate > 0.0);
        self.since.map(|count| Some(count.rate()? / former?))
    }
}

/// All that is counted of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub rounds: Vec<Count>,
    /// By position of the list.
    pub positions: Vec<Count>,
    /// By earlier visits of the person, see [`EARLIER_VISITS`].
    pub earlier_visits: [Count; EARLIER_VISITS.len()],
    /// By rounds since the item appeared, see [`AGES`].
    pub ages: [Count; AGES.len()],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// By item: how often it was shown.
    #[serde(skip)]
    items: BTreeMap<usize, u64>,
    /// The rounds whose click rate recovery is measured by.
    #[serde(skip)]
    former_rounds: std::ops::Range<u32>,
}

impl Tally {
    pub fn new(settings: &Settings) -> Self {
        let drift = settings.drift.map_or(0, |drift| drift.round);
        Self {
            rounds: vec![Count::default(); settings.rounds as usize],
            positions: vec![Count::default(); settings.positions],
            earlier_visits: Default::default(),
            ages: Default::default(),
            items: BTreeMap::new(),
            recovery: settings.drift.map(|_| Recovery::default()),
            former_rounds: drift.saturating_sub(FORMER_ROUNDS)..drift,
        }
    }

    /// Takes in what a person did with a list: items, and the rounds since they appeared.
    pub fn add(&mut self, visit: &Visit, list: &[(usize, u32)], responses: &[Response]) {
        self.rounds[visit.round as usize].add(responses);
        for ((count, (item, age)), response) in self.positions.iter_mut().zip(list).zip(responses) {
            count.add(std::slice::from_ref(response));
            self.ages[bin(&AGES, *age)].add(std::slice::from_ref(response));
            *self.items.entry(*item).or_default() += 1;
        }
        self.earlier_visits[bin(&EARLIER_VISITS, visit.earlier)].add(responses);
        if let Some(recovery) = self.recovery.as_mut().filter(|_| visit.drifts) {
            match visit.since_drift {
                Some(visits) => recovery.since[bin(&SINCE_DRIFT, visits)].add(responses),
                None if self.former_rounds.contains(&visit.round) => {
                    recovery.former.add(responses);
                }
                None => {}
            }
        }
    }

    /// The click rate from a round on.
    pub fn rate_from(&self, round: u32) -> Option<f64> {
        Count::sum(self.rounds.iter().skip(round as usize)).rate()
    }

    /// How many different items were shown.
    pub fn items_shown(&self) -> usize {
        self.items.len()
    }

    /// The share of the positions that so many items have which were shown most often.
    pub fn share_of_most_shown(&self, items: usize) -> Option<f64> {
        let mut counts: Vec<u64> = self.items.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let all: u64 = counts.iter().sum();
        (all > 0).then(|| counts.iter().take(items).sum::<u64>() as f64 / all as f64)
    }
}

/// The last of the bounds that a value reaches; the first one is 0.
fn bin(bounds: &[u32], value: u32) -> usize {
    bounds.iter().rposition(|bound| *bound <= value).unwrap_or(0)
}
