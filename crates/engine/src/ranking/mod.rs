//! From candidates to an ordered list: score by the learnt ranker, choose, diversify, explain.

mod choose;
mod explain;
mod exploration;
mod given;
mod item_effects;
mod prior;
mod rank;
mod request;
mod scale;
mod supply;
mod trial;

pub use choose::{Choice, Exploring, Pin, Placed, mean_similarity};
pub use explain::Reason;
pub use given::{boosted_rewards, propensities_of};
pub use prior::align_features;
#[cfg(test)]
pub use prior::{RANKER_DIMENSION, ranker_prior};
pub use rank::{CandidateRank, candidate_rank, rank, score_candidates, score_described};
pub use request::{Earlier, RankRequest, Ranked, RankedBy, RankedItem, Rival};
pub use trial::{Baseline, Trial};
