//! Counts of what became of the rows of an import.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::proto::Rejection;

/// Reasons that are kept for the summary.
const REASONS: usize = 10;

/// What became of the rows of one file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Rows the server took.
    pub accepted: u64,
    /// Rows the server had already.
    pub duplicates: u64,
    /// Rows the server refused.
    pub rejected: u64,
    /// Rows of users who were erased, which the server dropped.
    #[serde(default)]
    pub suppressed: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// The first reasons of the two above.
    pub reasons: Vec<String>,
}

impl Tally {
    /// Adds counts and, up to the limit, reasons.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.rejected += other.rejected;
        self.suppressed += other.suppressed;
        self.unreadable += other.unreadable;
        let left = REASONS.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(left));
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.accepted + self.duplicates + self.rejected + self.suppressed + self.unreadable
    }
}

/// What became of a whole import.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub items: Tally,
    pub users: Tally,
    pub interactions: Tally,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [("items", &self.items), ("users", &self.users), ("interactions", &self.interactions)];
        let mut separator = "";
        for (kind, tally) in kinds.into_iter().filter(|(_, tally)| tally.rows() > 0) {
            write!(
                formatter,
                "{separator}{kind}: {} accepted, {} duplicates, {} rejected, {} unreadable",
                tally.accepted, tally.duplicates, tally.rejected, tally.unreadable
            )?;
            if tally.suppressed > 0 {
                write!(formatter, ", {} of erased users", tally.suppressed)?;
            }
            for reason in &tally.reasons {
                write!(formatter, "\n  {reason}")?;
            }
            let told = tally.reasons.len() as u64;
            let omitted = (tally.rejected + tally.unreadable).saturating_sub(told);
            if omitted > 0 {
                write!(formatter, "\n  and {omitted} more")?;
            }
            separator = "\n";
        }
        if separator.is_empty() {
            write!(formatter, "there was nothing to import")?;
        }
        Ok(())
    }
}

/// A rejection in one line, about what `subject` names.
pub fn reason(subject: &str, rejection: &Rejection) -> String {
    let fields: Vec<String> = rejection
        .violations
        .iter()
        .map(|violation| format!("{} {}", violation.field, violation.reason))
        .collect();
    format!("{subject}: {}", fields.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reasons_are_kept_and_the_rest_are_counted() {
        let mut summary = Summary::default();
        for number in 0..25 {
            summary.items.add(Tally {
                rejected: 1,
                reasons: vec![format!("item {number}")],
                ..Tally::default()
            });
        }
        let text = summary.to_string();
        assert!(text.starts_with("items: 0 accepted, 0 duplicates, 25 rejected"), "{text}");
        assert!(text.contains("item 0") && text.contains("item 9"), "{text}");
        assert!(!text.contains("item 10") && text.ends_with("and 15 more"), "{text}");
    }

    #[test]
    fn a_summary_of_nothing_says_so() {
        assert_eq!(Summary::default().to_string(), "there was nothing to import");
    }
}
