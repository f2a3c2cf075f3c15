//! What each item of a user's history adds to the score of another item.
//!
//! A folded-in user is `w = A^-1 sum_j c_j h_j` with `A = sum_j c_j h_j h_j' + a0 G + l_u I`, so a score splits exactly
//! (Hu, Koren, Volinsky 2008, section 5): `h_i' w = sum_j c_j h_j' A^-1 h_i`. A negative example (negative confidence,
//! target 0) is in `A` by its absolute value and adds nothing itself.
//! Invariants: `numeric` only, in f64; the parts add up to the score of the fold-in but for its rounding in f32.
//! Cost: n k^2 / 2 + k^3 / 6 for a user of n events, then k^2 + n k for each item.

use crate::columns::index::ItemIndex;
use crate::models::collaborative::hyperparameters::Regularization;
use crate::numeric::cholesky_f64;

/// The split of the scores of one user.
#[derive(Debug)]
pub struct Influence<'v> {
    /// Item, factors, confidence.
    events: Vec<(ItemIndex, &'v [f32], f32)>,
    factor: Vec<f64>,
    inverse_diagonal: Vec<f64>,
}

impl<'v> Influence<'v> {
    /// `gram` is that of the item factors, k x k. `None` when the system is not
    /// positive definite.
    pub fn new(
        gram: &[f32],
        regularization: &Regularization,
        mut events: Vec<(ItemIndex, &'v [f32], f32)>,
    ) -> Option<Self> {
        events.retain(|(_, _, confidence)| confidence.is_finite() && *confidence != 0.0);
        let k = events.first()?.1.len();
        let unobserved = f64::from(regularization.unobserved_weight);
        let mut factor: Vec<f64> = gram.iter().map(|&g| unobserved * f64::from(g)).collect();
        let ridge = f64::from(regularization.user(events.len()));
        for column in 0..k {
            factor[column * k + column] += ridge;
        }
        for (_, h, confidence) in &events {
            for column in 0..k {
                let scale = f64::from(confidence.abs()) * f64::from(h[column]);
                for (cell, &value) in factor[column * k + column..].iter_mut().zip(&h[column..]) {
                    *cell += scale * f64::from(value);
                }
            }
        }
        let mut inverse_diagonal = vec![0.0; k];
        cholesky_f64::factor(&mut factor, &mut inverse_diagonal).ok()?;
        Some(Self { events, factor, inverse_diagonal })
    }

    /// What each item of the history adds to the score of an item with these factors.
    pub fn parts(&self, item: &[f32]) -> impl Iterator<Item = (ItemIndex, f64)> {
        let mut direction: Vec<f64> = item.iter().map(|&value| f64::from(value)).collect();
        cholesky_f64::solve(&self.factor, &self.inverse_diagonal, &mut direction);
        self.events.iter().map(move |&(event, h, confidence)| {
            let dot: f64 = h.iter().zip(&direction).map(|(&h, d)| f64::from(h) * d).sum();
            (event, f64::from(confidence.max(0.0)) * dot)
        })
    }

    /// The item of the history that adds most; `None` when none adds anything.
    pub fn cause(&self, item: &[f32]) -> Option<ItemIndex> {
        let adding = self.parts(item).filter(|part| part.1 > 0.0);
        adding.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|part| part.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::collaborative::fold_in::FoldIn;
    use crate::models::collaborative::fold_in::gram;
    use crate::numeric;

    const REGULARIZATION: Regularization = Regularization {
        lambda: 0.02,
        frequency_exponent: 1.0,
        unobserved_weight: 0.1,
        n_users: 10,
        n_items: 8,
    };

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_score_of_the_fold_in(
            factors in prop::collection::vec(-1.0_f32..1.0, 8 * 4),
            confidences in prop::collection::vec(prop_oneof![0.1_f32..4.0, -2.0_f32..-0.1], 1..7),
        ) {
            let k = 4;
            let rows: Vec<&[f32]> = factors.chunks(k).collect();
            let gram = gram(&factors, k);
            let events: Vec<(ItemIndex, &[f32], f32)> = confidences
                .iter()
                .zip((0..).map(ItemIndex::new))
                .map(|(&confidence, item)| (item, rows[item.as_usize()], confidence))
                .collect();
            let mut folded = vec![0.0; k];
            let plain = events.iter().map(|&(_, h, c)| (h, c));
            FoldIn::new(k).solve(&gram, &REGULARIZATION, plain, None, &mut folded);
            let influence = Influence::new(&gram, &REGULARIZATION, events).unwrap();
            let score = f64::from(numeric::dot(&folded, rows[7]));
            let sum: f64 = influence.parts(rows[7]).map(|part| part.1).sum();
            prop_assert!((sum - score).abs() < 1e-3 * (1.0 + score.abs()), "{sum} {score}");
        }
    }

    #[test]
    fn the_cause_is_the_like_that_points_the_same_way() {
        let factors = [1.0, 0.0, 0.0, 1.0, 0.9, 0.1_f32];
        let rows: Vec<&[f32]> = factors.chunks(2).collect();
        let events = vec![(ItemIndex::new(4), rows[0], 1.0), (ItemIndex::new(5), rows[1], 1.0)];
        let influence = Influence::new(&gram(&factors, 2), &REGULARIZATION, events).unwrap();
        assert_eq!(influence.cause(rows[2]), Some(ItemIndex::new(4)));
    }
}
