//! Co-occurrence over whole histories, normalised by the degrees of users and items.
//!
//! With R the users x items matrix of positives and D the numbers of positives,
//! `S = D_u^-.6 R D_i^-.4` and `P[j,c] = ((S'S)[j,c])^.7`. No inverse: it costs the sum of the
//! squared lengths of histories, and works for catalogues that are large and sparse, where a
//! closed form leaves most items out.
//! Source: Park et al., "Turbo-CF: Matrix Decomposition-Free Graph Filtering" (SIGIR 2024).

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::models::collaborative::item_item::rows::ItemItem;
use crate::models::collaborative::item_item::rows::ROW_MAX;
use crate::models::collaborative::item_item::rows::WEIGHTS_MAX;
use crate::models::collaborative::item_item::rows::strongest;
use crate::models::collaborative::item_item::solve::Chosen;
use crate::models::collaborative::training_set::TrainingSet;
use crate::numeric::math;

const USER_EXPONENT: f64 = 0.6;
const ITEM_EXPONENT: f64 = 0.4;
const POWER: f64 = 0.7;
/// Weights kept of a row at least; of more items than that allows the most consumed take part.
const NEIGHBOURS_MIN: usize = 16;

/// Computes the weights. Only items that are `open` take part. `None` when fewer than two do.
pub fn fit(set: &TrainingSet, open: impl Fn(u32) -> bool) -> Option<ItemItem> {
    let chosen = Chosen::of(set, open, WEIGHTS_MAX / NEIGHBOURS_MIN)?;
    let n = chosen.len();
    let neighbours = (WEIGHTS_MAX / n).clamp(NEIGHBOURS_MIN, ROW_MAX);
    let histories: Vec<Vec<u32>> =
        (0..set.n_users()).map(|user| chosen.positives(set, user).collect()).collect();
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); n];
    for (user, history) in (0..).zip(&histories) {
        history.iter().for_each(|&item| users[item as usize].push(user));
    }
    let power = |count: usize, exponent: f64| math::pow(count.max(1) as f64, -exponent) as f32;
    let of_user: Vec<f32> =
        histories.iter().map(|history| power(history.len(), 2.0 * USER_EXPONENT)).collect();
    let of_item: Vec<f32> = users.iter().map(|users| power(users.len(), ITEM_EXPONENT)).collect();
    let row = |(sums, scratch): &mut (Vec<f32>, Vec<(u32, f32)>), from: usize| {
        sums.resize(n, 0.0);
        for &user in &users[from] {
            for &to in &histories[user as usize] {
                sums[to as usize] += of_user[user as usize];
            }
        }
        let own = of_item[from];
        let found = sums.iter().enumerate().filter(|(to, sum)| **sum > 0.0 && *to != from);
        let weights = found.map(|(to, sum)| {
            let weight = math::pow(f64::from(sum * own * of_item[to]), POWER);
            (chosen.items[to], weight as f32)
        });
        let strongest = strongest(weights, neighbours, scratch);
        sums.fill(0.0);
        (chosen.items[from], strongest)
    };
    let rows: Vec<_> = (0..n).into_par_iter().map_init(Default::default, row).collect();
    Some(ItemItem::of(rows))
}
