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

use engine::evaluation::EngineRecommender;
use engine::evaluation::Popularity;
use engine::evaluation::Recommender;
use engine::evaluation::RecommenderOptions;
use engine::evaluation::metrics::ndcg_at;
use engine::evaluation::metrics::recall_at;
use engine::evaluation::protocols::Case;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::protocols::Task;

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
    let split = Split::of(dataset, options.protocol, &task);
    let recommender = RecommenderOptions {
        protocol: options.protocol,
        positive: data.positive,
        repeats: data.repeats,
        seed,
    };
    println!(
        "\n{} seed {seed}: {} users, {} items, {} rows, repeats {}, {} cases",
        directory.display(),
        dataset.users.len(),
        dataset.items.len(),
        dataset.rows.len(),
        data.repeats,
        split.tests.len()
    );
    let mut engine = EngineRecommender::new(dataset, recommender);
    let began = std::time::Instant::now();
    split.learn(dataset, &mut engine, &mut |_, _| {});
    println!("learnt in {:.1} s", began.elapsed().as_secs_f64());
    if let Some(report) = engine.trainings().last() {
        println!("{report}");
    }
    let items = dataset.items.len();
    let test = |recommender: &dyn Recommender| split.test(recommender, items, 20, &mut |_, _| {});
    let began = std::time::Instant::now();
    let own = test(&engine);
    println!("tested in {:.1} s", began.elapsed().as_secs_f64());
    print(&engine, &own, &own);
    for feature in ALONE {
        if !data.repeats && feature == "repeat" {
            continue;
        }
        let plain = engine.alone(feature);
        print(&plain, &test(&plain), &own);
    }
    for half_life in HALF_LIVES {
        let mut plain = Popularity::with_half_life(items, data.positive, half_life);
        split.learn(dataset, &mut plain, &mut |_, _| {});
        print(&plain, &test(&plain), &own);
    }
}

/// A line of the table: figures, and what the engine gains, with a 95 % interval.
fn print(recommender: &dyn Recommender, cases: &[Case], own: &[Case]) {
    let ndcg = |cases: &[Case]| -> Vec<f64> {
        cases.iter().map(|case| ndcg_at(10, &case.list, &case.relevant)).collect()
    };
    let (plain, engine) = (ndcg(cases), ndcg(own));
    let n = plain.len().max(1) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let recall: Vec<f64> =
        cases.iter().map(|case| recall_at(20, &case.list, &case.relevant)).collect();
    let gains: Vec<f64> = engine.iter().zip(&plain).map(|(own, plain)| own - plain).collect();
    let gain = mean(&gains);
    let variance =
        gains.iter().map(|one| (one - gain) * (one - gain)).sum::<f64>() / (n - 1.0).max(1.0);
    println!(
        "  {:28} NDCG@10 {:.4}  Recall@20 {:.4}   engine gains {:+.4} ± {:.4}",
        recommender.name(),
        mean(&plain),
        mean(&recall),
        gain,
        1.96 * (variance / n).sqrt()
    );
}
