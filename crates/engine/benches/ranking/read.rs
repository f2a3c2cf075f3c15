//! Reads a converted data set.

use std::fs::read_to_string;
use std::path::Path;

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

/// One row of comma-separated values, quotes as usual.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(character),
        }
    }
    fields.push(field);
    fields
}

pub fn read(directory: &Path) -> Data {
    let mut builder = DatasetBuilder::default();
    let items = read_to_string(directory.join("items.csv")).unwrap_or_default();
    let mut lines = items.lines();
    let header = fields(lines.next().unwrap_or_default());
    let column = |name: &str| header.iter().position(|column| column == name);
    for line in lines {
        let row = fields(line);
        let value =
            |name: &str| column(name).and_then(|at| row.get(at)).cloned().unwrap_or_default();
        let topics = value("topics");
        let topics = topics.split('|').filter(|topic| !topic.is_empty());
        // Of content the words count as those of a title do.
        let title = format!("{} {}", value("title"), value("content"));
        let title: String = title.trim().chars().take(1_000).collect();
        let topics = topics.take(20).map(|topic| topic.chars().take(60).collect()).collect();
        let _repeated =
            builder.add_item(DatasetItem { id: value("item"), title, topics, source: None });
    }
    let interactions =
        read_to_string(directory.join("interactions.csv")).expect("interactions.csv");
    let mut lines = interactions.lines();
    let header = fields(lines.next().expect("a header"));
    let column = |name: &str| header.iter().position(|column| column == name);
    let (user, item) = (column("user").expect("user"), column("item").expect("item"));
    let (time, rating) = (column("timestamp"), column("rating"));
    let mut rows: Vec<Vec<String>> = lines.map(fields).collect();
    if time.is_none() {
        // By user, then by chance.
        rows.sort_by_cached_key(|row| (row[user].clone(), xxh3_64(row.join(",").as_bytes())));
    }
    let mut ratings = Vec::new();
    for row in &rows {
        let seconds = time.map_or(0.0, |at| row[at].parse::<f64>().expect("a time"));
        let value = rating.map(|at| row[at].parse::<f32>().expect("a rating"));
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
