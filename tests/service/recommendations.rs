//! Personalize: candidates, filters, variety, propensities, and how fast it learns.

mod answers;
mod candidates;
mod learning;
