//! What comes next, in closed form: weights that predict the next item of a history from a decayed
//! sum over the items before it.
//!
//! For each position l of a history that has a next item, `w_l = sum_(g < window) e^(-g/tau)
//! e_(item l-g)`, `G = sum w w'`, `K = sum w e_next'`, `B = (G + l I)^-1 K`. The score of c for a
//! history, the newest first (p = 0), is `sum_p e^(-p/t) B[i_p, c]`.
//! Source: Choi et al., "Session-aware Linear Item-Item Models" (SLIT, WWW 2021).
//!
//! Cost: `window^2 / 2` additions for each positive, and the solution of n equations for n right
//! sides, for at most [`DENSE_MAX`] items.

use faer::Mat;
use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::models::collaborative::item_item::rows::ItemItem;
use crate::models::collaborative::item_item::rows::strongest;
use crate::models::collaborative::item_item::solve::Chosen;
use crate::models::collaborative::item_item::solve::DENSE_MAX;
use crate::models::collaborative::item_item::solve::ridge;
use crate::models::collaborative::item_item::solve::solved;
use crate::models::collaborative::training_set::TrainingSet;
use crate::numeric::math;

/// `e^(-1/4.5)`: what each older item of a history counts of the next newer one in a score.
pub const RECENCY: f32 = 0.800_737;
/// Weights kept of a row: .170 of .172 on ml-1m, where positive ones alone give .168.
const NEIGHBOURS: usize = 128;

/// How much of a history predicts the next item.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Items that are looked back on.
    pub length: usize,
    /// Items after which one counts `1/e`.
    pub tau: f64,
    /// L2 weight, in observations.
    pub l2: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self { length: 20, tau: 8.0, l2: 300.0 }
    }
}

/// Fits the weights to rows that have their newest items first. Only items that are `open` take
/// part. `None` when fewer than two do, or when the system cannot be solved.
pub fn fit(set: &TrainingSet, open: impl Fn(u32) -> bool, window: &Window) -> Option<ItemItem> {
    let chosen = Chosen::of(set, open, DENSE_MAX)?;
    let n = chosen.len();
    let weights: Vec<f32> =
        (0..window.length).map(|gap| math::exp(-(gap as f64) / window.tau) as f32).collect();
    let (mut gram, mut next) = (Mat::<f32>::zeros(n, n), Mat::<f32>::zeros(n, n));
    let mut history: Vec<u32> = Vec::new();
    let mut before: Vec<(u32, f32)> = Vec::new();
    for user in 0..set.n_users() {
        history.clear();
        history.extend(chosen.positives(set, user));
        for (newer, items) in history.windows(2).enumerate() {
            let path = history[newer + 1..].iter().copied();
            before.clear();
            before.extend(path.zip(weights.iter().copied()));
            before.sort_unstable_by_key(|entry| entry.0);
            for (from, &(column, weight)) in before.iter().enumerate() {
                next[(column as usize, items[0] as usize)] += weight;
                for &(line, other) in &before[from..] {
                    gram[(line as usize, column as usize)] += weight * other;
                }
            }
        }
    }
    let solution = solved(ridge(gram, window.l2), next)?;
    let items = &chosen.items;
    let row = |scratch: &mut Vec<(u32, f32)>, from: usize| {
        let weights = (0..n).map(|to| (items[to], solution[(from, to)]));
        (items[from], strongest(weights, NEIGHBOURS, scratch))
    };
    let rows: Vec<_> = (0..n).into_par_iter().map_init(Vec::new, row).collect();
    Some(ItemItem::of(rows))
}
