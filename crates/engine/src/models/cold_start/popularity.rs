//! How much each item is consumed: in the long run, at present, and by the memory that
//! predicts best.
//!
//! - Each item has several decayed sums of the weights of its positives, one for each [`Sum`].
//!   Forward decay with one landmark for all items: an event at `t` adds
//!   `w * 2^(t - landmark)`, in half-lives. One scale turns the stored sums of all items
//!   into those of any instant. So ranking computes no exponential per item, and an event
//!   touches its own item only. When an exponent grows large, the landmark moves and every
//!   stored sum is scaled once. Source: Cormode et al., "Forward Decay" (ICDE 2009).
//! - Which of them is *popularity* is learnt (`memory`): a news site forgets in hours, a film
//!   archive hardly at all.
//! - 64 bytes an item. Sums of an item are f32, rounded so that no weight is lost when added to a
//!   large sum. Its counters stop at 2^32 - 1, which is 27 years at five a second. Totals are
//!   f64 and u64.

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::domain::Timestamp;
use crate::models::cold_start::memory::Evidence;
use crate::models::cold_start::memory::Memory;
use crate::models::cold_start::memory::MemoryChoice;
use crate::models::decay::DecayTime;
use crate::models::decay::FORGOTTEN;
use crate::models::decay::power;
use crate::models::decays::Decays;
use crate::numeric::math;
use crate::numeric::rounding;

/// Half-life of the sum of a fortnight, in hours.
pub const FORTNIGHT_HOURS: f32 = 14.0 * 24.0;
/// Exponent of a candidate's own mass in the co-occurrence score.
const CANDIDATE_EXPONENT: f64 = 0.3;
/// Activity counts half after so many further positives of all users: the same for a
/// catalogue of ten events a day and one of ten a second.
const ACTIVITY_SHORT: f64 = 500.0;
const ACTIVITY: f64 = 2_000.0;
const ACTIVITY_LONG: f64 = 10_000.0;

/// The decayed sums that are kept of each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    SixHours,
    Day,
    /// By the trend's configured half-life.
    Trend,
    Fortnight,
    Quarter,
    /// Positives by number, not by weight; decay by events.
    ActivityShort,
    Activity,
    ActivityLong,
    /// Positives by number, as the co-occurrence counts decay.
    Cooccurrence,
    /// As the rows of cohorts and values of contexts decay.
    Share,
}

impl Sum {
    /// Whether it counts positives instead of adding their weights.
    fn counts(self) -> bool {
        match self {
            Self::ActivityShort | Self::Activity | Self::ActivityLong | Self::Cooccurrence => true,
            Self::SixHours | Self::Day | Self::Trend | Self::Fortnight | Self::Quarter => false,
            Self::Share => false,
        }
    }
}

const SUMS: [Sum; 10] = [
    Sum::SixHours,
    Sum::Day,
    Sum::Trend,
    Sum::Fortnight,
    Sum::Quarter,
    Sum::ActivityShort,
    Sum::Activity,
    Sum::ActivityLong,
    Sum::Cooccurrence,
    Sum::Share,
];

/// The sum that a memory reads; `None` for the count of all positives.
fn sum_of(memory: Memory) -> Option<Sum> {
    match memory {
        Memory::SixHours => Some(Sum::SixHours),
        Memory::Day => Some(Sum::Day),
        Memory::Trend => Some(Sum::Trend),
        Memory::Fortnight => Some(Sum::Fortnight),
        Memory::Quarter => Some(Sum::Quarter),
        Memory::Activity => Some(Sum::Activity),
        Memory::Everything => None,
    }
}

/// Evidence about one item. Its decayed sums are as of the landmarks of [`Popularity`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemStatistics {
    sums: [f32; SUMS.len()],
    /// `cooccurrence^-0.3`, 0 for none.
    cooccurrence_weight: f32,
    /// Positive interactions ever.
    pub positives: u32,
    /// Interactions of every type but impressions.
    pub interactions: u32,
    pub impressions: u32,
    /// Positions in answers.
    pub shown: u32,
    /// Positions in answers that led to a reward.
    pub rewarded: u32,
}

