//! What a simulation found: tables and a plot for the terminal, facts for the page, figures as JSON.

use std::fmt::Write;

use engine::evaluation::report::Simulated;
use engine::evaluation::simulation;
use engine::evaluation::simulation::LATE;
use engine::evaluation::simulation::Outcome;
use engine::evaluation::simulation::Settings;
use engine::evaluation::simulation::World;
use serde::Serialize;
use statistics::words::grouped;

use crate::cli::output::align;
use crate::cli::plot::WIDTH;
use crate::cli::plot::place;
use crate::cli::plot::thinned;
use crate::cli::simulate::Args;
use crate::cli::simulate::args;

/// Everything for the terminal.
pub fn text(args: &Args, world: &World, outcomes: &[Outcome]) -> String {
    let mut text = format!("{}:\n", title(args));
    for (name, value) in facts(args, world) {
        writeln!(text, "  {value} {name}").expect("a string");
    }
    align(&mut text, &simulation::by_round(outcomes));
    draw(&mut text, outcomes);
    align(&mut text, &simulation::by_earlier_visits(outcomes));
    align(&mut text, &simulation::by_age(outcomes));
    align(&mut text, &simulation::of_items(outcomes));
    if let Some(rows) = simulation::of_recovery(outcomes) {
        align(&mut text, &rows);
    }
    writeln!(text, "\n{}", simulation::verdict(outcomes)).expect("a string");
    text
}

/// The same as a page.
pub fn page<'a>(args: &Args, world: &World, outcomes: &'a [Outcome]) -> Simulated<'a> {
    Simulated { title: title(args), facts: facts(args, world), outcomes }
}

fn title(args: &Args) -> &'static str {
    match args.world {
        args::World::News => "Click rates of a simulated news site",
        args::World::Shop => "Click rates of a simulated shop",
    }
}

fn facts(args: &Args, world: &World) -> Vec<(&'static str, String)> {
    let visits: usize = (0..args.rounds).map(|round| world.visits(round).len()).sum();
    let mut facts = vec![
        ("people", grouped(f64::from(args.people))),
        ("visits", grouped(visits as f64)),
        ("items in all", grouped(world.items().len() as f64)),
        ("positions of a list", args.positions.to_string()),
        ("is the seed", args.seed.to_string()),
    ];
    if let Some(drift) = world.settings.drift {
        facts.push(("is the round of the drift", drift.round.to_string()));
    }
    facts
}

/// Click rates over rounds: each policy by its first letter, capital letters for a second one.
fn draw(text: &mut String, outcomes: &[Outcome]) {
    let letters = letters(outcomes);
    let rates = |round: usize| {
        outcomes.iter().map(move |it| it.tally.rounds[round].rate().unwrap_or_default())
    };
    let rounds: Vec<usize> = (0..outcomes.first().map_or(0, |it| it.tally.rounds.len())).collect();
    let reach = rounds.iter().flat_map(|round| rates(*round)).fold(0.0, f64::max);
    if reach <= 0.0 {
        return;
    }
    let names: Vec<String> = letters
        .iter()
        .zip(outcomes)
        .map(|(letter, it)| format!("{letter} {}", it.policy))
        .collect();
    writeln!(text, "\nClick rate by round: {}", names.join(", ")).expect("a string");
    writeln!(text, "{:>5}  0{:>WIDTH$}", "", format!("{reach:.3}")).expect("a string");
    for round in thinned(&rounds) {
        let mut line = vec![' '; WIDTH + 1];
        line[0] = '|';
        // The service is drawn last, over the others.
        let marks: Vec<(char, f64)> = letters.iter().copied().zip(rates(*round)).collect();
        for (letter, rate) in marks.into_iter().rev() {
            line[place(rate, 0.0, reach)] = letter;
        }
        let line: String = line.into_iter().collect();
        writeln!(text, "{round:>5}  {}", line.trim_end()).expect("a string");
    }
}

fn letters(outcomes: &[Outcome]) -> Vec<char> {
    let mut letters: Vec<char> = Vec::new();
    for outcome in outcomes {
        let letter = outcome.policy.chars().next().unwrap_or('?');
        let is_taken = letters.contains(&letter);
        letters.push(if is_taken { letter.to_ascii_uppercase() } else { letter });
    }
    letters
}

/// Every figure.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    world: &'a Settings,
    /// Settings of the namespace, as they were given.
    settings: &'a str,
    /// From which round on rates are called late.
    late: u32,
    policies: Vec<PolicyDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct PolicyDocument<'a> {
    rate: Option<f64>,
    late_rate: Option<f64>,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl<'a> Document<'a> {
    pub fn new(args: &'a Args, world: &'a World, outcomes: &'a [Outcome]) -> Self {
        let policy = |outcome: &'a Outcome| PolicyDocument {
            rate: outcome.tally.rate_from(0),
            late_rate: outcome.tally.rate_from(LATE),
            outcome,
        };
        let policies = outcomes.iter().map(policy).collect();
        Self { world: &world.settings, settings: &args.settings, late: LATE, policies }
    }
}
