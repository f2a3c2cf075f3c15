pub mod domain;
pub mod numeric;
pub mod engine;
