//! The page of a simulation: click rates over rounds, and tables.

use crate::evaluation::report::chart;
use crate::evaluation::report::chart::Line;
use crate::evaluation::report::chart::Value;
use crate::evaluation::report::markup::escape;
use crate::evaluation::report::markup::table;
use crate::evaluation::report::page::document;
use crate::evaluation::report::page::facts;
use crate::evaluation::report::page::legend;
use crate::evaluation::report::page::series;
use crate::evaluation::report::page::verdict;
use crate::evaluation::simulation;
use crate::evaluation::simulation::Outcome;

/// Rounds of which each has its number below the plot; of more, every other one and so on.
const NAMED_ROUNDS: usize = 30;

/// What the page shows.
#[derive(Debug)]
pub struct Simulated<'a> {
    pub title: &'a str,
    /// Numbers about the world: name, value.
    pub facts: Vec<(&'static str, String)>,
    /// The last is the oracle.
    pub outcomes: &'a [Outcome],
}

/// The whole page as HTML.
pub fn render_simulation(page: &Simulated<'_>) -> String {
    let outcomes = page.outcomes;
    let names = outcomes.iter().enumerate().map(|(at, it)| (series(at), it.policy.as_str()));
    let mut sections = format!(
        "<h1>{}</h1>\n{}{}<h2>Click rate by round</h2>\n<figure>{}{}</figure>\n",
        escape(page.title),
        facts(&page.facts),
        verdict(&simulation::verdict(outcomes)),
        legend(names),
        plot(outcomes),
    );
    let mut section = |name: &str, rows: &[Vec<String>]| {
        sections.push_str(&format!("<h2>{name}</h2>\n{}", table(rows)));
    };
    if let Some(rows) = simulation::of_recovery(outcomes) {
        section("Recovery from the drift, relative to the click rate before", &rows);
    }
    section("Click rate by earlier visits", &simulation::by_earlier_visits(outcomes));
    section("Share of positions and click rate by age of the item", &simulation::by_age(outcomes));
    section("Items", &simulation::of_items(outcomes));
    section("Every round", &simulation::by_round(outcomes));
    document(page.title, &sections)
}

fn plot(outcomes: &[Outcome]) -> String {
    let rounds = outcomes.first().map_or(0, |outcome| outcome.tally.rounds.len());
    let every = rounds.div_ceil(NAMED_ROUNDS).max(1);
    let step = |round: usize| {
        if round.is_multiple_of(every) { round.to_string() } else { String::new() }
    };
    let line = |(at, outcome): (usize, &Outcome)| {
        let rates = outcome.tally.rounds.iter().map(|count| count.rate());
        let value = |point| Value { point, interval: None };
        let values = rates.map(|rate| rate.map(value)).collect();
        Line { label: outcome.policy.clone(), series: series(at), values }
    };
    let lines: Vec<Line> = outcomes.iter().enumerate().map(line).collect();
    let steps: Vec<String> = (0..rounds).map(step).collect();
    chart::lines(&steps, "round", "click rate", &lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::simulation::Kind;
    use crate::evaluation::simulation::Oracle;
    use crate::evaluation::simulation::Random;
    use crate::evaluation::simulation::Settings;
    use crate::evaluation::simulation::World;
    use crate::evaluation::simulation::run;

    #[test]
    fn the_page_of_a_simulation_has_a_line_for_each_policy_and_loads_nothing() {
        let settings = Settings {
            kind: Kind::Shop,
            people: 20,
            items: 30,
            rounds: 40,
            positions: 3,
            drift: None,
            taste: 1.0,
            seed: 1,
        };
        let world = World::new(settings);
        let outcomes = [
            Outcome { policy: "<service>".to_owned(), tally: run(&world, &mut Random, 1) },
            Outcome { policy: "oracle".to_owned(), tally: run(&world, &mut Oracle, 1) },
        ];
        let facts = vec![("people", "20".to_owned())];
        let html = render_simulation(&Simulated { title: "A shop", facts, outcomes: &outcomes });
        assert_eq!(html.matches("<polyline").count(), 2);
        assert!(html.contains(">38</text>") && !html.contains(">39</text>"));
        assert!(html.contains("&lt;service&gt;") && !html.contains("<service>"));
        assert!(!html.contains("http") && !html.contains("<script"));
    }
}
