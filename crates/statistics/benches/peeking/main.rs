//! A/A and A/B experiments by simulation, looked at all the time: how often is each verdict wrong,
//! how often does an interval miss the truth, how often is an effect found?
//!
//! `cargo bench -p personalization-statistics --bench peeking -- 10000` prints the tables of
//! `docs/experiments-mathematics.md` for so many experiments; a word after it, as in
//! `-- 100 revenue`, chooses the settings with this word in their names. The same number gives the
//! same tables on every machine: each experiment has its own stream of a fixed seed.

mod draws;
mod verdicts;
mod votes;
mod worlds;

use draws::Draws;
use rayon::prelude::*;
use verdicts::{Judge, Tally};
use worlds::{SETTINGS, Setting};

/// What a bench does when cargo only asks whether it runs.
const EXPERIMENTS_OF_A_TRIAL: u64 = 10;
const EXPERIMENTS: u64 = 2_000;

/// Those of a column exclude each other.
const COLUMNS: [(&str, &[Judge]); 7] = [
    ("fixed test at every look", &[Judge::Naive]),
    ("difference without guard", &[Judge::UnguardedDifference]),
    ("lift without guard", &[Judge::UnguardedLift]),
    ("**sequential, 5,000**", &[Judge::SequentialUnplanned]),
    ("**sequential, planned**", &[Judge::Sequential]),
    ("**exact**", &[Judge::Conversions, Judge::Bounded]),
    ("**one look**", &[Judge::Fixed]),
];
/// From here on the columns are of verdicts that the crate gives.
const GIVEN_FROM: usize = 3;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let usual = if is_bench { EXPERIMENTS } else { EXPERIMENTS_OF_A_TRIAL };
    let experiments = asked.unwrap_or(usual);
    let is_word =
        |argument: &&String| argument.parse::<u64>().is_err() && !argument.starts_with('-');
    let word = arguments.iter().find(is_word).map_or("", String::as_str);
    let chosen = SETTINGS.iter().filter(|setting| setting.name.contains(word));
    let results: Vec<_> = chosen.map(|setting| Results::of(setting, experiments)).collect();
    println!("{experiments} experiments of each setting, percent of them.");
    let wrong = |tallies: &Tallies, judge: &[Judge]| {
        let tally = tallies.of(judge)?;
        Some(percent(tally.higher + tally.lower, experiments))
    };
    let found = |it: &Results, judge: &[Judge]| {
        let (rise, fall) = (it.rise.of(judge)?.higher, it.fall.of(judge)?.lower);
        Some(format!("{} / {}", percent(rise, experiments), percent(fall, experiments)))
    };
    let missed = |it: &Results, judge: &[Judge]| {
        let (rise, fall) = (it.rise.of(judge)?, it.fall.of(judge)?);
        let difference = rise.without_difference.max(fall.without_difference);
        let lift = rise.without_lift.max(fall.without_lift);
        Some(format!("{} / {}", percent(difference, experiments), percent(lift, experiments)))
    };
    table("False positives", &results, 0, |it, judge| wrong(&it.without, judge));
    table("Effects found, rise / fall", &results, GIVEN_FROM, found);
    let name = "Truth missed, difference / lift, the worse of rise and fall";
    table(name, &results, GIVEN_FROM, missed);
    println!("\nA true loss of exactly the margin:\n");
    println!("| setting | wrongly safe | wrongly harmed |\n| --- | ---: | ---: |");
    for it in &results {
        let (safe, harmed) = (it.at_margin.higher, it.at_margin.lower);
        let (safe, harmed) = (percent(safe, experiments), percent(harmed, experiments));
        println!("| {} | {safe} | {harmed} |", it.setting.name);
    }
    if word.is_empty() {
        counts(experiments);
    }
}

/// Tallies by judge.
struct Tallies(Vec<(Judge, Tally)>);

impl Tallies {
    /// Follows experiments with a true lift to their ends.
    fn after(setting: &Setting, seed: u64, lift: f64, experiments: u64) -> Self {
        let judges = Judge::of(setting);
        let one =
            |experiment| verdicts::experiment(setting, lift, &judges, Draws::new(seed, experiment));
        let none = || vec![Tally::default(); judges.len()];
        let sum =
            |a: Vec<Tally>, b: Vec<Tally>| a.into_iter().zip(b).map(|(a, b)| a.add(b)).collect();
        let tallies = (0..experiments).into_par_iter().map(one).reduce(none, sum);
        Self(judges.into_iter().zip(tallies).collect())
    }

    fn of(&self, judges: &[Judge]) -> Option<Tally> {
        self.0.iter().find(|(judge, _)| judges.contains(judge)).map(|(_, tally)| *tally)
    }
}

struct Results {
    setting: &'static Setting,
    without: Tallies,
    rise: Tallies,
    /// As strong as the rise on the scale of logarithms.
    fall: Tallies,
    at_margin: Tally,
}

impl Results {
    fn of(setting: &'static Setting, experiments: u64) -> Self {
        let one = |experiment| verdicts::guardrail(setting, Draws::new(3, experiment));
        Self {
            setting,
            without: Tallies::after(setting, 1, 0.0, experiments),
            rise: Tallies::after(setting, 2, setting.lift, experiments),
            fall: Tallies::after(setting, 12, 1.0 / (1.0 + setting.lift) - 1.0, experiments),
            at_margin: (0..experiments).into_par_iter().map(one).reduce(Tally::default, Tally::add),
        }
    }
}

/// A row per setting, a column per judge from the given one on.
fn table(
    name: &str,
    results: &[Results],
    from: usize,
    cell: impl Fn(&Results, &[Judge]) -> Option<String>,
) {
    let columns = &COLUMNS[from..];
    let names: String = columns.iter().map(|(name, _)| format!(" {name} |")).collect();
    println!("\n{name}:\n\n| setting |{names}\n| --- |{}", " ---: |".repeat(columns.len()));
    for it in results {
        let cells = columns.iter().map(|(_, judges)| cell(it, judges).unwrap_or_default());
        let cells: String = cells.map(|cell| format!(" {cell} |")).collect();
        let lift = 100.0 * it.setting.lift;
        let lift = if from == 0 { String::new() } else { format!(", +{lift:.1} %") };
        println!("| {}{lift} |{cells}", it.setting.name);
    }
}

fn counts(experiments: u64) {
    let alarms = |seed: u64, share: f64| {
        let raised =
            |experiment: &u64| votes::ratio_alarm(0.5, share, Draws::new(seed, *experiment));
        let found = (0..experiments).into_par_iter().filter(raised).count();
        percent(found as u64, experiments)
    };
    let preferences = |seed: u64, share: f64| {
        let shown = |experiment: &u64| votes::votes_decide(share, Draws::new(seed, *experiment));
        let found = (0..experiments).into_par_iter().filter(shown).count();
        percent(found as u64, experiments)
    };
    println!("\nCounts:\n\n| what | wrong | found |\n| --- | ---: | ---: |");
    println!("| sample ratio at .1 %: 50/50; 51/49 | {} | {} |", alarms(4, 0.5), alarms(5, 0.51));
    let (none, some) = (preferences(6, 0.5), preferences(7, 0.53));
    println!("| interleaving at 5 %: no preference; 53 % for A | {none} | {some} |");
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}", 100.0 * part as f64 / whole.max(1) as f64)
}
