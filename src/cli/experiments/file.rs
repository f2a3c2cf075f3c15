//! An experiment, or what a variant overrides, in a file: YAML with comments, by the names of the proto, as in
//! JSON.

use std::path::Path;

use crate::cli::Failure;
use crate::cli::messages::message;
use crate::proto;

/// Reads an experiment.
///
/// # Errors
/// With the file, and the line where there is one.
pub fn read(path: &Path) -> Result<proto::Experiment, Failure> {
    read_with(path, parse)
}

/// Reads what a variant overrides.
///
/// # Errors
/// As [`read`].
pub fn read_overrides(path: &Path) -> Result<proto::VariantOverrides, Failure> {
    read_with(path, parse_overrides)
}

fn read_with<T>(path: &Path, parse: fn(&str) -> Result<T, Failure>) -> Result<T, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| format!("failed to read {}: {cause}", path.display()))?;
    parse(&text).map_err(|cause| format!("{}: {cause}", path.display()).into())
}

/// # Errors
/// What is wrong, with the line where there is one.
pub fn parse(text: &str) -> Result<proto::Experiment, Failure> {
    message("Experiment", text)
}

/// # Errors
/// As [`parse`].
pub fn parse_overrides(text: &str) -> Result<proto::VariantOverrides, Failure> {
    message("VariantOverrides", text)
}
