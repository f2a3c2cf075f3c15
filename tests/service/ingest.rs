//! Taking in interactions and user attributes.

mod batch;
mod endless;
mod finite;