impl ItemStatistics {
    /// `ln(1 + positives)`.
    pub fn log_positives(&self) -> f32 {
        math::log1p_f32(self.positives as f32)
    }

    fn weigh(&mut self) {
        let mass = f64::from(self.sums[Sum::Cooccurrence as usize]);
        self.cooccurrence_weight =
            if mass > 0.0 { math::pow(mass, -CANDIDATE_EXPONENT) as f32 } else { 0.0 };
    }
}

/// Evidence about all items together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    sums: [f64; SUMS.len()],
    /// Of all positives ever, without decay.
    weight: f64,
    /// Rises of evidence, of which positives are the first ones.
    rises: u64,
    pub positives: u64,
    pub impressions: u64,
    pub shown: u64,
    pub rewarded: u64,
}

/// State that is not per item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PopularityHead {
    pub totals: Totals,
    landmarks: [DecayTime; SUMS.len()],
    choice: MemoryChoice,
}

#[cfg(test)]
impl PopularityHead {
    fn choice_scores(&self) -> [f64; Memory::ALL.len()] {
        self.choice.scores
    }
}

/// Statistics of all items on common landmarks.
#[derive(Debug, Clone, Default)]
pub struct Popularity {
    pub items: Column<ItemStatistics, ItemIndex>,
    pub head: PopularityHead,
}

/// What turns stored sums into those of an instant.
#[derive(Debug, Clone, Copy)]
pub struct Scales {
    sums: [f32; SUMS.len()],
    cooccurrence_weight: f32,
    in_use: Memory,
}

impl Popularity {
    pub fn totals(&self) -> &Totals {
        &self.head.totals
    }

    /// The memory that popularity uses now.
    pub fn in_use(&self) -> Memory {
        self.head.choice.in_use()
    }

    /// Half-life of the memory in use, in hours.
    pub fn half_life_hours(&self, decays: &Decays) -> f32 {
        self.head.choice.hours(decays.trend.hours())
    }

    /// Starts with the memory nearest to a half-life; does nothing once there are enough tests
    /// to choose.
    pub fn start_with(&mut self, half_life_hours: f32) {
        if self.head.choice.is_open() {
            self.head.choice = MemoryChoice::starting_with(half_life_hours);
        }
    }

    /// Adds a rise of evidence at a time that is not ahead of the clock. `starts`: what it counts as, where it
    /// begins a positive: 1, or less for one who comes back.
    pub fn add_rise(
        &mut self,
        item: ItemIndex,
        weight: f32,
        starts: Option<f32>,
        at: Timestamp,
        decays: &Decays,
    ) {
        let times = self.times(at, decays);
        if self.head.totals.rises == 0 {
            self.head.landmarks = times;
        }
        let ahead = |sum: usize| times[sum].since(self.head.landmarks[sum]) > FORGOTTEN;
        let moving: Vec<usize> = (0..SUMS.len()).filter(|&sum| ahead(sum)).collect();
        if !moving.is_empty() {
            self.move_landmarks(&moving, &times);
        }
        let growth = self.growth(&times);
        let totals = &mut self.head.totals;
        totals.rises += 1;
        totals.positives += u64::from(starts.is_some());
        totals.weight += f64::from(weight);
        let statistics = self.items.get_mut(item);
        statistics.positives = statistics.positives.saturating_add(u32::from(starts.is_some()));
        for (index, sum) in SUMS.into_iter().enumerate() {
            let Some(weight) = (if sum.counts() { starts } else { Some(weight) }) else {
                continue;
            };
            let weight = growth[index] * f64::from(weight);
            totals.sums[index] += weight;
            // An independent random number for each sum of each event.
            let key = totals.rises.wrapping_mul(SUMS.len() as u64) + index as u64;
            statistics.sums[index] = rounding::add(statistics.sums[index], weight, key);
        }
        statistics.weigh();
    }

