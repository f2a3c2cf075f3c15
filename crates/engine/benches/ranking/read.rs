//! Reads a converted data set.

use std::path::Path;

use csv::StringRecord;
use engine::domain::Timestamp;
use engine::evaluation::Dataset;
use engine::evaluation::DatasetBuilder;
use engine::evaluation::DatasetItem;
use engine::evaluation::Scale;
use engine::evaluation::protocols::repeat_share;
use xxhash_rust::xxh3::xxh3_64;

/// From which share on repeats are recommended: as `evaluate`.
const REPEATING_SHARE: f64 = 0.1;

pub struct Data {
    pub dataset: Dataset,
    pub positive: f32,
    pub repeats: bool,
}

/// A file of comma-separated values.
struct Table {
    header: StringRecord,
    rows: Vec<StringRecord>,
}

impl Table {
    /// `None` when there is no such file.
    fn read(path: &Path) -> Option<Self> {
        let mut reader = csv::Reader::from_path(path).ok()?;
        let header = reader.headers().expect("a header").clone();
        let rows = reader.records().map(|row| row.expect("rows as wide as the header"));
        Some(Self { header, rows: rows.collect() })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}

pub fn read(directory: &Path) -> Data {
    let mut builder = DatasetBuilder::default();
    if let Some(items) = Table::read(&directory.join("items.csv")) {
        describe(&items, &mut builder);
    }
    let mut table = Table::read(&directory.join("interactions.csv")).expect("interactions.csv");
    let [user, item] = ["user", "item"].map(|name| table.column(name).expect("a column"));
    let [time, rating] = ["timestamp", "rating"].map(|name| table.column(name));
    if time.is_none() {
        // By user, then by chance.
        let drawn = |row: &StringRecord| xxh3_64(row.as_slice().as_bytes());
        table.rows.sort_by_cached_key(|row| (row[user].to_owned(), drawn(row)));
    }
    let number = |row: &StringRecord, at: usize| row[at].parse::<f64>().expect("a number");
    let mut ratings = Vec::new();
    for row in &table.rows {
        let seconds = time.map_or(0.0, |at| number(row, at));
        let value = rating.map(|at| number(row, at) as f32);
        ratings.push(value);
        let at = Timestamp::from_millis((seconds * 1e3) as i64);
        builder.add_interaction(&row[user], &row[item], value.unwrap_or(0.0), at);
    }
    if time.is_none() {
        builder.spread_users_over_time();
    }
    let positive = Scale::of(ratings.iter().flatten().copied()).positive;
    let dataset = builder.build_with(|row, value| ratings[row].map_or(positive, |_| value));
    let repeats = repeat_share(&dataset, positive) >= REPEATING_SHARE;
    Data { dataset, positive, repeats }
}

fn describe(items: &Table, builder: &mut DatasetBuilder) {
    for row in &items.rows {
        let value = |name: &str| items.column(name).map_or("", |at| &row[at]);
        let topics = value("topics").split('|').filter(|topic| !topic.is_empty());
        let topics = topics.take(20).map(|topic| topic.chars().take(60).collect()).collect();
        // Of content the words count as those of a title do.
        let title = format!("{} {}", value("title"), value("content"));
        let title: String = title.trim().chars().take(1_000).collect();
        let id = value("item").to_owned();
        let _repeated = builder.add_item(DatasetItem { id, title, topics, source: None });
    }
}
