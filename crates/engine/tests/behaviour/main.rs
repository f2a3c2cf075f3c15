//! What users and operators expect of the engine, shown in small worlds with planted tastes:
//! does the right item come out?
//!
//! - Only the public interface of the crate is used, and only by [`harness`].
//! - Each test states one sentence and prints what came out when it fails.
//! - One file for each subject; all of them run in seconds.

mod bounds;
mod caps;
mod consumption;
mod context;
mod credit;
mod drift;
mod erasing;
mod experiments;
mod exploration;
mod harness;
mod hidden;
mod influence;
mod languages;
mod merging;
mod numbers;
mod pages;
mod patches;
mod popularity;
mod reasons;
mod retrieval;
mod scores;
mod showing;
mod tastes;
mod time;
mod training;
mod user_rules;
mod without_profile;
