//! The rights of a person over what is held about them.

mod export;
