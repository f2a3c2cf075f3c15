//! A/A and A/B experiments by simulation, looked at all the time: how often is each verdict wrong,
//! how often does an interval miss the truth, how often is an effect found?
//!
//! `cargo bench -p personalization-statistics --bench peeking -- 10000` prints the tables of
//! `docs/experiments-mathematics.md` for so many experiments; a word after it, as in
//! `-- 100 revenue`, chooses the settings with this word in their names. The same number gives the same tables
//! on every machine: each experiment has its own stream of a fixed seed.

mod draws;
mod verdicts;
mod votes;
mod worlds;

use draws::Draws;
use rayon::prelude::*;
use verdicts::{Judge, Tally};
use worlds::{SETTINGS, Setting};

/// What a bench does when cargo only wants to know whether it runs.
const EXPERIMENTS_OF_A_TRIAL: u64 = 10;
const EXPERIMENTS: u64 = 2_000;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let usual = if is_bench { EXPERIMENTS } else { EXPERIMENTS_OF_A_TRIAL };
    let experiments = asked.unwrap_or(usual);
    let is_word =
        |argument: &&String| argument.parse::<u64>().is_err() && !argument.starts_with('-');
    let word = arguments.iter().find(is_word).map_or("", String::as_str);
    let settings = || SETTINGS.iter().filter(|setting| setting.name.contains(word));
    println!("{experiments} experiments of each setting, percent of them.\n");
    println!(
        "| setting | who decides | false positives | true lift | finds it | difference missed | lift missed |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for setting in settings() {
        verdict_rows(setting, experiments);
    }
    println!("\nA true loss of exactly the margin:\n");
    println!("| setting | wrongly safe | wrongly harmed |");
    println!("| --- | ---: | ---: |");
    for setting in settings() {
        guardrail_row(setting, experiments);
    }
    if !word.is_empty() {
        return;
    }
    println!("\nCounts:\n");
    println!("| what | wrong alarms | found |");
    println!("| --- | ---: | ---: |");
    let (even, uneven) = (ratio_alarms(4, 0.5, experiments), ratio_alarms(5, 0.51, experiments));
    println!("| sample ratio at .1 %: 50/50; 51/49 | {even} | {uneven} |");
    let (none, some) = (preferences(6, 0.5, experiments), preferences(7, 0.53, experiments));
    println!("| interleaving at 5 %: no preference; 53 % for A | {none} | {some} |");
}

fn ratio_alarms(seed: u64, share: f64, experiments: u64) -> String {
    let raised = |experiment: &u64| votes::ratio_alarm(0.5, share, Draws::new(seed, *experiment));
    let found = (0..experiments).into_par_iter().filter(raised).count();
    percent(found as u64, experiments)
}

fn preferences(seed: u64, share: f64, experiments: u64) -> String {
    let shown = |experiment: &u64| votes::votes_decide(share, Draws::new(seed, *experiment));
    let found = (0..experiments).into_par_iter().filter(shown).count();
    percent(found as u64, experiments)
}

fn verdict_rows(setting: &Setting, experiments: u64) {
    let judges = Judge::of(setting);
    let run = |seed: u64, lift: f64| {
        let one =
            |experiment| verdicts::experiment(setting, lift, &judges, Draws::new(seed, experiment));
        let none = || vec![Tally::default(); judges.len()];
        let sum =
            |a: Vec<Tally>, b: Vec<Tally>| a.into_iter().zip(b).map(|(a, b)| a.add(b)).collect();
        (0..experiments).into_par_iter().map(one).reduce(none, sum)
    };
    let (without, with) = (run(1, 0.0), run(2, setting.lift));
    for ((judge, without), with) in judges.iter().zip(&without).zip(&with) {
        let mark = if judge.is_given(setting) { "**" } else { "" };
        println!(
            "| {} | {mark}{}{mark} | {} | {:+.1} % | {} | {} | {} |",
            setting.name,
            judge.name(),
            percent(without.higher + without.lower, experiments),
            100.0 * setting.lift,
            percent(with.higher, experiments),
            if judge.has_difference() {
                percent(with.without_difference, experiments)
            } else {
                String::new()
            },
            if judge.has_lift() { percent(with.without_lift, experiments) } else { String::new() },
        );
    }
}

fn guardrail_row(setting: &Setting, experiments: u64) {
    let one = |experiment| verdicts::guardrail(setting, Draws::new(3, experiment));
    let tally = (0..experiments).into_par_iter().map(one).reduce(Tally::default, Tally::add);
    let (safe, harmed) = (percent(tally.higher, experiments), percent(tally.lower, experiments));
    println!("| {} | {safe} | {harmed} |", setting.name);
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}", 100.0 * part as f64 / whole.max(1) as f64)
}
