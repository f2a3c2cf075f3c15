//! A run of `evaluate` or `simulate` as one page: plots, and the table of every figure.
//!
//! - One file: styles and drawings are inline, nothing is fetched, no script runs.
//! - Everything that came from data (names, reasons) goes through [`markup::escape`].
//! - Readable in light and dark, and on paper.

mod chart;
mod markup;
mod page;
mod simulated;

pub use page::render;
pub use simulated::{Simulated, render_simulation};

pub use crate::evaluation::tradeoff::{Tradeoff, TradeoffPoint};

use crate::evaluation::curve::CurvePoint;
use crate::evaluation::protocols::Protocol;
use crate::evaluation::summary::Summary;

/// What the page shows.
#[derive(Debug)]
pub struct Page<'a> {
    pub protocol: Protocol,
    /// Cut-off of the plots.
    pub k: usize,
    /// Numbers about the data: name, value.
    pub data: Vec<(&'static str, String)>,
    /// What was assumed about the data.
    pub notes: &'a [String],
    pub summary: &'a Summary,
    pub curve: Option<LearningCurve<'a>>,
    pub inside: Option<Inside<'a>>,
    /// Of each model: seconds of its run, rows learnt; `None` for one within another.
    pub seconds: Vec<Option<(f64, u64)>>,
    /// What was chosen and how the seeds differ, a sentence each.
    pub told: Vec<String>,
}

/// Quality by number of events of a new user.
#[derive(Debug)]
pub struct LearningCurve<'a> {
    pub points: &'a [CurvePoint],
    /// Who was tested on what.
    pub plan: &'a str,
}

/// What a trained engine was asked again.
#[derive(Debug)]
pub struct Inside<'a> {
    /// The engine, then the engine without each component.
    pub ablations: &'a Summary,
    pub tradeoff: &'a Tradeoff,
    pub protocol: Protocol,
    /// What distances between items rest on.
    pub distance: &'a str,
}
