//! Readers of interaction, item and user files, row by row.
//!
//! - Comma-separated with a header (`.tsv`: tabs). Names are recognised whatever
//!   their case, MovieLens' among them: interactions have `user_id`, `item_id`,
//!   `timestamp` and, if explicit, `rating`; items `item_id` and, if known, `title`,
//!   `topics` (split at `|`), `source`; users `user_id`, every other column is an
//!   attribute.
//! - Without header, by file name: `*.dat` of ml-1m (`::`), `u.data`, `u.item` and
//!   `u.user` of ml-100k. Bytes there that are not UTF-8 are read as Latin-1.
//! - A row without a rating is an implicit signal: `rating` is `None`.
//! - Timestamps are seconds since 1970, or milliseconds when above 1e11.
//! - Nothing is held in memory but the current row; every error names file, line
//!   and column.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use csv::StringRecord;

use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::Timestamp;
use crate::domain::check_text;
use crate::domain::limits;
use crate::evaluation::DatasetItem;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("failed to read {} at line {line}", path.display())]
    Read { path: PathBuf, line: u64, source: io::Error },
    #[error("failed to read {}", path.display())]
    Malformed { path: PathBuf, source: csv::Error },
    #[error("{} has no column {wanted}; its columns are: {found}", path.display())]
    Column { path: PathBuf, wanted: &'static str, found: String },
    #[error("{}:{line}: column {column}: {reason}", path.display())]
    Field { path: PathBuf, line: u64, column: String, reason: String },
    #[error(
        "{} holds no interactions file: expected one of ratings.csv, interactions.csv, ratings.dat, u.data",
        path.display()
    )]
    Layout { path: PathBuf },
}

/// The files of one data set.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    pub interactions: PathBuf,
    pub items: Option<PathBuf>,
    pub users: Option<PathBuf>,
}

impl Files {
    /// Interactions, items and users as released layouts name them.
    const LAYOUTS: [(&str, &str, &str); 4] = [
        ("ratings.csv", "movies.csv", "users.csv"),
        ("interactions.csv", "items.csv", "users.csv"),
        ("ratings.dat", "movies.dat", "users.dat"),
        ("u.data", "u.item", "u.user"),
    ];

    /// The named files; where `interactions` is a directory, those that lie in it
    /// fill in what is not named.
    ///
    /// # Errors
    /// When the directory holds no interactions.
    pub fn find(
        interactions: &Path,
        items: Option<&Path>,
        users: Option<&Path>,
    ) -> Result<Self, Error> {
        let named = |path: Option<&Path>| path.map(Path::to_path_buf);
        if !interactions.is_dir() {
            let interactions = interactions.to_path_buf();
            return Ok(Self { interactions, items: named(items), users: named(users) });
        }
        let present = |name: &str| Some(interactions.join(name)).filter(|path| path.is_file());
        let (found, item_name, user_name) = Self::LAYOUTS
            .into_iter()
            .find_map(|(rows, items, users)| present(rows).map(|path| (path, items, users)))
            .ok_or_else(|| Error::Layout { path: interactions.to_path_buf() })?;
        Ok(Self {
            interactions: found,
            items: named(items).or_else(|| present(item_name)),
            users: named(users).or_else(|| present(user_name)),
        })
    }
}

/// One row of an interactions file.
#[derive(Debug, Clone, PartialEq)]
pub struct InteractionRow {
    pub user_id: String,
    pub item_id: String,
    /// Finite and not negative.
    pub rating: Option<f32>,
    pub at: Timestamp,
}

/// One row of a users file.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRow {
    pub user_id: String,
    pub attributes: Attributes,
}

/// The rows of a file, as `C` understands its columns.
#[derive(Debug)]
pub struct Rows<C> {
    table: Table,
    columns: C,
}

/// Where the values of a row stand.
pub trait Columns {
    type Row;

    /// # Errors
    /// When a value of the table's current row is out of bounds.
    fn parse(&self, table: &Table) -> Result<Self::Row, Error>;
}

