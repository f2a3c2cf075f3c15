//! Reads files of rounds, line by line.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use super::Format;
use super::LoggedRound;
use super::columns::RoundColumns;
use super::dsjson;
use crate::cli::dataset;
use crate::cli::dataset::Table;

/// Why something of a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// One line, or row; those after it can be read.
    #[error("line {line}: {reason}")]
    Line { line: u64, reason: String },
    #[error(transparent)]
    Table(#[from] dataset::Error),
    #[error("failed to read {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Rounds of a file, in its order.
pub struct Reader {
    source: Source,
    /// Lines that are no labelled decisions, though they can be read.
    pub unlabelled: u64,
}

enum Source {
    Table(Box<(Table, RoundColumns)>),
    Lines(Lines),
    Decisions(Lines, VecDeque<LoggedRound>),
}

/// Lines that are not empty.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    bytes: Vec<u8>,
    number: u64,
}

impl Reader {
    /// # Errors
    /// When the file cannot be opened, or lacks a column.
    pub fn open(path: &Path, format: Format) -> Result<Self, Unreadable> {
        let source = match format {
            Format::Csv => {
                let table = Table::open(path, &[])?;
                let columns = RoundColumns::of(&table)?;
                Source::Table(Box::new((table, columns)))
            }
            Format::Jsonl => Source::Lines(Lines::open(path)?),
            Format::Dsjson => Source::Decisions(Lines::open(path)?, VecDeque::new()),
        };
        Ok(Self { source, unlabelled: 0 })
    }
}

impl Iterator for Reader {
    type Item = Result<LoggedRound, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Table(rows) => {
                let (table, columns) = &mut **rows;
                match table.advance() {
                    Ok(true) => Some(columns.parse(table).map_err(Unreadable::of_row)),
                    Ok(false) => None,
                    Err(error) => Some(Err(Unreadable::of_row(error))),
                }
            }
            Source::Lines(lines) => match lines.advance() {
                Ok(true) => Some(round(lines)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            },
            Source::Decisions(lines, waiting) => loop {
                if let Some(round) = waiting.pop_front() {
                    return Some(Ok(round));
                }
                match lines.advance() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
                match dsjson::read(&lines.bytes) {
                    Ok(rounds) if rounds.is_empty() => self.unlabelled += 1,
                    Ok(rounds) => waiting.extend(rounds),
                    Err(reason) => return Some(Err(lines.fault(reason))),
                }
            },
        }
    }
}

impl Unreadable {
    /// Whether what comes after it can be read.
    pub fn is_about_one_line(&self) -> bool {
        matches!(self, Self::Line { .. })
    }

    fn of_row(error: dataset::Error) -> Self {
        match error {
            dataset::Error::Field { line, column, reason, .. } => {
                Self::Line { line, reason: format!("column {column}: {reason}") }
            }
            dataset::Error::Malformed { source, .. } if !source.is_io_error() => Self::Line {
                line: source.position().map_or(0, csv::Position::line),
                reason: source.to_string(),
            },
            error => Self::Table(error),
        }
    }
}

fn round(lines: &Lines) -> Result<LoggedRound, Unreadable> {
    let mut round: LoggedRound = serde_json::from_slice(&lines.bytes)
        .map_err(|error| lines.fault(dsjson::without_line(&error)))?;
    if round.decision_id.is_empty() {
        round.decision_id = lines.number.to_string();
    }
    Ok(round)
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Unreadable> {
        let path = path.to_path_buf();
        match File::open(&path) {
            Ok(file) => {
                let file = BufReader::with_capacity(1 << 16, file);
                Ok(Self { path, file, bytes: Vec::new(), number: 0 })
            }
            Err(source) => Err(Unreadable::File { path, source }),
        }
    }

    /// Goes to the next line that is not blank, if there is one.
    fn advance(&mut self) -> Result<bool, Unreadable> {
        loop {
            self.bytes.clear();
            self.number += 1;
            let read = self.file.read_until(b'\n', &mut self.bytes);
            match read {
                Ok(0) => return Ok(false),
                Ok(_) if self.bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => return Ok(true),
                Err(source) => return Err(Unreadable::File { path: self.path.clone(), source }),
            }
        }
    }

    fn fault(&self, reason: String) -> Unreadable {
        Unreadable::Line { line: self.number, reason }
    }
}
