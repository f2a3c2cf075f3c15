//! Taking in interactions and user attributes.

mod finite;
mod endless;
