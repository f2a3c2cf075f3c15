//! What each group of features is worth: the engine ranks once more with the
//! features of one group at 0, "nothing known", and all weights as learnt with it.
//!
//! So the loss is what the group does now. An engine that had learnt without it
//! would lean on others and lose less.

use crate::evaluation::engine_recommender::EngineRecommender;
use crate::evaluation::protocols::Case;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Split;
use crate::features::groups;

/// The cases of the split without each group in turn, by its name.
pub fn ablate(
    engine: &EngineRecommender,
    split: &Split,
    items: usize,
    k: usize,
    progress: Progress<'_>,
) -> Vec<(String, Vec<Case>)> {
    let groups = groups();
    let total = groups.len() as u64;
    let mut ablated = Vec::with_capacity(groups.len());
    for (done, (component, features)) in (0..).zip(groups) {
        progress(done, total);
        let without = engine.without(component, &features);
        ablated.push((component.to_owned(), split.test(&without, items, k, &mut |_, _| {})));
    }
    progress(total, total);
    ablated
}
