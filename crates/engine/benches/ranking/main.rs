//! Ranking quality on whole data sets: the engine next to every plain model, untuned, on the same cases.
//!
//! ```sh
//! python3 crates/engine/benches/ranking/get.py data      # fetches and converts the data sets
//! cargo bench --bench ranking -- data/*                  # prints a table
//! ```
//!
//! `--seeds N`: runs with so many seeds. `--protocol`: as of `evaluate`; leave-last-out by default.
//! Each directory has `interactions.csv` (user, item, and where there are any timestamp and rating) and
//! may have `items.csv`. Without times the order of a user's rows is drawn by a hash, since the order
//! of a file says nothing.

#![expect(clippy::print_stdout, reason = "it prints its table")]

mod read;

use std::path::Path;
use std::time::Instant;

use engine::evaluation::EngineRecommender;
use engine::evaluation::Facts;
use engine::evaluation::Figure;
use engine::evaluation::Popularity;
use engine::evaluation::Recommender;
use engine::evaluation::RecommenderOptions;
use engine::evaluation::Subset;
use engine::evaluation::Summary;
use engine::evaluation::protocols;
use engine::evaluation::protocols::Case;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::protocols::Task;
use engine::evaluation::summarize;

/// Plain models that are features of the engine.
const ALONE: [&str; 12] = [
    "collaborative",
    "item_item",
    "item_item_slow",
    "item_item_all",
    "sequence",
    "overlap",
    "cooccurrence",
    "succession",
    "repeat",
    "content",
    "popularity",
    "popularity_all_time",
];
const HALF_LIVES: [u32; 3] = [500, 2_000, 10_000];

struct Options {
    protocol: Protocol,
    seeds: u64,
    cases: usize,
    directories: Vec<String>,
}

fn options() -> Options {
    let mut options = Options {
        protocol: Protocol::LeaveLastOut,
        seeds: 1,
        cases: 3_000,
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
            _ => options.directories.push(argument),
        }
    }
    options
}

fn main() {
    let options = options();
    for directory in &options.directories {
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
    );
    let (cases, facts) = match options.protocol {
        Protocol::Prequential => on_the_way(&data, &task, engine),
        _ => after_all(&data, &task, options.protocol, engine),
    };
    print(&summarize(&cases, &[10, 20], &facts, seed));
}

/// Half-lives of popularity in the table.
fn popularity(data: &read::Data) -> impl Iterator<Item = Popularity> {
    let items = data.dataset.items.len();
    let decaying = HALF_LIVES.map(|half| Popularity::with_half_life(items, data.positive, half));
    std::iter::once(Popularity::new(items, data.positive)).chain(decaying)
}

type Outcome = (Vec<(String, Vec<Case>)>, Facts);

/// Every positive is a case just before it is learnt.
fn on_the_way(data: &read::Data, task: &Task, mut engine: EngineRecommender) -> Outcome {
    let facts = Facts::new(&data.dataset, task.positive, |_| true);
    let ask = |recommender: &mut dyn Recommender| {
        let cases =
            protocols::prequential(&data.dataset, task, &facts, recommender, &mut |_, _| {});
        (recommender.name().to_owned(), cases)
    };
    let mut cases = vec![ask(&mut engine)];
    cases.extend(popularity(data).map(|mut plain| ask(&mut plain)));
    (cases, facts)
}

/// All is learnt, then all is asked.
fn after_all(
    data: &read::Data,
    task: &Task,
    protocol: Protocol,
    mut engine: EngineRecommender,
) -> Outcome {
    let split = Split::of(&data.dataset, protocol, task);
    let items = data.dataset.items.len();
    let test = |recommender: &dyn Recommender| {
        (recommender.name().to_owned(), split.test(recommender, items, task.k, &mut |_, _| {}))
    };
    let began = Instant::now();
    split.learn(&data.dataset, &mut engine, &mut |_, _| {});
    println!("learnt in {:.1} s", began.elapsed().as_secs_f64());
    engine.trainings().iter().for_each(|report| println!("{report}"));
    let mut cases = vec![test(&engine)];
    let features = ALONE.iter().filter(|feature| data.repeats || **feature != "repeat");
    cases.extend(features.map(|feature| test(&engine.alone(feature))));
    for mut plain in popularity(data) {
        split.learn(&data.dataset, &mut plain, &mut |_, _| {});
        cases.push(test(&plain));
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
