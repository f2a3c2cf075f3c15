//! Click rates as rows of text, for the terminal and for a page: the first row is the head.

use serde::Serialize;

use super::tally::AGES;
use super::tally::Count;
use super::tally::EARLIER_VISITS;
use super::tally::SINCE_DRIFT;
use super::tally::Tally;

/// From this round on a service should have learnt; figures of the rounds before are of learning.
pub const LATE: u32 = 10;

/// Items whose share of the positions tells how alike lists are.
const MOST_SHOWN: usize = 20;

/// What a policy earned. The last of several is the oracle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub policy: String,
    #[serde(flatten)]
    pub tally: Tally,
}

/// A line for each round, then all rounds, the late ones, and their shares of what the oracle earns.
pub fn by_round(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let rounds = outcomes.first().map_or(0, |outcome| outcome.tally.rounds.len());
    let line = |name: String, told: &dyn Fn(&Outcome) -> String| {
        std::iter::once(name).chain(outcomes.iter().map(told)).collect::<Vec<String>>()
    };
    let mut rows = vec![line("round".to_owned(), &|outcome| outcome.policy.clone())];
    for round in 0..rounds {
        rows.push(line(round.to_string(), &|it| rate(it.tally.rounds[round].rate())));
    }
    let ends = [("all rounds", 0), (&format!("from {LATE} on"), LATE)];
    for (name, from) in ends.into_iter().filter(|(_, from)| rounds > *from as usize) {
        rows.push(line(name.to_owned(), &|it| rate(it.tally.rate_from(from))));
        rows.push(line("of the oracle".to_owned(), &|it| share(of_oracle(outcomes, it, from))));
    }
    rows
}

/// A line for each policy: click rates by how often a person had come before.
pub fn by_earlier_visits(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let mut rows = vec![head("earlier visits", &EARLIER_VISITS)];
    rows.extend(outcomes.iter().map(|outcome| {
        let rates = outcome.tally.earlier_visits.iter().map(|count| rate(count.rate()));
        std::iter::once(outcome.policy.clone()).chain(rates).collect()
    }));
    rows
}

/// A line for each policy: the share of the positions that went to items by how many rounds ago they appeared,
/// and the click rate of these.
pub fn by_age(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let mut rows = vec![head("rounds since the item appeared", &AGES)];
    rows.extend(outcomes.iter().map(|outcome| {
        let shown = Count::sum(&outcome.tally.ages).shown.max(1) as f64;
        let cell = |count: &Count| {
            format!("{}: {}", share(Some(count.shown as f64 / shown)), rate(count.rate()))
        };
        std::iter::once(outcome.policy.clone()).chain(outcome.tally.ages.iter().map(cell)).collect()
    }));
    rows
}

/// A line for each policy: how many items it showed, and how much of its lists a few of them take.
pub fn of_items(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let most = format!("positions of the {MOST_SHOWN} most shown");
    let mut rows = vec![vec![String::new(), "items shown".to_owned(), most]];
    rows.extend(outcomes.iter().map(|outcome| {
        let tally = &outcome.tally;
        let most = share(tally.share_of_most_shown(MOST_SHOWN));
        vec![outcome.policy.clone(), tally.items_shown().to_string(), most]
    }));
    rows
}

/// A line for each policy: the click rate before a drift of those whose taste changed, and those since in
/// proportion to it. Nothing without a drift.
pub fn of_recovery(outcomes: &[Outcome]) -> Option<Vec<Vec<String>>> {
    let mut first = head("visits since the drift", &SINCE_DRIFT);
    first.insert(1, "rate before".to_owned());
    let mut rows = vec![first];
    for outcome in outcomes {
        let recovery = outcome.tally.recovery.as_ref()?;
        let mut row = vec![outcome.policy.clone(), rate(recovery.former.rate())];
        row.extend(recovery.relative().map(share));
        rows.push(row);
    }
    Some(rows)
}

/// What the first policy earned, in a sentence.
pub fn verdict(outcomes: &[Outcome]) -> String {
    let (Some(first), Some(oracle)) = (outcomes.first(), outcomes.last()) else {
        return String::new();
    };
    let from = if first.tally.rounds.len() > LATE as usize { LATE } else { 0 };
    let clicks = |outcome: &Outcome| {
        let rate = outcome.tally.rate_from(from).unwrap_or_default();
        format!("{:.1}", 100.0 * rate)
    };
    format!(
        "Of 100 positions, {} has {} clicked from round {from} on: {} of the oracle, which has {}.",
        first.policy,
        clicks(first),
        share(of_oracle(outcomes, first, from)),
        clicks(oracle),
    )
}

fn of_oracle(outcomes: &[Outcome], outcome: &Outcome, from: u32) -> Option<f64> {
    let oracle = outcomes.last()?.tally.rate_from(from).filter(|rate| *rate > 0.0)?;
    Some(outcome.tally.rate_from(from)? / oracle)
}

/// Such as `0`, `1-2`, `3+`.
fn head(name: &str, bounds: &[u32]) -> Vec<String> {
    let mut head = vec![name.to_owned()];
    for (at, from) in bounds.iter().enumerate() {
        head.push(match bounds.get(at + 1).map(|next| next - 1) {
            None => format!("{from}+"),
            Some(last) if last == *from => from.to_string(),
            Some(last) => format!("{from}-{last}"),
        });
    }
    head
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.3}"))
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share))
}
