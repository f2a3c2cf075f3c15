//! Why an answer is worse than it should be.

use std::borrow::Cow;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DegradedReason {
    /// The interaction log cannot be reached.
    LogUnreachable,
    /// It cannot be written.
    LogNotWritable,
    /// What is learnt is late.
    BehindLog,
    /// A record cannot be learnt from, and neither can what follows it.
    LearningStopped,
    /// What was learnt is of another log than the one there is.
    LogReplaced,
    /// Nothing can be recorded: event ids that are known cannot be told from new ones.
    EventHashesDamaged,
}

/// The same with what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degradation {
    pub reason: DegradedReason,
    /// In words for operators.
    pub text: Cow<'static, str>,
}

impl Degradation {
    pub fn new(reason: DegradedReason, text: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, text: text.into() }
    }
}
