//! Collaborative filtering: implicit matrix factorization, exact fold-in of users, online item factors, retrieval scan.
//!
//! Symbols, the paper's letters: `w` user factors, `h` item factors, k of each; `c` confidence of an observation;
//! `a0` weight of the unobserved; `G` = `H'H` over all items (`Gu` = `W'W` over all users); `l_u`, `l_i` L2 weights.
//! Source: Rendle, Krichene, Zhang, Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks",
//! 2021 (arXiv 2110.14037), after Hu, Koren, Volinsky 2008.
//!
//! Invariants
//! - Fold-in and online items solve the rows of training exactly (`NormalEquations`); training approaches the same
//!   minimum by conjugate gradients, its last pass over the users to within rounding.
//! - `fold_in`, `online_items`, `gram` and `scan` give the same bits on every CPU. `train` does not (faer, fused arithmetic),
//!   so its result enters replayed state as data; it is the same for any number of threads.

mod cooccurrence;
mod fold_in;
mod half_step;
mod hyperparameters;
mod influence;
mod item_item;
mod normal_equations;
mod online_items;
mod scan;
mod train;
mod training_set;

pub use cooccurrence::{
    CooccurrenceScorer, ItemRows, RECENT, note, note_succession, take_back, take_back_succession,
};
pub use fold_in::{FACTOR_MAX, FoldIn, gram, is_usable, update_gram};
pub use hyperparameters::{Hyperparameters, InvalidHyperparameter, Regularization};
pub use influence::Influence;
pub use item_item::{Associations, ConsumedTogether, ItemItem, ItemItemScores, overlap, sequence};
pub use online_items::{ItemAccumulator, ItemSolve};
pub use scan::{Page, scan};
pub use train::{EpochProgress, Trained, Verdict, train, train_watched};
pub use training_set::{InvalidTrainingSet, TrainingSet};
