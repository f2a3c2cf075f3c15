//! Taking in interactions and user attributes.

mod endless;
mod finite;