    /// Scores every memory by the item that is consumed next, before it is learnt. True when
    /// another memory is in use from here on.
    pub fn test(
        &mut self,
        item: ItemIndex,
        catalogue: u64,
        at: Timestamp,
        decays: &Decays,
    ) -> bool {
        let totals = &self.head.totals;
        if totals.positives == 0 {
            return false;
        }
        let weight = totals.weight / totals.positives as f64;
        let (scales, statistics) = (self.scales(at, decays), &self.items[item]);
        let evidence = Memory::ALL.map(|memory| {
            let counts = sum_of(memory).is_none_or(Sum::counts);
            Evidence {
                of_item: f64::from(scales.of(memory, statistics)),
                of_all: scales.of_all(memory, totals),
                unit: if counts { 1.0 } else { weight },
            }
        });
        self.head.choice.note(&evidence, catalogue)
    }

    pub fn count_interaction(&mut self, item: ItemIndex) {
        let count = &mut self.items.get_mut(item).interactions;
        *count = count.saturating_add(1);
    }

    pub fn count_impression(&mut self, item: ItemIndex) {
        let count = &mut self.items.get_mut(item).impressions;
        *count = count.saturating_add(1);
        self.head.totals.impressions += 1;
    }

    /// Counts a position in an answer.
    pub fn count_shown(&mut self, item: ItemIndex) {
        let count = &mut self.items.get_mut(item).shown;
        *count = count.saturating_add(1);
        self.head.totals.shown += 1;
    }

    /// Counts a position in an answer that led to a reward.
    pub fn count_rewarded(&mut self, item: ItemIndex) {
        let count = &mut self.items.get_mut(item).rewarded;
        *count = count.saturating_add(1);
        self.head.totals.rewarded += 1;
    }

    /// Takes back one positive of this weight, which came when there had been `positives`.
    pub fn take_back(
        &mut self,
        item: ItemIndex,
        weight: f32,
        (at, positives): (Timestamp, f64),
        decays: &Decays,
    ) {
        let growth = self.growth(&self.times_after(positives, at, decays));
        let statistics = self.items.get_mut(item);
        statistics.positives = statistics.positives.saturating_sub(1);
        for (index, sum) in SUMS.into_iter().enumerate() {
            let counts = sum.counts();
            let weight = growth[index] * if counts { 1.0 } else { f64::from(weight) };
            statistics.sums[index] = (statistics.sums[index] - weight as f32).max(0.0);
        }
        statistics.weigh();
    }

    fn times(&self, at: Timestamp, decays: &Decays) -> [DecayTime; SUMS.len()] {
        self.times_after(self.head.totals.positives as f64, at, decays)
    }

    fn times_after(
        &self,
        positives: f64,
        at: Timestamp,
        decays: &Decays,
    ) -> [DecayTime; SUMS.len()] {
        let of_hours =
            |hours: f64| DecayTime::from_half_lives(at.hours_since(Timestamp::default()) / hours);
        SUMS.map(|sum| match sum {
            Sum::SixHours => of_hours(6.0),
            Sum::Day => of_hours(24.0),
            Sum::Trend => decays.trend.at(at),
            Sum::Fortnight => of_hours(f64::from(FORTNIGHT_HOURS)),
            Sum::Quarter => of_hours(90.0 * 24.0),
            Sum::ActivityShort => DecayTime::from_half_lives(positives / ACTIVITY_SHORT),
            Sum::Activity => DecayTime::from_half_lives(positives / ACTIVITY),
            Sum::ActivityLong => DecayTime::from_half_lives(positives / ACTIVITY_LONG),
            Sum::Cooccurrence => decays.cooccurrence.at(at),
            Sum::Share => decays.shares.at(at),
        })
    }

    fn growth(&self, times: &[DecayTime; SUMS.len()]) -> [f64; SUMS.len()] {
        std::array::from_fn(|sum| power(times[sum].since(self.head.landmarks[sum])))
    }

    /// Makes `times` the landmarks of some sums; every sum keeps its value.
    fn move_landmarks(&mut self, moving: &[usize], times: &[DecayTime; SUMS.len()]) {
        let by = self.growth(times).map(|growth| 1.0 / growth);
        for item in self.items.indices() {
            let statistics = self.items.get_mut(item);
            for &sum in moving {
                statistics.sums[sum] = (f64::from(statistics.sums[sum]) * by[sum]) as f32;
            }
            statistics.weigh();
        }
        for &sum in moving {
            self.head.totals.sums[sum] *= by[sum];
            self.head.landmarks[sum] = times[sum];
        }
    }

