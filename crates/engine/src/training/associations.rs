//! The weights between items that are fitted with each training.

use std::sync::Arc;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::models::collaborative::Associations;
use crate::models::collaborative::ConsumedTogether;
use crate::models::collaborative::ItemItem;
use crate::models::collaborative::TrainingSet;
use crate::models::collaborative::overlap;
use crate::models::collaborative::sequence;
use crate::models::published::Origin;
use crate::models::weighing::Weighing;
use crate::training::columns::Columns;
use crate::training::holdout::Holdout;
use crate::training::holdout::mean;
use crate::training::report::TrainingReport;
use crate::training::trial;
use crate::training::watch::Part;
use crate::training::watch::Watch;
use crate::training::watch::watched;

/// L2 weights tried for the item-item weights, in observations.
const ITEM_ITEM_L2: [f64; 4] = [100.0, 400.0, 30.0, 1_000.0];
/// Of these, those fitted at a time: each takes memory for two more matrices.
const FITTED_TOGETHER: usize = 2;

/// The L2 weight of the serving model; without one, the first that is tried.
pub fn previous_l2(previous: Option<&Origin>) -> f64 {
    let l2 = previous.map(|origin| origin.item_item_l2).filter(|l2| *l2 > 0.0);
    l2.unwrap_or(ITEM_ITEM_L2[0])
}

/// The weights of what is consumed together by the L2 weight that ranks best what is held out, fitted to the
/// `set` without it. `None` when none can be fitted.
pub fn best(
    holdout: &Holdout<'_>,
    set: &TrainingSet,
    weighing: &Weighing,
    told: &mut TrainingReport,
) -> Option<ItemItem> {
    let columns = holdout.columns();
    let counts = ConsumedTogether::of(set, |column| columns.open()[column as usize])?;
    let judged = |&l2: &f64| {
        let together = counts.fit(l2)?;
        let ndcg = mean(&trial::judge_item_item(holdout, &together, weighing));
        Some((l2, ndcg, together))
    };
    let mut best: Option<(f64, ItemItem)> = None;
    for some in ITEM_ITEM_L2.chunks(FITTED_TOGETHER) {
        let tried: Vec<Option<(f64, f64, ItemItem)>> = some.par_iter().map(judged).collect();
        for (l2, ndcg, together) in tried.into_iter().flatten() {
            told.item_item.push((l2, ndcg));
            if best.as_ref().is_none_or(|(highest, _)| ndcg > *highest) {
                best = Some((ndcg, together));
                told.item_item_l2 = l2;
            }
        }
    }
    best.map(|(_, together)| together)
}

/// All weights, of rows that have the newest items first; empty ones where they cannot be fitted.
/// `together`: those of what is consumed together, if they are known.
pub fn fit(
    set: &TrainingSet,
    columns: &Columns,
    l2: f64,
    together: Option<ItemItem>,
    watch: &dyn Watch,
) -> Associations {
    let open = |column: u32| columns.open()[column as usize];
    let together = || {
        let fit = || ConsumedTogether::of(set, open)?.fit(l2);
        together.or_else(|| watched(watch, Part::Together, fit))
    };
    let sequence = || sequence::fit(set, open, &sequence::Window::default());
    let sequence = || watched(watch, Part::Sequence, sequence);
    let overlap = || watched(watch, Part::Overlap, || overlap::fit(set, open));
    let (together, (sequence, overlap)) = rayon::join(together, || rayon::join(sequence, overlap));
    let [together, sequence, overlap] =
        [together, sequence, overlap].map(|rows| Arc::new(rows.unwrap_or_default()));
    Associations { together, sequence, overlap }
}
