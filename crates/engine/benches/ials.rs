//! One training of implicit alternating least squares on observations from a file, for
//! `crates/engine/benches/implicit/compare.py`, which compares it with another library.
//!
//! Reads lines `user item` (dense numbers, no header; the first line is the number of
//! users and of items), trains, writes item factors and folded-in user factors to OUTPUT,
//! and prints one line of JSON: seconds per epoch, of the whole training, and its loss.
//! Threads are those of `RAYON_NUM_THREADS`.
//!
//! Stands for: the time of training and the quality of the factors. Seconds per epoch leave
//! out the first epoch, which pays for the start, and the user pass after the last.
//!
//! Usage: `cargo bench --bench ials -- OBSERVATIONS OUTPUT FACTORS EPOCHS REGULARIZATION
//! UNOBSERVED_WEIGHT EXPONENT`. Without arguments there is nothing to do.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;
use std::time::Instant;

use engine::collaborative::{FoldIn, Hyperparameters, Regularization, TrainingSet, gram, train};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [observations, output, factors, epochs, regularization, unobserved, exponent] = &words[..]
    else {
        eprintln!("nothing to do: see the head of crates/engine/benches/ials.rs");
        return Ok(());
    };
    let (n_items, rows) = read(observations)?;
    let set = TrainingSet::from_rows(n_items, &rows).map_err(|error| error.to_string())?;
    let hyperparameters = Hyperparameters {
        epochs: epochs.parse()?,
        regularization: regularization.parse()?,
        unobserved_weight: unobserved.parse()?,
        frequency_exponent: exponent.parse()?,
        ..Hyperparameters::with_factors(factors.parse()?)
    };
    let start = Instant::now();
    let (mut last, mut epochs) = (start, Vec::new());
    let trained = train(&set, &hyperparameters, None, &mut |_| {
        epochs.push(last.elapsed());
        last = Instant::now();
        ControlFlow::Continue(())
    })
    .ok_or("a hyperparameter is out of range")?;
    let whole = start.elapsed();

    let k = trained.factors;
    let item_gram = gram(&trained.item_factors, k);
    write(
        output,
        &trained.item_factors,
        &users(&trained.regularization, &item_gram, k, &rows, &trained.item_factors),
    )?;
    // The first epoch also pays for the start.
    epochs.remove(0);
    epochs.sort_unstable();
    let median = epochs.get(epochs.len() / 2).copied().unwrap_or(Duration::ZERO);
    let total: Duration = epochs.iter().sum();
    println!(
        "{{\"median_seconds\": {:.6}, \"mean_seconds\": {:.6}, \"seconds\": {:.6}, \"loss\": {}}}",
        median.as_secs_f64(),
        total.as_secs_f64() / epochs.len().max(1) as f64,
        whole.as_secs_f64(),
        trained.loss,
    );
    Ok(())
}

/// Items with confidences, by user.
type Rows = Vec<Vec<(u32, f32)>>;

/// Number of items, and the items of each user with confidence one.
fn read(path: &str) -> Result<(usize, Rows), Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<usize>);
    let mut next = || numbers.next().transpose();
    let (users, items) = next()?.zip(next()?).ok_or("the first line has users and items")?;
    let mut rows = vec![Vec::new(); users];
    while let Some((user, item)) = next()?.zip(next()?) {
        rows.get_mut(user).ok_or("a user is out of range")?.push((u32::try_from(item)?, 1.0));
    }
    Ok((items, rows))
}

/// Every user folded in, as the service does it.
fn users(
    regularization: &Regularization,
    item_gram: &[f32],
    k: usize,
    rows: &[Vec<(u32, f32)>],
    items: &[f32],
) -> Vec<f32> {
    let mut solver = FoldIn::new(k);
    let mut users = vec![0.0; rows.len() * k];
    for (row, user) in rows.iter().zip(users.chunks_exact_mut(k)) {
        let events = row.iter().map(|&(item, c)| (&items[item as usize * k..][..k], c));
        if !row.is_empty() {
            solver.solve(item_gram, regularization, events, None, user);
        }
    }
    users
}

/// Item factors, then user factors, as little-endian f32.
fn write(path: &str, items: &[f32], users: &[f32]) -> Result<(), Box<dyn Error>> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    for value in items.iter().chain(users) {
        file.write_all(&value.to_le_bytes())?;
    }
    Ok(file.flush()?)
}
