//! Ranking quality on whole data sets: the engine next to every plain model, untuned, on the same cases.
//!
//! ```sh
//! python3 crates/engine/benches/ranking/get.py data      # fetches and converts the data sets
//! cargo bench --bench ranking -- data/*                  # prints a table
//! ```
//!
//! `--seeds N`: runs with so many seeds. `--protocol`: as of `evaluate`; leave-last-out by default.
//! `--costs`: prints instead what each part of a training costs, with the items of the data and with ten times as
//! many.
//! Each directory has `interactions.csv` (user, item, and where there are any timestamp and rating) and
//! may have `items.csv`. Without times the order of a user's rows is drawn by a hash, since the order
//! of a file says nothing.

#![expect(clippy::print_stdout, reason = "it prints its table")]

mod costs;
mod read;

use std::path::Path;
use std::time::Instant;

use engine::evaluation::EngineRecommender;
use engine::evaluation::Facts;
use engine::evaluation::Figure;
use engine::evaluation::Recommender;
use engine::evaluation::RecommenderOptions;
use engine::evaluation::Subset;
use engine::evaluation::Summary;
use engine::evaluation::plain;
use engine::evaluation::protocols;
use engine::evaluation::protocols::Outcome;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::protocols::Task;
use engine::evaluation::summarize;

struct Options {
    protocol: Protocol,
    seeds: u64,
    cases: usize,
    costs: bool,
    directories: Vec<String>,
}

fn options() -> Options {
    let mut options = Options {
        protocol: Protocol::LeaveLastOut,
        seeds: 1,
        cases: 3_000,
        costs: false,
        directories: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("an option has a value");
        match argument.as_str() {
            "--protocol" => {
                options.protocol = Protocol::from_name(&value()).expect("a protocol of evaluate");
            }
            "--seeds" => options.seeds = value().parse().expect("a number"),
            "--cases" => options.cases = value().parse().expect("a number"),
            "--costs" => options.costs = true,
            _ => options.directories.push(argument),
        }
    }
    options
}

fn main() {
    let options = options();
    for directory in &options.directories {
        if options.costs {
            costs::print(Path::new(directory), options.protocol);
            continue;
        }
        for seed in 1..=options.seeds {
            run(Path::new(directory), &options, seed);
        }
    }
}

fn run(directory: &Path, options: &Options, seed: u64) {
    let data = read::read(directory);
    let dataset = &data.dataset;
    let task =
        Task { positive: data.positive, repeats: data.repeats, k: 20, max_cases: options.cases };
    println!(
        "\n{} seed {seed}: {} users, {} items, {} rows, repeats {}",
        directory.display(),
        dataset.users.len(),
        dataset.items.len(),
        dataset.rows.len(),
        data.repeats,
    );
    let engine = EngineRecommender::new(
        dataset,
        RecommenderOptions {
            protocol: options.protocol,
            positive: data.positive,
            repeats: data.repeats,
            seed,
        },
    )
    .with_parts(&plain::components(dataset));
    let (cases, facts) = match options.protocol {
        Protocol::Prequential => on_the_way(&data, &task, engine),
        _ => after_all(&data, &task, options.protocol, engine),
    };
    print(&summarize(&cases, &[10, 20], &facts, seed));
}

/// Every positive is a case just before it is learnt.
fn on_the_way(data: &read::Data, task: &Task, mut engine: EngineRecommender) -> (Outcome, Facts) {
    let facts = Facts::new(&data.dataset, task.positive, |_| true);
    let ask = |recommender: &mut dyn Recommender| {
        protocols::prequential(&data.dataset, task, &facts, recommender, &mut |_, _| {})
    };
    let mut cases = ask(&mut engine);
    for mut plain in plain::baselines(&data.dataset, task) {
        cases.append(&mut ask(&mut *plain));
    }
    (cases, facts)
}

/// All is learnt, then all is asked.
fn after_all(
    data: &read::Data,
    task: &Task,
    protocol: Protocol,
    mut engine: EngineRecommender,
) -> (Outcome, Facts) {
    let split = Split::of(&data.dataset, protocol, task);
    let items = data.dataset.items.len();
    let began = Instant::now();
    split.learn(&data.dataset, &mut engine, &mut |_, _| {});
    println!("learnt in {:.1} s", began.elapsed().as_secs_f64());
    engine.trainings().iter().for_each(|report| println!("{report}"));
    let mut cases = split.test_with_parts(&engine, items, task.k, &mut |_, _| {});
    for mut plain in plain::baselines(&data.dataset, task) {
        split.learn(&data.dataset, &mut *plain, &mut |_, _| {});
        cases.append(&mut split.test_with_parts(&*plain, items, task.k, &mut |_, _| {}));
    }
    (cases, split.facts)
}

/// A line for each model: figures with 95 % intervals, and what the engine gains over it.
fn print(summary: &Summary) {
    println!("{} cases of {} users", summary.cases, summary.users);
    let with_interval = |figure: &Figure| {
        let bound = |bound: Option<f64>| bound.unwrap_or(f64::NAN);
        format!("{:+.4} ({:+.4} to {:+.4})", figure.point, bound(figure.low), bound(figure.high))
    };
    for (number, model) in summary.models.iter().enumerate() {
        print!("  {:28}", model.model);
        let gains = number.checked_sub(1).map(|baseline| &summary.comparisons[baseline].figures);
        for metric in ["NDCG@10", "DCG@10", "Recall@20", "Hit@10"] {
            let Some(figure) = model.find(metric, Subset::All) else { continue };
            print!("  {metric} {}", with_interval(figure));
            let is_same = |other: &&Figure| other.metric == metric && other.subset == Subset::All;
            if let Some(gain) = gains.and_then(|gains| gains.iter().find(is_same)) {
                print!(", engine gains {}", with_interval(gain));
            }
        }
        println!();
    }
}
