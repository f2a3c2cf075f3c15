//! Content of items: incremental TF-IDF over title, content and topics in each language, embeddings, and
//! the item factors that they predict.
//!
//! - State is the vocabulary (terms, document frequencies, weights as of the last
//!   refit) and the term counts of each item. Vectors are derived: they are a pure
//!   function of both, so they are not in a snapshot, and weighing again once
//!   after a batch gives the same bits as after each record.
//! - Everything depends on the order of the log only: ids are given in the order
//!   terms are first seen, refits happen at fixed numbers of upserts, sums run in
//!   a fixed order, and ln comes from libm.
//!
//! Source: Salton and Buckley, "Term-weighting approaches in automatic text
//! retrieval", 1988, with scikit-learn's smooth idf. Departures: fields count
//! differently, topics are also terms of their own, idf changes only at refits.

mod centroid;
mod counts;
mod embeddings;
mod factor_map;
mod fold;
mod inverted;
mod language;
mod latent;
mod learnt;
mod tokenize;
mod vector;
mod vectors;
mod vocabulary;

pub use centroid::Centroid;
pub use counts::Document;
pub use counts::TermCounts;
pub use embeddings::EmbeddingSpace;
pub use embeddings::Embeddings;
pub use embeddings::embed;
pub use factor_map::FactorMap;
pub use factor_map::MapExample;
pub use inverted::Inverted;
pub use latent::{Latent, RANK_MAX};
pub use learnt::ContentModel;
pub use vector::SparseVector;
pub use vectors::TermVectors;
pub use vocabulary::{Head as VocabularyHead, Vocabulary};
