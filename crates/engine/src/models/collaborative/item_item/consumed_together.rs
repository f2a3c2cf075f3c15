//! Item-item weights in closed form (EASE): which items predict a positive for another one.
//!
//! With X the users x items matrix of positives, `P = (X'X + l I)^-1` and
//! `B[j,c] = -P[j,c] / P[c,c]`, `B[c,c] = 0`: the linear map that best reconstructs each
//! item from the others under an L2 weight l.
//! Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019).
//!
//! Only the items with the most positives take part: the inverse costs n^3 operations.

use faer::Mat;
use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::models::collaborative::item_item::rows::ItemItem;
use crate::models::collaborative::item_item::rows::strongest;
use crate::models::collaborative::item_item::solve::Chosen;
use crate::models::collaborative::item_item::solve::DENSE_MAX;
use crate::models::collaborative::item_item::solve::inverse;
use crate::models::collaborative::item_item::solve::ridge;
use crate::models::collaborative::training_set::TrainingSet;

/// Weights kept of a row, the largest by absolute value.
const NEIGHBOURS: usize = 256;

/// Counts of common users by pairs of items: the input of the fit, for every L2 weight.
#[derive(Debug)]
pub struct ConsumedTogether {
    chosen: Chosen,
    /// `X'X` of the chosen: its lower triangle.
    gram: Mat<f32>,
}

impl ConsumedTogether {
    /// Only items that are `open` take part: those that can be recommended. `None` when
    /// fewer than two do.
    pub fn of(set: &TrainingSet, open: impl Fn(u32) -> bool) -> Option<Self> {
        let chosen = Chosen::of(set, open, DENSE_MAX)?;
        let mut gram = Mat::<f32>::zeros(chosen.len(), chosen.len());
        let mut row: Vec<u32> = Vec::new();
        for user in 0..set.n_users() {
            row.clear();
            row.extend(chosen.positives(set, user));
            row.sort_unstable();
            for (from, &column) in row.iter().enumerate() {
                for &line in &row[from..] {
                    gram[(line as usize, column as usize)] += 1.0;
                }
            }
        }
        Some(Self { chosen, gram })
    }

    /// Fits the weights; `l2` is above 0, in observations. `None` when the system cannot be
    /// solved.
    pub fn fit(&self, l2: f64) -> Option<ItemItem> {
        let n = self.chosen.len();
        let inverse = inverse(ridge(self.gram.clone(), l2))?;
        let diagonal: Vec<f32> = (0..n).map(|at| inverse[(at, at)]).collect();
        if diagonal.iter().any(|value| !(value.is_finite() && *value > 0.0)) {
            return None;
        }
        let items = &self.chosen.items;
        let row = |scratch: &mut Vec<(u32, f32)>, from: usize| {
            let column = inverse.col_as_slice(from).iter().zip(&diagonal).zip(items).enumerate();
            let others = column.filter(|(to, _)| *to != from);
            let weights = others.map(|(_, ((value, own), &item))| (item, -value / own));
            (items[from], strongest(weights, NEIGHBOURS, scratch))
        };
        let rows: Vec<_> = (0..n).into_par_iter().map_init(Vec::new, row).collect();
        Some(ItemItem::of(rows))
    }
}
