//! Writes files of rounds.

use std::io;
use std::io::Write;

use super::Format;
use super::LoggedCandidate;
use super::LoggedRound;
use super::columns::HEADER;
use super::dsjson;

/// Takes rounds one by one; rounds of a decision one after the other. [`Writer::finish`]
/// writes what is left.
pub struct Writer<W: Write> {
    sink: Sink<W>,
}

enum Sink<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
    /// With the rounds of the decision at hand.
    Dsjson(W, Vec<LoggedRound>),
}

impl<W: Write> Writer<W> {
    /// # Errors
    /// When the header cannot be written.
    pub fn new(out: W, format: Format) -> io::Result<Self> {
        let sink = match format {
            Format::Csv => {
                let mut rows = csv::Writer::from_writer(out);
                rows.write_record(HEADER)?;
                Sink::Csv(Box::new(rows))
            }
            Format::Jsonl => Sink::Jsonl(out),
            Format::Dsjson => Sink::Dsjson(out, Vec::new()),
        };
        Ok(Self { sink })
    }

    /// # Errors
    /// When the sink fails.
    pub fn write(&mut self, round: LoggedRound) -> io::Result<()> {
        match &mut self.sink {
            Sink::Csv(rows) => Ok(rows.write_record(cells(&round))?),
            Sink::Jsonl(out) => {
                serde_json::to_writer(&mut *out, &round)?;
                out.write_all(b"\n")
            }
            Sink::Dsjson(out, decision) => {
                let is_next =
                    decision.last().is_some_and(|last| last.decision_id != round.decision_id);
                if is_next {
                    write_decision(out, decision)?;
                    decision.clear();
                }
                decision.push(round);
                Ok(())
            }
        }
    }

    /// # Errors
    /// When the sink fails.
    pub fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Csv(mut rows) => rows.flush(),
            Sink::Jsonl(mut out) => out.flush(),
            Sink::Dsjson(mut out, decision) => {
                if !decision.is_empty() {
                    write_decision(&mut out, &decision)?;
                }
                out.flush()
            }
        }
    }
}

fn write_decision(out: &mut impl Write, rounds: &[LoggedRound]) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &dsjson::write(rounds))?;
    out.write_all(b"\n")
}

/// In the order of [`HEADER`].
fn cells(round: &LoggedRound) -> [String; HEADER.len()] {
    let candidates = &round.candidates;
    let of_all = |value: fn(&LoggedCandidate) -> Option<f64>| {
        let values: Option<Vec<f64>> = candidates.iter().map(value).collect();
        joined(values.unwrap_or_default().iter(), "|")
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let has_features = candidates.iter().any(|candidate| !candidate.features.is_empty());
    let features = candidates.iter().map(|candidate| joined(candidate.features.iter(), " "));
    [
        round.decision_id.clone(),
        text(&round.user_id),
        text(&round.timestamp),
        round.position.to_string(),
        round.action.clone(),
        round.reward.to_string(),
        round.propensity.to_string(),
        number(round.slate_propensity),
        number(round.target_probability),
        text(&round.strategy),
        text(&round.model),
        text(&round.variant),
        number(round.score),
        joined(round.features.iter(), "|"),
        joined(round.context.iter(), "|"),
        joined(candidates.iter().map(|candidate| &candidate.action), "|"),
        of_all(|candidate| candidate.propensity),
        of_all(|candidate| candidate.score),
        of_all(|candidate| candidate.deviation),
        of_all(|candidate| candidate.target_probability),
        if has_features { features.collect::<Vec<_>>().join("|") } else { String::new() },
    ]
}

fn joined<T: ToString>(values: impl Iterator<Item = T>, separator: &str) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(separator)
}
