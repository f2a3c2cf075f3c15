//! Files of logged rounds: what was shown, how likely that was, what came of it.
//!
//! | format | one line is | known by |
//! | --- | --- | --- |
//! | `csv` | a round, with a header; any separator | anything else |
//! | `jsonl` | a round, a JSON object with the fields of [`LoggedRound`] | `.jsonl`, `.ndjson` |
//! | `dsjson` | a decision, as Vowpal Wabbit and Azure Personalizer log them | `.dsjson`; `.json` |
//!
//! - Rounds of one decision stand together; that is how slates are recognised.
//! - A line that cannot be read is reported with its number and reason, and the next one is
//!   read. Nothing is held in memory but the current line.

mod columns;
pub mod dsjson;
mod reader;
mod writer;

use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

pub use self::reader::Reader;
pub use self::writer::Writer;

/// One position of one decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedRound {
    #[serde(default)]
    pub decision_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// As the file has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// From 0.
    #[serde(default)]
    pub position: u32,
    pub action: String,
    pub reward: f64,
    /// The logging policy's probability of the action.
    pub propensity: f64,
    /// That of all positions of the decision that were choices, together. For other tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slate_propensity: Option<f64>,
    /// The target policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_probability: Option<f64>,
    /// How the logging policy chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// The logging policy's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of the experiment that the decision belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a ranker gave the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Features of the action on this request context. For other tools: what is evaluated here
    /// goes by those of all candidates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<f32>,
    /// Features of the request context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<f32>,
    /// What could have been shown; empty when not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<LoggedCandidate>,
}

/// One thing that could have been shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedCandidate {
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Standard deviation of the expected reward, as the ranker knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_probability: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<f32>,
}

/// How a file of rounds is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Csv,
    Jsonl,
    Dsjson,
}

impl Format {
    /// By the end of the name.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            Some("dsjson" | "json") => Self::Dsjson,
            _ => Self::Csv,
        }
    }
}

#[cfg(test)]
mod tests;
