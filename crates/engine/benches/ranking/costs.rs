//! What each part of a training costs, and how that grows with the number of items.
//!
//! On one thread, and in its CPU time where the system tells it (Linux), so that other programs change little. The
//! data with more items are the same rows: each item is cut into so many, and each row is of one of them, by a
//! hash.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::time::Instant;

use engine::TrainingPart;
use engine::Watch;
use engine::evaluation::Dataset;
use engine::evaluation::DatasetItem;
use engine::evaluation::EngineRecommender;
use engine::evaluation::RecommenderOptions;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::protocols::Task;
use xxhash_rust::xxh3::xxh3_64;

use crate::read;

const TIMES: u32 = 10;

/// Seconds of this thread, or those since the first call.
fn seconds() -> f64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let of_thread = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    of_thread.map_or_else(|| BEGAN.elapsed().as_secs_f64(), |nanoseconds| nanoseconds * 1e-9)
}

/// Seconds by part, and when those began that have not ended.
#[derive(Default)]
struct Stopwatch(Mutex<(BTreeMap<TrainingPart, f64>, BTreeMap<TrainingPart, f64>)>);

impl Watch for Stopwatch {
    fn begins(&self, part: TrainingPart) {
        self.0.lock().expect("no panic").1.insert(part, seconds());
    }

    fn ends(&self, part: TrainingPart) {
        let (spent, began) = &mut *self.0.lock().expect("no panic");
        let began = began.remove(&part).expect("a part that ends has begun");
        *spent.entry(part).or_default() += seconds() - began;
    }
}

/// Seconds of learning, of each part, and of the whole training.
struct Costs {
    learning: f64,
    parts: BTreeMap<TrainingPart, f64>,
    training: f64,
    /// What the search came to: trials.
    trials: usize,
}

/// Prints both columns.
pub fn print(directory: &Path, protocol: Protocol) {
    let data = read::read(directory);
    let more = cut(&data.dataset, TIMES);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let [few, many] =
        [&data.dataset, &more].map(|it| one_thread.install(|| costs(&data, it, protocol)));
    println!(
        "\n{}: {} rows; seconds on one thread with {} items and with {}",
        directory.display(),
        data.dataset.rows.len(),
        data.dataset.items.len(),
        more.items.len(),
    );
    let line = |name: &str, few: f64, many: f64| {
        println!("  {name:28} {few:8.2} {many:8.2}   {:5.1} times", many / few);
    };
    line("learning the rows", few.learning, many.learning);
    for (part, seconds) in &few.parts {
        line(part.name(), *seconds, many.parts.get(part).copied().unwrap_or(0.0));
    }
    line("whole training", few.training, many.training);
    println!("  {:28} {:8} {:8}", "trials of factors", few.trials, many.trials);
}

fn costs(data: &read::Data, dataset: &Dataset, protocol: Protocol) -> Costs {
    let (positive, repeats) = (data.positive, data.repeats);
    let task = Task { positive, repeats, k: 20, max_cases: 1 };
    let options = RecommenderOptions { protocol, positive, repeats, seed: 1 };
    let split = Split::of(dataset, protocol, &task);
    let mut engine = EngineRecommender::new(dataset, options);
    let began = seconds();
    split.feed(dataset, &mut engine, &mut |_, _| {});
    let learning = seconds() - began;
    let (stopwatch, began) = (Stopwatch::default(), seconds());
    engine.train_watched(&stopwatch);
    let training = seconds() - began;
    let trials = engine.trainings().iter().map(|report| report.tried.len()).sum();
    Costs { learning, parts: stopwatch.0.into_inner().expect("no panic").0, training, trials }
}

/// The same rows with so many `times` the items.
fn cut(dataset: &Dataset, times: u32) -> Dataset {
    let mut cut = dataset.clone();
    let pieces = |item: &DatasetItem| {
        let piece = |at: u32| DatasetItem { id: format!("{}~{at}", item.id), ..item.clone() };
        (0..times).map(piece).collect::<Vec<DatasetItem>>()
    };
    cut.items = dataset.items.iter().flat_map(pieces).collect();
    for row in &mut cut.rows {
        let pair = (u64::from(row.user) << 32) | u64::from(row.item);
        let piece = xxh3_64(&pair.to_le_bytes()) % u64::from(times);
        row.item = row.item * times + piece as u32;
    }
    cut
}
