//! What is wrong with an input, field by field.

use std::fmt;

/// One field of a request that breaks its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `interactions[3].user_id`.
    pub field: String,
    /// What the field must be, as a phrase that follows the field's name.
    pub reason: String,
}

impl Violation {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// The same violation seen from an enclosing message.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.reason)
    }
}

/// Collects every violation of a message, so that the caller sees all at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    pub fn add(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Violation::new(field, reason));
    }

    /// Keeps the value of a check, or notes its failure under `field`.
    pub fn take<T>(&mut self, field: &str, checked: Result<T, impl Into<String>>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(reason) => {
                self.add(field, reason);
                None
            }
        }
    }

    /// Adds the violations of an embedded message under `parent`.
    pub fn absorb<T>(&mut self, parent: &str, checked: Result<T, Vec<Violation>>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(inner) => {
                self.0.extend(inner.into_iter().map(|violation| violation.within(parent)));
                None
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` when nothing was noted, all violations otherwise.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    pub fn into_vec(self) -> Vec<Violation> {
        self.0
    }
}
