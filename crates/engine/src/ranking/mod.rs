//! From candidates to an ordered list: score by the learnt hybrid, choose, vary, explain.

mod choose;
mod explain;
mod exploration;
mod rank;
mod scale;
mod supply;
mod trial;

pub use choose::{Choice, Exploring, Pin};
pub use explain::{Reason, ReasonKind};
pub use rank::{
    RANKER_DIMENSION, RankRequest, Ranked, RankedItem, Standing, prior_mean, rank,
    score_candidates, standing,
};
pub use trial::{Baseline, Trial};
