//! From files to a data set, saying what was assumed on the way.

use crate::cli::dataset;
use crate::cli::dataset::Files;
use crate::cli::dataset::Rows;
use engine::evaluation::Dataset;
use engine::evaluation::DatasetBuilder;
use engine::evaluation::Kind;
use engine::evaluation::Scale;
use engine::evaluation::protocols;

/// Share of positives that repeat an earlier one from which on users repeat: in a
/// catalogue where nobody means to, double entries stay far below.
const REPEATING_SHARE: f64 = 0.1;
/// Rows that cannot be read are passed over up to this share of all; more of them mean
/// that the file is not what it seems.
const UNREADABLE_ONE_IN: u64 = 20;

/// From which value on a row is a positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Positive {
    /// By the rule of [`Scale`].
    Auto,
    AtLeast(f32),
}

/// `auto` or a number.
///
/// # Errors
/// A phrase that says what is allowed.
pub fn parse_positive(text: &str) -> Result<Positive, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(Positive::AtLeast(value)),
        _ if text == "auto" => Ok(Positive::Auto),
        _ => Err("must be auto or a number of at least 0".to_owned()),
    }
}

/// Whether what a user had before may be recommended and counts as a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Repeats {
    /// By the data: included when at least a tenth of the positives among the first four
    /// fifths of the rows repeat an earlier one.
    Auto,
    Exclude,
    Include,
}

/// A data set and how to read it.
#[derive(Debug)]
pub struct Loaded {
    pub dataset: Dataset,
    pub positive: f32,
    pub repeats: bool,
    /// What was assumed, a sentence each.
    pub notes: Vec<String>,
}

/// Reads the files.
///
/// # Errors
/// When a file cannot be opened, lacks a column or is mostly unreadable.
pub fn load(files: &Files, positive: Positive, repeats: Repeats) -> Result<Loaded, dataset::Error> {
    let mut notes = Vec::new();
    let mut builder = DatasetBuilder::default();
    describe(files, &mut builder, &mut notes)?;
    let ratings = interactions(files, &mut builder, &mut notes)?;
    let scale = Scale::of(ratings.iter().flatten().copied());
    let (positive, is_unrated) = match positive {
        Positive::Auto => {
            notes.push(scale.describe());
            (scale.positive, scale.zero_is_unrated)
        }
        // Rows that say nothing are positives, whatever the bound for those that do.
        Positive::AtLeast(value)
            if scale.kind == Kind::Implicit && ratings.iter().all(Option::is_none) =>
        {
            notes.push(format!("no ratings: every row is a positive of value {value}"));
            (value, false)
        }
        Positive::AtLeast(value) => (value, false),
    };
    let dataset = builder.build_with(|row, value| match ratings[row] {
        None => positive,
        Some(0.0) if is_unrated => positive,
        Some(_) => value,
    });
    let share = protocols::repeat_share(&dataset, positive);
    let is_repeating = match repeats {
        Repeats::Auto => share >= REPEATING_SHARE,
        Repeats::Exclude => false,
        Repeats::Include => true,
    };
    notes.push(format!(
        "{:.1} % of the positives repeat an earlier one of the same user and item: repeats are {}{}",
        100.0 * share,
        if is_repeating { "recommended and tested" } else { "left out" },
        if repeats == Repeats::Auto { "" } else { ", as asked" },
    ));
    Ok(Loaded { dataset, positive, repeats: is_repeating, notes })
}

/// Items and users; the first description of an id counts.
fn describe(
    files: &Files,
    builder: &mut DatasetBuilder,
    notes: &mut Vec<String>,
) -> Result<(), dataset::Error> {
    let mut passed_over = PassedOver::default();
    if let Some(path) = &files.items {
        for item in Rows::items(path)? {
            if let Some(item) = passed_over.readable(item)?
                && builder.add_item(item).is_err()
            {
                passed_over.repeated += 1;
            }
        }
        passed_over.describe("items", notes);
    }
    let mut passed_over = PassedOver::default();
    if let Some(path) = &files.users {
        for user in Rows::users(path)? {
            if let Some(user) = passed_over.readable(user)?
                && builder.add_user(&user.user_id, user.attributes).is_err()
            {
                passed_over.repeated += 1;
            }
        }
        passed_over.describe("users", notes);
    }
    Ok(())
}

/// Adds the interactions; their ratings, in the order of the file.
fn interactions(
    files: &Files,
    builder: &mut DatasetBuilder,
    notes: &mut Vec<String>,
) -> Result<Vec<Option<f32>>, dataset::Error> {
    let mut passed_over = PassedOver::default();
    let mut ratings = Vec::new();
    let rows = Rows::interactions_in_any_order(&files.interactions)?;
    let has_timestamps = rows.has_timestamps();
    let (mut first, mut last) = (None, None);
    for row in rows {
        let Some(row) = passed_over.readable(row)? else { continue };
        (first, last) = (first.min(Some(row.at)).or(Some(row.at)), last.max(Some(row.at)));
        ratings.push(row.rating);
        builder.add_interaction(&row.user_id, &row.item_id, row.rating.unwrap_or(0.0), row.at);
    }
    passed_over.describe("interactions", notes);
    let is_one_instant = first == last && ratings.len() > 1;
    if !has_timestamps || is_one_instant {
        let lacking = if has_timestamps { "all rows are of one instant" } else { "no timestamps" };
        if builder.is_grouped_by_user() {
            builder.spread_users_over_time();
            notes.push(format!(
                "{lacking}, and users follow each other: each user's rows are taken to be in \
                 order and spread over the same time"
            ));
        } else {
            notes.push(format!("{lacking}: the order of the file stands for that of time"));
        }
    }
    Ok(ratings)
}

