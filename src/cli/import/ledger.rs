//! The progress of one file: what is done, shown by a bar and kept in the state.

use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::cli::Failure;
use crate::cli::import::state::Fingerprint;
use crate::cli::import::state::Position;
use crate::cli::import::state::State;
use crate::cli::import::tally::Tally;

/// How often the state is written while rows are acknowledged.
const SAVE_EVERY: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{msg:13} {wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left";

/// Books what becomes of the rows of one file.
#[derive(Debug)]
pub struct Ledger<'a> {
    state: &'a mut State,
    kind: &'static str,
    position: Position,
    bar: ProgressBar,
    saved_at: Instant,
}

impl<'a> Ledger<'a> {
    /// Continues where the state says. `rows` are those of the whole file, as far as known.
    pub fn open(
        state: &'a mut State,
        kind: &'static str,
        file: &Fingerprint,
        rows: u64,
        visible: bool,
    ) -> Self {
        let position = state.position(kind, file);
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
        let bar = ProgressBar::with_draw_target(Some(rows), target)
            .with_style(style)
            .with_message(kind)
            .with_position(position.rows);
        // Else the rows of an earlier run would count into the rate of this one.
        bar.reset_eta();
        Self { state, kind, position, bar, saved_at: Instant::now() }
    }

    /// Rows that are done from the start of the file.
    pub fn rows(&self) -> u64 {
        self.position.rows
    }

    /// Whether an earlier run did all rows.
    pub fn is_complete(&self) -> bool {
        self.position.complete
    }

    /// All rows up to `rows_end` are done; `tally` is of those that were not before.
    pub fn advance(&mut self, rows_end: u64, tally: Tally) -> Result<(), Failure> {
        self.position.rows = rows_end;
        self.position.tally.add(tally);
        self.bar.set_position(rows_end);
        if self.saved_at.elapsed() >= SAVE_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// Keeps the progress now, if there is any.
    pub fn save(&mut self) -> Result<(), Failure> {
        if self.position.rows == 0 && !self.position.complete {
            return Ok(());
        }
        self.saved_at = Instant::now();
        self.state.save(self.kind, self.position.clone())
    }

    /// All rows are done.
    pub fn complete(mut self) -> Result<Tally, Failure> {
        self.position.complete = true;
        self.save()?;
        self.bar.finish();
        Ok(self.position.tally.clone())
    }
}