    /// The evidence about an item by a memory, as of its landmark. It orders items by popularity
    /// at every instant.
    pub fn stored(&self, memory: Memory, item: ItemIndex) -> f32 {
        let statistics = &self.items[item];
        let all = statistics.positives as f32;
        sum_of(memory).map_or(all, |sum| statistics.sums[sum as usize])
    }

    /// The landmark of stored values: those of one landmark compare.
    pub fn landmark(&self, memory: Memory) -> DecayTime {
        sum_of(memory).map_or_else(DecayTime::default, |sum| self.head.landmarks[sum as usize])
    }

    /// The item's share of the positive weights of all users, 0 to 1, decayed as the rows of
    /// cohorts and values of contexts are.
    pub fn share(&self, item: ItemIndex) -> f32 {
        let total = self.head.totals.sums[Sum::Share as usize];
        let sum = f64::from(self.items[item].sums[Sum::Share as usize]);
        if total > 0.0 { (sum / total).min(1.0) as f32 } else { 0.0 }
    }

    /// The scales of an instant.
    pub fn scales(&self, now: Timestamp, decays: &Decays) -> Scales {
        let times = self.times(now, decays);
        // Before its landmark a sum is read as of its landmark.
        let since = |sum: usize| times[sum].since(self.head.landmarks[sum]).max(0.0);
        let by_cooccurrence = since(Sum::Cooccurrence as usize).min(FORGOTTEN);
        Scales {
            sums: std::array::from_fn(|sum| power(-since(sum)) as f32),
            cooccurrence_weight: power(CANDIDATE_EXPONENT * by_cooccurrence) as f32,
            in_use: self.in_use(),
        }
    }
}

impl Scales {
    /// The popularity, by the memory in use: decayed weights or numbers of positives.
    pub fn popularity(&self, statistics: &ItemStatistics) -> f32 {
        self.of(self.in_use, statistics)
    }

    /// [`Self::popularity`] of all items together.
    pub fn popularity_of_all(&self, totals: &Totals) -> f64 {
        self.of_all(self.in_use, totals)
    }

    /// Decayed sum of positive weights, by the trend's half-life.
    pub fn trend(&self, statistics: &ItemStatistics) -> f32 {
        self.sum(Sum::Trend, statistics)
    }

    /// Number of positive interactions, each counting half after 2,000 further ones.
    pub fn activity(&self, statistics: &ItemStatistics) -> f32 {
        self.sum(Sum::Activity, statistics)
    }

    /// The same after 500 and after 10,000.
    pub fn activity_short(&self, statistics: &ItemStatistics) -> f32 {
        self.sum(Sum::ActivityShort, statistics)
    }

    pub fn activity_long(&self, statistics: &ItemStatistics) -> f32 {
        self.sum(Sum::ActivityLong, statistics)
    }

    /// Decayed sum of positive weights, with a half-life of 14 days.
    pub fn fortnight(&self, statistics: &ItemStatistics) -> f32 {
        self.sum(Sum::Fortnight, statistics)
    }

    /// Decayed number of positive interactions, on the time scale of the
    /// co-occurrence counts that it normalises.
    pub fn cooccurrence_mass(&self, statistics: &ItemStatistics) -> f32 {
        self.sum(Sum::Cooccurrence, statistics)
    }

    /// That number to the power of -0.3; 0 for none.
    pub fn cooccurrence_weight(&self, statistics: &ItemStatistics) -> f32 {
        statistics.cooccurrence_weight * self.cooccurrence_weight
    }

    fn sum(&self, sum: Sum, statistics: &ItemStatistics) -> f32 {
        statistics.sums[sum as usize] * self.sums[sum as usize]
    }

    fn of(&self, memory: Memory, statistics: &ItemStatistics) -> f32 {
        let all = statistics.positives as f32;
        sum_of(memory).map_or(all, |sum| self.sum(sum, statistics))
    }

    fn of_all(&self, memory: Memory, totals: &Totals) -> f64 {
        let all = totals.positives as f64;
        let decayed = |sum: Sum| totals.sums[sum as usize] * f64::from(self.sums[sum as usize]);
        sum_of(memory).map_or(all, decayed)
    }
}

#[cfg(test)]
mod tests;