/// Rows that were left out of a file.
#[derive(Default)]
struct PassedOver {
    read: u64,
    unreadable: u64,
    first: Option<String>,
    repeated: u64,
}

impl PassedOver {
    /// The row, or nothing when it alone is at fault.
    fn readable<T>(&mut self, row: Result<T, dataset::Error>) -> Result<Option<T>, dataset::Error> {
        self.read += 1;
        match row {
            Ok(row) => Ok(Some(row)),
            Err(error) if error.is_about_one_row() => {
                self.unreadable += 1;
                if self.unreadable > 1 + self.read / UNREADABLE_ONE_IN {
                    return Err(error);
                }
                self.first.get_or_insert_with(|| error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn describe(self, what: &str, notes: &mut Vec<String>) {
        if let Some(first) = self.first {
            notes.push(format!(
                "{} {what} cannot be read and are left out, first: {first}",
                self.unreadable
            ));
        }
        if self.repeated > 0 {
            notes.push(format!(
                "{} {what} are described more than once: the first description counts",
                self.repeated
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn loaded(interactions: &str, positive: Positive) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.csv");
        fs::write(&path, interactions).unwrap();
        let files = Files { interactions: path, items: None, users: None };
        load(&files, positive, Repeats::Auto).unwrap()
    }

    fn values(loaded: &Loaded) -> Vec<f32> {
        loaded.dataset.rows.iter().map(|row| row.value).collect()
    }

    #[test]
    fn rows_without_ratings_are_positives() {
        let implicit = loaded("user_id,item_id,timestamp\nu,a,1\nu,b,2\n", Positive::Auto);
        assert_eq!((values(&implicit), implicit.positive), (vec![1.0, 1.0], 1.0));
        let rated = "user_id,item_id,rating,timestamp\nu,a,2.5,1\nu,b,,2\n";
        let rated = loaded(rated, Positive::AtLeast(4.0));
        assert_eq!((values(&rated), rated.positive), (vec![2.5, 4.0], 4.0));
    }

    #[test]
    fn values_stay_with_their_rows_when_time_sorts_them() {
        let rows = "user_id,item_id,rating,timestamp\nu,a,2,9\nu,b,,5\nu,c,5,1\n";
        assert_eq!(values(&loaded(rows, Positive::AtLeast(4.0))), [5.0, 4.0, 2.0]);
    }

    #[test]
    fn unrated_books_are_positives_and_so_are_all_counts() {
        let books = "user,isbn,rating\nu,a,0\nu,b,0\nu,c,9\nu,d,8\nv,d,8\nv,e,3\n";
        let books = loaded(books, Positive::Auto);
        // Without times the two users go through their rows side by side.
        assert_eq!(values(&books), [8.0, 8.0, 8.0, 9.0, 3.0, 8.0]);
        let told = books.notes.join("\n");
        assert!(told.contains("taken for ratings: positive from 8"), "{told}");
        assert!(told.contains("no timestamps"), "{told}");
        let plays = loaded("user,artist,plays\nu,a,1\nu,b,70\nv,a,1\n", Positive::Auto);
        assert_eq!(plays.positive, 1.0);
        assert!(plays.notes.join("\n").contains("taken for counts"));
    }

    #[test]
    fn repeats_are_included_where_users_repeat() {
        let row = |item: usize| format!("u,{item},{item}\n");
        let once: String = (0..20).map(row).collect();
        let head = "user_id,item_id,timestamp\n";
        assert!(!loaded(&format!("{head}{once}"), Positive::Auto).repeats);
        // Hours apart: sooner, it is the same use.
        let again: String = (0..20).map(|n| format!("u,{},{}\n", n % 7, n * 20_000)).collect();
        let again = loaded(&format!("{head}{again}"), Positive::Auto);
        assert!(again.repeats && again.notes.join("\n").contains("recommended and tested"));
    }

    #[test]
    fn items_listed_twice_and_a_few_unreadable_rows_are_passed_over_and_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("items.csv"), "item_id,title\na,A\na,B\n").unwrap();
        fs::write(path("rows.csv"), "user_id,item_id,timestamp\nu,a,1\n,a,2\nu,a,3\n").unwrap();
        let files =
            Files { interactions: path("rows.csv"), items: Some(path("items.csv")), users: None };
        let loaded = load(&files, Positive::Auto, Repeats::Auto).unwrap();
        assert_eq!(loaded.dataset.items[0].title, "A");
        assert_eq!(loaded.dataset.rows.len(), 2);
        let told = loaded.notes.join("\n");
        assert!(told.contains("1 interactions cannot be read"), "{told}");
        assert!(told.contains("rows.csv:3: column user_id: must not be empty"), "{told}");
        assert!(told.contains("1 items are described more than once"), "{told}");
    }

    #[test]
    fn a_file_that_is_mostly_unreadable_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.csv");
        fs::write(&path, "user_id,item_id,timestamp\nu,a,x\nu,a,y\nu,a,z\n").unwrap();
        let files = Files { interactions: path, items: None, users: None };
        assert!(load(&files, Positive::Auto, Repeats::Auto).is_err());
    }
}
