//! The few items whose answers tell most about a new user.
//!
//! A new user's factors are `w ~ N(m, S)`, with the mean and covariance of the known users. An
//! answer about item `h` is a noisy observation of `h' w`. The gain is
//! `ln(1 + h' S h / noise) / 2` nats, the decrease of `ln det S / 2`; then
//! `S <- S - S h h' S / (noise + h' S h)` (linear Gaussian model). Items are picked greedily
//! (D-optimal design), which is within 1 - 1/e of the best set for this submodular objective.
//! The gain is greatest for items about which users differ and that are unlike the items asked
//! before. The noise is the mean of `h' S h` over the pool, so the scale of the factors cancels.
//!
//! Only a user who knows the item gives an answer. So the gain is multiplied by the share of
//! users with a positive of it, and by `1 / (1 + k)` for a topic that was asked about k times:
//! not picking an item says little. Without a model the gain is left out.
//!
//! Cost: 256 fold-ins, then pool x k for each pick.

use crate::columns::index::ItemIndex;
use crate::give_up::GiveUp;
use crate::numeric::math;
use crate::retrieval::eligibility::Eligibility;
use crate::retrieval::popular::most_popular;
use crate::state::View;

/// Items to choose from, the most popular ones.
const POOL: usize = 500;
/// Users whose factors make up the prior.
const USERS: usize = 256;
/// Fewest users for an estimate of the covariance.
const USERS_MIN: usize = 8;

/// An item to ask a new user about.
#[derive(Debug, Clone, PartialEq)]
pub struct OnboardingItem {
    pub index: ItemIndex,
    /// Expected information about the user's factors given the answers to the items before, in
    /// nats; 0 without a model.
    pub gain: f64,
    /// Share of all users with a positive of it, 0 to 1.
    pub familiarity: f64,
}

/// At most `n` allowed items, the most informative first. Depends only on the view and the
/// filter.
pub fn onboarding_items(view: &View, eligible: &Eligibility<'_>, n: usize) -> Vec<OnboardingItem> {
    let allowed = |index: ItemIndex| eligible.allows(&view.items.entries[index], Some(index));
    let (mask, _) = eligible.mask(&GiveUp::never());
    let pool = most_popular(view, &mask, POOL, allowed);
    let users = view.users.states.len().max(1) as f64;
    let familiarity: Vec<f64> = pool
        .iter()
        .map(|&item| (f64::from(view.items.popularity.items[item].positives) / users).min(1.0))
        .collect();
    let mut uncertainty = Uncertainty::new(view, &pool);
    let mut asked = vec![0_u32; view.topics.len()];
    let mut left: Vec<usize> = (0..pool.len()).collect();
    let mut picked = Vec::with_capacity(n.min(left.len()));
    while picked.len() < n && !left.is_empty() {
        let value = |position: usize| {
            let gain = uncertainty.as_ref().map_or(1.0, |one| one.gain(position));
            // An item without positives may still be known.
            let known = familiarity[position] + 0.5 / users;
            gain * known * coverage(view, pool[position], &asked)
        };
        let best = (0..left.len()).max_by(|&a, &b| {
            let by_value = value(left[a]).total_cmp(&value(left[b]));
            by_value.then(left[b].cmp(&left[a]))
        });
        let position = left.remove(best.expect("some items are left"));
        let gain = uncertainty.as_ref().map_or(0.0, |one| one.gain(position));
        picked.push(OnboardingItem {
            index: pool[position],
            gain,
            familiarity: familiarity[position],
        });
        for &topic in &view.items.entries[pool[position]].topics {
            asked[topic as usize] += 1;
        }
        if let Some(uncertainty) = &mut uncertainty {
            uncertainty.answer(position);
        }
    }
    picked
}

/// How little the item's topics were asked about, 0 to 1: their mean.
fn coverage(view: &View, item: ItemIndex, asked: &[u32]) -> f64 {
    let topics = &view.items.entries[item].topics;
    if topics.is_empty() {
        return 1.0;
    }
    let new = |&topic: &u32| 1.0 / (1.0 + f64::from(asked[topic as usize]));
    topics.iter().map(new).sum::<f64>() / topics.len() as f64
}

/// The uncertainty about a new user, for the items of the pool.
struct Uncertainty {
    k: usize,
    /// Factors of the pool's items, zeros where an item has none.
    rows: Vec<f64>,
    /// k x k.
    covariance: Vec<f64>,
    /// `h' S h` of each item.
    variances: Vec<f64>,
    noise: f64,
}

impl Uncertainty {
    /// `None` without a model or enough users.
    fn new(view: &View, pool: &[ItemIndex]) -> Option<Self> {
        let k = view.items.factors.k();
        let covariance = covariance_of_users(view, k)?;
        let mut rows = Vec::with_capacity(pool.len() * k);
        for &item in pool {
            match view.items.factors.row(item) {
                Some(row) => rows.extend(row.iter().map(|&value| f64::from(value))),
                None => rows.resize(rows.len() + k, 0.0),
            }
        }
        let variance = |row: &[f64]| dot(row, &product(&covariance, row)).max(0.0);
        let variances: Vec<f64> = rows.chunks_exact(k).map(variance).collect();
        let noise = variances.iter().sum::<f64>() / variances.len().max(1) as f64;
        (noise > 0.0).then_some(Self { k, rows, covariance, variances, noise })
    }

    fn row(&self, position: usize) -> &[f64] {
        &self.rows[position * self.k..][..self.k]
    }

    fn gain(&self, position: usize) -> f64 {
        math::log1p(self.variances[position] / self.noise) / 2.0
    }

    /// Updates the covariance by an answer about an item.
    fn answer(&mut self, position: usize) {
        let direction = product(&self.covariance, self.row(position));
        let scale = 1.0 / (self.noise + self.variances[position]);
        for (cell, row) in self.covariance.chunks_exact_mut(self.k).zip(&direction) {
            for (cell, column) in cell.iter_mut().zip(&direction) {
                *cell -= scale * row * column;
            }
        }
        for (variance, row) in self.variances.iter_mut().zip(self.rows.chunks_exact(self.k)) {
            let along = dot(row, &direction);
            *variance = (*variance - scale * along * along).max(0.0);
        }
    }
}

/// Covariance of the factors of users at even steps through all; k x k.
fn covariance_of_users(view: &View, k: usize) -> Option<Vec<f64>> {
    let step = view.users.states.len().div_ceil(USERS).max(1);
    let users = view.users.states.iter().step_by(step).filter(|user| user.is_profiled());
    let rows: Vec<Vec<f32>> = users.filter_map(|user| view.fold_in(user)).collect();
    if rows.len() < USERS_MIN {
        return None;
    }
    let n = rows.len() as f64;
    let mut mean = vec![0.0; k];
    for factors in &rows {
        mean.iter_mut().zip(factors).for_each(|(sum, &value)| *sum += f64::from(value) / n);
    }
    let mut covariance = vec![0.0; k * k];
    for factors in &rows {
        let off: Vec<f64> = factors.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m).collect();
        for (cells, row) in covariance.chunks_exact_mut(k).zip(&off) {
            cells.iter_mut().zip(&off).for_each(|(cell, column)| *cell += row * column / n);
        }
    }
    Some(covariance)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}