impl<C: Columns> Iterator for Rows<C> {
    type Item = Result<C::Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.table.advance() {
            Ok(true) => Some(self.columns.parse(&self.table)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<C> Rows<C> {
    /// An error about the row read last.
    pub fn fault(&self, column: &str, reason: impl Display) -> Error {
        self.table.fault(column, reason)
    }
}

const USER_ID: [&str; 3] = ["user_id", "userid", "user"];
const ITEM_ID: [&str; 5] = ["item_id", "itemid", "movie_id", "movieid", "item"];
const RATING: [&str; 2] = ["rating", "value"];
const TIMESTAMP: [&str; 2] = ["timestamp", "time"];
const TITLE: [&str; 1] = ["title"];
const TOPICS: [&str; 2] = ["topics", "genres"];
const SOURCE: [&str; 1] = ["source"];

/// Columns of an interactions file.
#[derive(Debug)]
pub struct InteractionColumns {
    user_id: usize,
    item_id: usize,
    rating: Option<usize>,
    timestamp: usize,
}

impl Rows<InteractionColumns> {
    /// # Errors
    /// When the file cannot be opened or lacks a column.
    pub fn interactions(path: &Path) -> Result<Self, Error> {
        let table = Table::open(path, &["user_id", "item_id", "rating", "timestamp"])?;
        let columns = InteractionColumns {
            user_id: table.required(&USER_ID)?,
            item_id: table.required(&ITEM_ID)?,
            rating: table.place(&RATING),
            timestamp: table.required(&TIMESTAMP)?,
        };
        Ok(Self { table, columns })
    }

    /// Whether the file has a column of ratings.
    pub fn has_ratings(&self) -> bool {
        self.columns.rating.is_some()
    }
}

impl Columns for InteractionColumns {
    type Row = InteractionRow;

    fn parse(&self, table: &Table) -> Result<InteractionRow, Error> {
        let rating = match self.rating.map(|column| (column, table.field(column))) {
            None | Some((_, "")) => None,
            Some((column, text)) => Some(table.checked(column, parse_rating(text))?),
        };
        Ok(InteractionRow {
            user_id: table.id(self.user_id)?,
            item_id: table.id(self.item_id)?,
            rating,
            at: table.checked(self.timestamp, parse_timestamp(table.field(self.timestamp)))?,
        })
    }
}

/// Columns of an items file.
#[derive(Debug)]
pub struct ItemColumns {
    item_id: usize,
    title: Option<usize>,
    topics: Option<usize>,
    source: Option<usize>,
    /// First of the 0/1 columns of ml-100k, one per genre.
    flags: Option<usize>,
}

/// Columns of `u.item`; those from `unknown` on are flags.
const COLUMNS_100K: [&str; 24] = [
    "item_id",
    "title",
    "release_date",
    "video_release_date",
    "imdb_url",
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];
const FIRST_FLAG_100K: usize = 5;

impl Rows<ItemColumns> {
    /// # Errors
    /// When the file cannot be opened or lacks a column.
    pub fn items(path: &Path) -> Result<Self, Error> {
        let is_100k = path.file_name().is_some_and(|name| name == "u.item");
        let columns_1m: &[&str] = &["item_id", "title", "topics"];
        let table = Table::open(path, if is_100k { &COLUMNS_100K } else { columns_1m })?;
        let columns = ItemColumns {
            item_id: table.required(&ITEM_ID)?,
            title: table.place(&TITLE),
            topics: table.place(&TOPICS),
            source: table.place(&SOURCE),
            flags: is_100k.then_some(FIRST_FLAG_100K),
        };
        Ok(Self { table, columns })
    }
}

impl Columns for ItemColumns {
    type Row = DatasetItem;

    fn parse(&self, table: &Table) -> Result<DatasetItem, Error> {
        /// What MovieLens writes for a film without genres.
        const NO_GENRES: &str = "(no genres listed)";
        let text = |column: Option<usize>| column.map_or("", |column| table.field(column));
        let named = text(self.topics).split('|').map(str::trim);
        let named = named.filter(|topic| !topic.is_empty() && *topic != NO_GENRES);
        let flagged = (self.flags.unwrap_or(table.columns.len())..table.columns.len())
            .filter(|column| table.field(*column) == "1")
            .map(|column| table.columns[column].as_str());
        Ok(DatasetItem {
            id: table.id(self.item_id)?,
            title: text(self.title).to_owned(),
            topics: named.chain(flagged).map(str::to_owned).collect(),
            source: Some(text(self.source)).filter(|source| !source.is_empty()).map(str::to_owned),
        })
    }
}

/// Columns of a users file.
#[derive(Debug)]
pub struct UserColumns {
    user_id: usize,
}

impl Rows<UserColumns> {
    /// # Errors
    /// When the file cannot be opened or lacks a column.
    pub fn users(path: &Path) -> Result<Self, Error> {
        let is_100k = path.file_name().is_some_and(|name| name == "u.user");
        let table = Table::open(
            path,
            &if is_100k {
                ["user_id", "age", "gender", "occupation", "zip_code"]
            } else {
                ["user_id", "gender", "age", "occupation", "zip_code"]
            },
        )?;
        let columns = UserColumns { user_id: table.required(&USER_ID)? };
        Ok(Self { table, columns })
    }
}

impl Columns for UserColumns {
    type Row = UserRow;

    fn parse(&self, table: &Table) -> Result<UserRow, Error> {
        let mut values = BTreeMap::new();
        for (column, name) in table.columns.iter().enumerate() {
            let text = table.field(column);
            if column != self.user_id && !text.is_empty() {
                values.insert(name.clone(), attribute_value(text));
            }
        }
        let attributes = table.checked(self.user_id, Attributes::new(values))?;
        Ok(UserRow { user_id: table.id(self.user_id)?, attributes })
    }
}

/// A number or flag when the text is one, a list when it holds `|`, else the text.
fn attribute_value(text: &str) -> AttributeValue {
    if text.contains('|') {
        return AttributeValue::List(text.split('|').map(|part| part.trim().to_owned()).collect());
    }
    match (text.parse::<f64>(), text.parse::<bool>()) {
        (Ok(number), _) if number.is_finite() => AttributeValue::Number(number),
        (_, Ok(flag)) => AttributeValue::Flag(flag),
        _ => AttributeValue::Text(text.to_owned()),
    }
}

fn parse_rating(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(rating) if rating.is_finite() && rating >= 0.0 => Ok(rating),
        Ok(_) => Err(format!("must be finite and not negative, is {text}")),
        Err(_) => Err(format!("must be a number, is {text:?}")),
    }
}

fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    /// The year 5138 in seconds, March 1973 in milliseconds.
    const SECONDS_MAX: f64 = 1e11;
    if let Ok(whole) = text.parse::<i64>() {
        let is_seconds = whole as f64 <= SECONDS_MAX;
        return Ok(if is_seconds {
            Timestamp::from_seconds(whole)
        } else {
            Timestamp::from_millis(whole)
        });
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let scale = if number <= SECONDS_MAX { 1e3 } else { 1.0 };
            Ok(Timestamp::from_millis((number * scale).round() as i64))
        }
        _ => Err(format!("must be seconds or milliseconds since 1970, is {text:?}")),
    }
}

