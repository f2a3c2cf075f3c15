//! From a file of rounds to a log, saying what was left out and what was assumed.

use std::collections::HashMap;
use std::path::Path;

use crate::cli::Failure;
use crate::cli::decisions::Format;
use crate::cli::decisions::LoggedRound;
use crate::cli::decisions::Reader;
use engine::evaluation::off_policy::Candidate;
use engine::evaluation::off_policy::InvalidRound;
use engine::evaluation::off_policy::Log;
use engine::evaluation::off_policy::LogBuilder;
use engine::evaluation::off_policy::NewRound;

/// Lines reported one by one.
const TOLD_MAX: usize = 5;

/// The unit of resampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unit {
    /// Users, and decisions where a round has no user.
    #[default]
    Auto,
    Decision,
}

/// A log and how it came about.
#[derive(Debug)]
pub struct Loaded {
    pub log: Log,
    actions: HashMap<String, u32>,
    pub decisions: usize,
    /// Rounds and lines that were left out.
    pub unreadable: usize,
    /// What was left out or assumed, a sentence each.
    pub notes: Vec<String>,
}

impl Loaded {
    /// The number of an action.
    pub fn action(&self, name: &str) -> Option<u32> {
        self.actions.get(name).copied()
    }
}

/// Reads the file; of a `variant` only its rounds.
///
/// # Errors
/// When it cannot be opened, lacks a column, or holds no round that can be used.
pub fn load(
    path: &Path,
    format: Format,
    unit: Unit,
    variant: Option<&str>,
) -> Result<Loaded, Failure> {
    let mut intake = Intake { unit, ..Intake::default() };
    let mut reader = Reader::open(path, format)?;
    let mut faults = Vec::new();
    let mut unreadable = 0;
    let (mut number, mut of_others) = (0_u64, 0_u64);
    for round in reader.by_ref() {
        number += 1;
        let fault = match round {
            Ok(round) if variant.is_some() && round.variant.as_deref() != variant => {
                of_others += 1;
                continue;
            }
            Ok(round) => match intake.add(&round) {
                Ok(()) => continue,
                Err(reason) => {
                    format!("round {number} of decision {:?}: {reason}", round.decision_id)
                }
            },
            Err(fault) if fault.is_about_one_line() => fault.to_string(),
            Err(failure) => return Err(failure.into()),
        };
        unreadable += 1;
        if faults.len() < TOLD_MAX {
            faults.push(fault);
        }
    }
    if intake.builder.is_empty() {
        let empty = if of_others > 0 { "none is of the variant" } else { "it is empty" };
        let reason = faults.first().map_or(empty, String::as_str);
        return Err(format!("{} holds no round that can be used: {reason}", path.display()).into());
    }
    let mut notes = faults;
    if unreadable > notes.len() {
        notes.push(format!("and {} more lines or rounds", unreadable - notes.len()));
    }
    if unreadable > 0 {
        notes.push(format!("{unreadable} lines or rounds could not be used and are left out"));
    }
    if of_others > 0 {
        notes.push(format!("{of_others} rounds of other variants are left out"));
    }
    if reader.unlabelled > 0 {
        notes.push(format!("{} lines are no labelled decisions", reader.unlabelled));
    }
    Ok(intake.finish(unreadable, notes))
}

/// What was read so far.
#[derive(Default)]
struct Intake {
    builder: LogBuilder,
    actions: HashMap<String, u32>,
    units: HashMap<String, u32>,
    unit: Unit,
    /// Rounds that name a user.
    of_users: usize,
    decisions: usize,
    last_decision: String,
    last_position: u32,
}

impl Intake {
    fn add(&mut self, round: &LoggedRound) -> Result<(), InvalidRound> {
        let user = round.user_id.as_ref().filter(|_| self.unit == Unit::Auto);
        // A user and a decision may have the same id.
        let unit = match user {
            Some(user) => numbered(&mut self.units, &format!("u{user}")),
            None => numbered(&mut self.units, &format!("d{}", round.decision_id)),
        };
        let action = numbered(&mut self.actions, &round.action);
        let mut candidates = Vec::with_capacity(round.candidates.len());
        for candidate in &round.candidates {
            candidates.push(Candidate {
                action: numbered(&mut self.actions, &candidate.action),
                propensity: candidate.propensity,
                score: candidate.score,
                deviation: candidate.deviation,
                target: candidate.target_probability,
                features: &candidate.features,
            });
        }
        let is_of_last = self.decisions > 0 && self.last_decision == round.decision_id;
        self.builder.push(&NewRound {
            action,
            reward: round.reward,
            propensity: round.propensity,
            position: round.position,
            is_below: is_of_last && round.position > self.last_position,
            unit,
            target: round.target_probability,
            context: &round.context,
            candidates: &candidates,
        })?;
        self.of_users += usize::from(user.is_some());
        self.last_position = round.position;
        if !is_of_last {
            self.decisions += 1;
            self.last_decision.clone_from(&round.decision_id);
        }
        Ok(())
    }

    fn finish(self, unreadable: usize, mut notes: Vec<String>) -> Loaded {
        let rounds = self.builder.len();
        let log = self.builder.build();
        for incomplete in log.incomplete() {
            notes.push(format!(
                "{} are missing in {} rounds and are not used",
                incomplete.column, incomplete.missing
            ));
        }
        if !log.lists_candidates() {
            notes.push(format!(
                "the log does not say what could have been shown: each of its {} actions is taken to \
                 be a candidate of every round",
                log.actions()
            ));
        }
        if rounds > self.decisions {
            notes.push(
                "decisions have several positions: each is a round, below what the log showed above \
                 it, and its reward is taken not to depend on the other positions; by RIPS, not on \
                 those below it"
                    .to_owned(),
            );
        }
        notes.push(match self.of_users {
            0 => "intervals are over decisions".to_owned(),
            of_users if of_users == rounds => "intervals are over users".to_owned(),
            _ => "intervals are over users, and decisions without a user".to_owned(),
        });
        Loaded { log, actions: self.actions, decisions: self.decisions, unreadable, notes }
    }
}

/// The number of a name, the next one for a new name.
fn numbered(numbers: &mut HashMap<String, u32>, name: &str) -> u32 {
    if let Some(number) = numbers.get(name) {
        return *number;
    }
    let number = numbers.len() as u32;
    numbers.insert(name.to_owned(), number);
    number
}
