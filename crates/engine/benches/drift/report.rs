//! Click rates of those whose taste changes and of all others, before and since.

use std::collections::BTreeMap;
use std::fmt;

use engine::evaluation::simulation::{Response, Visit, World};

/// Visits since the change that a column begins with.
const SINCE: [u32; 9] = [0, 1, 2, 3, 4, 5, 6, 10, 15];
/// Rounds before the change.
const BEFORE: std::ops::Range<u32> = 10..15;

/// Positions that were shown, and clicks by the lists of the site and of the oracle.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    shown: u64,
    clicked: [u64; 2],
}

impl Count {
    fn add(&mut self, responses: [&[Response]; 2]) {
        self.shown += responses[0].len() as u64;
        for (sum, responses) in self.clicked.iter_mut().zip(responses) {
            *sum += responses.iter().filter(|it| it.is_clicked).count() as u64;
        }
    }

    fn rate(&self) -> f64 {
        self.clicked[0] as f64 / self.shown.max(1) as f64
    }

    fn of_oracle(&self) -> f64 {
        self.clicked[0] as f64 / self.clicked[1].max(1) as f64
    }
}

#[derive(Debug, Default)]
pub struct Report {
    former: Count,
    since: [Count; SINCE.len()],
    /// Of those whose taste stays, from the change on: by all visits of a person.
    others: [Count; SINCE.len()],
    /// Of all of them: before and from the change on.
    steady: [Count; 2],
    /// Those whose taste changes: all, and those of whom that was found; the same of the others.
    turns: [[u64; 2]; 2],
}

impl Report {
    /// What a person did with the list of the site and with that of the oracle.
    pub fn add(&mut self, visit: &Visit, responses: [&[Response]; 2]) {
        let bin = |visits: u32| SINCE.iter().rposition(|from| *from <= visits).unwrap_or(0);
        let is_before = BEFORE.contains(&visit.round);
        match visit.since_drift {
            Some(visits) => self.since[bin(visits)].add(responses),
            None if visit.drifts && is_before => self.former.add(responses),
            None => {}
        }
        if !visit.drifts && is_before {
            self.steady[0].add(responses);
        } else if !visit.drifts && visit.round >= BEFORE.end {
            self.steady[1].add(responses);
            self.others[bin(visit.earlier)].add(responses);
        }
    }

    /// `turned_at`: the round of the change that was found of a person.
    pub fn add_turns(&mut self, world: &World, turned_at: impl Fn(usize) -> Option<i64>) {
        let mut people = BTreeMap::new();
        for visit in (0..world.settings.rounds).flat_map(|round| world.visits(round)) {
            people.insert(visit.person, visit.since_drift.is_some());
        }
        for (person, drifted) in people {
            let is_right = |round: i64| !drifted || round >= i64::from(BEFORE.end) - 1;
            let counts = &mut self.turns[usize::from(!drifted)];
            counts[0] += 1;
            counts[1] += u64::from(turned_at(person).is_some_and(is_right));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |counts: &[Count], of: &dyn Fn(&Count) -> f64, unit: f64| {
            counts.iter().map(|count| format!("{:>6.2}", of(count) / unit)).collect::<String>()
        };
        let head: String = SINCE.iter().map(|from| format!("{from:>6}")).collect();
        writeln!(f, "visits since                      {head}")?;
        let (rate, of_oracle) = (&Count::rate, &Count::of_oracle);
        let [before, after] = &self.steady;
        let rows = [
            ("of the former rate", line(&self.since, rate, self.former.rate())),
            (
                "of the former share of the oracle",
                line(&self.since, of_oracle, self.former.of_oracle()),
            ),
            ("others, by all visits", line(&self.others, of_oracle, before.of_oracle())),
        ];
        for (name, line) in rows {
            writeln!(f, "{name:<34}{line}")?;
        }
        let [[changed, found], [others, wrong]] = self.turns;
        writeln!(f, "changes found of {found} of {changed}, and of {wrong} of {others} others")?;
        let rates = [&self.former, before, after].map(Count::rate);
        let shares = [&self.former, before, after].map(Count::of_oracle);
        writeln!(f, "rates: before {:.4}, others {:.4} then {:.4}", rates[0], rates[1], rates[2])?;
        writeln!(f, "of the oracle: {:.3}, {:.3} then {:.3}", shares[0], shares[1], shares[2])
    }
}
