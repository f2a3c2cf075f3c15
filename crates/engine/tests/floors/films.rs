//! The bundled data set in MovieLens layout.

use std::path::Path;

use csv::StringRecord;
use engine::domain::Timestamp;
use engine::evaluation::Dataset;
use engine::evaluation::DatasetBuilder;
use engine::evaluation::DatasetItem;

/// Films in the order of their file, and all ratings.
pub fn read() -> Dataset {
    let mut builder = DatasetBuilder::default();
    for film in rows("movies.csv") {
        let (id, title) = (film[0].to_owned(), film[1].to_owned());
        let topics = film[2].split('|').map(str::to_owned).collect();
        let item = DatasetItem { id, title, topics, source: None };
        builder.add_item(item).expect("each film once");
    }
    for rating in rows("ratings.csv") {
        let value = rating[2].parse().expect("a rating");
        let at = Timestamp::from_seconds(rating[3].parse().expect("seconds"));
        builder.add_interaction(&rating[0], &rating[1], value, at);
    }
    builder.build()
}

fn rows(file: &str) -> Vec<StringRecord> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/movielens");
    let mut reader = csv::Reader::from_path(folder.join(file)).expect("the file is bundled");
    reader.records().map(|row| row.expect("rows as wide as the header")).collect()
}
