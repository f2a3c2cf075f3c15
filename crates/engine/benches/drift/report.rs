//! Click rates of those whose taste changes and of all others, before and since.

use std::fmt;

use engine::evaluation::simulation::{Response, Visit, World};

/// Visits since the change that a column begins with.
const SINCE: [u32; 9] = [0, 1, 2, 3, 4, 5, 6, 10, 15];
/// Rounds around the change.
const BEFORE: std::ops::Range<u32> = 10..15;
const LATE: u32 = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    shown: u64,
    clicked: u64,
}

impl Count {
    fn add(&mut self, responses: &[Response]) {
        self.shown += responses.len() as u64;
        self.clicked += responses.iter().filter(|it| it.is_clicked).count() as u64;
    }

    fn rate(&self) -> f64 {
        self.clicked as f64 / self.shown.max(1) as f64
    }
}

#[derive(Debug, Default)]
pub struct Report {
    former: Count,
    since: [Count; SINCE.len()],
    /// Of those who come first after the change, by earlier visits.
    newcomers: [Count; SINCE.len()],
    /// Of all whose taste stays: before and from the change on.
    steady: [Count; 2],
    /// Of all people, from the tenth round on.
    late: Count,
    /// Those whose taste changes: all, and those of whom that was found; the same of the others.
    turns: [[u64; 2]; 2],
}

impl Report {
    pub fn add(&mut self, visit: &Visit, responses: &[Response]) {
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
            self.newcomers[bin(visit.earlier)].add(responses);
        }
        if visit.round >= LATE {
            self.late.add(responses);
        }
    }
}

impl Report {
    /// `turned_at`: the round of the change that was found of a person.
    pub fn add_turns(&mut self, world: &World, turned_at: impl Fn(usize) -> Option<i64>) {
        let mut people = std::collections::BTreeMap::new();
        for round in 0..world.settings.rounds {
            for visit in world.visits(round) {
                people.insert(visit.person, visit.drifts && visit.since_drift.is_some());
            }
        }
        for (person, drifted) in people {
            let found = turned_at(person);
            let is_right = |round: &i64| !drifted || *round >= i64::from(BEFORE.end) - 1;
            let counts = &mut self.turns[usize::from(!drifted)];
            counts[0] += 1;
            counts[1] += u64::from(found.as_ref().is_some_and(is_right));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let former = self.former.rate();
        let head: Vec<String> = SINCE.iter().map(|from| format!("{from:>6}")).collect();
        let line = |counts: &[Count], unit: f64| {
            let cells = counts.iter().map(|count| format!("{:>6.2}", count.rate() / unit));
            cells.collect::<Vec<String>>().join("")
        };
        writeln!(f, "visits since          {}", head.join(""))?;
        writeln!(f, "of the former rate    {}", line(&self.since, former))?;
        let before = self.steady[0].rate();
        writeln!(f, "steady, by all visits {}", line(&self.newcomers, before))?;
        let all: Count = self.since[1..6].iter().fold(Count::default(), |sum, count| Count {
            shown: sum.shown + count.shown,
            clicked: sum.clicked + count.clicked,
        });
        let of_former = (all.rate() / former, 1.0 / (all.clicked as f64).sqrt());
        writeln!(f, "visits 1 to 5: {:.3} of the former rate, +-{:.3}", of_former.0, of_former.1)?;
        let [[drifted, found], [others, wrong]] = self.turns;
        writeln!(f, "changes found of {found} of {drifted} people, and of {wrong} of the {others} others")?;
        let steady = self.steady[1].rate();
        writeln!(f, "former {former:.4}, steady {before:.4} then {steady:.4}, all from {LATE} on {:.4}", self.late.rate())
    }
}