/// A file of named columns, one row at a time.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    source: Source,
    columns: Vec<String>,
    record: StringRecord,
}

#[derive(Debug)]
enum Source {
    Delimited(Box<csv::Reader<File>>),
    /// No header, no quotes, a separator of any length.
    Plain {
        lines: BufReader<File>,
        separator: &'static str,
        line: u64,
    },
}

impl Table {
    /// Opens a file; `unnamed` are the columns of formats without header.
    fn open(path: &Path, unnamed: &[&str]) -> Result<Self, Error> {
        let file =
            File::open(path).map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into());
        let separator = match name.as_str() {
            "u.data" => Some("\t"),
            "u.item" | "u.user" => Some("|"),
            dat if dat.ends_with(".dat") => Some("::"),
            _ => None,
        };
        let path = path.to_path_buf();
        if let Some(separator) = separator {
            let columns = unnamed.iter().map(|name| (*name).to_owned()).collect();
            let source = Source::Plain { lines: BufReader::new(file), separator, line: 0 };
            return Ok(Self { path, source, columns, record: StringRecord::new() });
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if name.ends_with(".tsv") { b'\t' } else { b',' })
            .trim(csv::Trim::All)
            .buffer_capacity(1 << 16)
            .from_reader(file);
        let malformed = |source| Error::Malformed { path: path.clone(), source };
        // Excel puts a byte-order mark before the first name.
        let clean = |name: &str| name.trim_start_matches('\u{feff}').trim().to_owned();
        let columns = reader.headers().map_err(malformed)?.iter().map(clean).collect();
        let source = Source::Delimited(Box::new(reader));
        Ok(Self { path, source, columns, record: StringRecord::new() })
    }

    /// Place of the first column with one of these names.
    fn place(&self, names: &[&'static str]) -> Option<usize> {
        let is_named = |column: &String| names.iter().any(|name| column.eq_ignore_ascii_case(name));
        self.columns.iter().position(is_named)
    }

    fn required(&self, names: &[&'static str]) -> Result<usize, Error> {
        self.place(names).ok_or_else(|| Error::Column {
            path: self.path.clone(),
            wanted: names[0],
            found: self.columns.join(", "),
        })
    }

    /// Reads the next row, if there is one.
    fn advance(&mut self) -> Result<bool, Error> {
        let path = &self.path;
        match &mut self.source {
            Source::Delimited(reader) => reader
                .read_record(&mut self.record)
                .map_err(|source| Error::Malformed { path: path.clone(), source }),
            Source::Plain { lines, separator, line } => {
                let mut bytes = Vec::new();
                *line += 1;
                lines.read_until(b'\n', &mut bytes).map_err(|source| Error::Read {
                    path: path.clone(),
                    line: *line,
                    source,
                })?;
                let text = String::from_utf8(bytes).unwrap_or_else(|latin_1| {
                    latin_1.as_bytes().iter().map(|byte| char::from(*byte)).collect()
                });
                self.record = text.trim_end().split(*separator).map(str::trim).collect();
                Ok(!text.is_empty())
            }
        }
    }

    /// A field of the current row; empty when the row is too short.
    fn field(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or("")
    }

    fn id(&self, column: usize) -> Result<String, Error> {
        let text = self.field(column);
        self.checked(column, check_text(text, limits::ID_BYTES))?;
        Ok(text.to_owned())
    }

    fn checked<T>(&self, column: usize, value: Result<T, String>) -> Result<T, Error> {
        value.map_err(|reason| self.fault(&self.columns[column], reason))
    }

    fn fault(&self, column: &str, reason: impl Display) -> Error {
        let line = match &self.source {
            Source::Delimited(_) => self.record.position().map_or(0, csv::Position::line),
            Source::Plain { line, .. } => *line,
        };
        let (path, column, reason) = (self.path.clone(), column.to_owned(), reason.to_string());
        Error::Field { path, line, column, reason }
    }
}

#[cfg(test)]
mod tests;
