//! Kernels of the collaborative engine: fold-in, retrieval scan, training epoch, dot products.
//!
//! Stands for: the CPU cost of one call on one core with warm caches (training: one epoch on one and on two threads).
//! Leaves out: gathering a user's history, page locks, filters that are not a bitmap.
//! Reference of the training bench: `implicit` 0.7.3, conjugate gradient, same shape (ml-1m, k = 64): 0.183 s per epoch on
//! one thread, 0.092 s on two. Compare in one run on one machine.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::collaborative::{
    FoldIn, Hyperparameters, Page, Regularization, TrainingSet, gram, scan, train,
};
use engine::numeric;

const K: usize = 64;

/// A small portable generator, so that runs compare.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn factors(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() - 0.5) as f32).collect()
    }
}

fn fold_in(c: &mut Criterion) {
    let items = Noise(7).factors(4000 * K);
    let g = gram(&items, K);
    let weights = Regularization {
        lambda: 0.003,
        frequency_exponent: 1.0,
        unobserved_weight: 0.1,
        n_users: 6040,
        n_items: 4000,
    };
    let mut group = c.benchmark_group("fold_in_64");
    for events in [10, 50, 200] {
        let history: Vec<(&[f32], f32)> =
            (0..events).map(|e| (&items[e * 977 % 4000 * K..][..K], 1.0)).collect();
        let (mut solver, mut w) = (FoldIn::new(K), vec![0.0; K]);
        group.bench_function(BenchmarkId::from_parameter(events), |b| {
            b.iter(|| {
                solver.solve(&g, &weights, history.iter().copied(), None, &mut w);
                black_box(&w);
            });
        });
    }
    group.finish();
}

fn retrieval(c: &mut Criterion) {
    let items = Noise(11).factors(100_000 * K);
    let query = Noise(13).factors(K);
    let mut group = c.benchmark_group("scan_64_top_100");
    for n in [10_000, 100_000] {
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter(|| {
                let pages =
                    items[..n * K].chunks(4096 * K).map(|factors| Page { factors, eligible: None });
                scan(pages, K, black_box(&query), 100)
            });
        });
    }
    group.finish();
    let mut group = c.benchmark_group("dot_rows_64");
    for n in [100, 10_000] {
        let mut out = vec![0.0; n];
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter(|| numeric::dot_rows(&items[..n * K], K, black_box(&query), &mut out));
        });
    }
    group.finish();
}

/// Users with exponential activity over items with a zipf-like head and a uniform tail.
fn synthetic(n_users: usize, n_items: usize, observations: usize) -> TrainingSet {
    let mut noise = Noise(88_172_645_463_325_252);
    let mut left = observations;
    let rows: Vec<Vec<(u32, f32)>> = (0..n_users)
        .map(|user| {
            let mean = left as f64 / (n_users - user) as f64;
            let length = mean * (0.1 - 0.9 * noise.next().max(1e-9).ln());
            let length = (length as usize).clamp(1, n_items / 2);
            let (mut seen, mut row) = (vec![false; n_items], Vec::with_capacity(length));
            while row.len() < length {
                let head = (n_items as f64).powf(noise.next()) as usize - 1 + user % 7 * 13;
                let any = (noise.next() * n_items as f64) as usize;
                let item = if noise.next() < 0.35 { any } else { head % n_items };
                if !std::mem::replace(&mut seen[item], true) {
                    row.push((item as u32, 1.0));
                }
            }
            left = left.saturating_sub(length);
            row
        })
        .collect();
    TrainingSet::from_rows(n_items, &rows).expect("rows are in range and free of duplicates")
}

fn training_epoch(c: &mut Criterion) {
    let set = synthetic(6040, 3706, 800_000);
    let mut group = c.benchmark_group("training_epoch_64");
    group.sample_size(10);
    group.throughput(Throughput::Elements(set.len() as u64));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool of one or two threads can be built");
        group.bench_function(BenchmarkId::new("threads", threads), |b| {
            b.iter_custom(|epochs| pool.install(|| time_epochs(&set, epochs as usize)));
        });
    }
    group.finish();
}

/// The time of `epochs` epochs, without the set-up before the first and the user pass after the last.
fn time_epochs(set: &TrainingSet, epochs: usize) -> Duration {
    let hyperparameters =
        Hyperparameters { epochs: epochs + 1, ..Hyperparameters::with_factors(K) };
    let (mut begin, mut spent) = (None, Duration::ZERO);
    train(set, &hyperparameters, None, &mut |progress| {
        match begin {
            None => begin = Some(Instant::now()),
            Some(begin) if progress.epoch == progress.epochs => spent = begin.elapsed(),
            Some(_) => {}
        }
        ControlFlow::Continue(())
    });
    spent
}

criterion_group!(benches, fold_in, retrieval, training_epoch);
criterion_main!(benches);
