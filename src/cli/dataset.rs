//! Readers of interaction, item and user files, row by row.
//!
//! - With a header, separated by commas, tabs, semicolons or bars, whichever the header
//!   has most of. Names are recognised whatever their case and separators, with the
//!   spellings of well-known data sets (`movieId`, `Book-Rating`, `item_id:token`):
//!   interactions have `user_id`, `item_id`, `timestamp` and, if explicit, `rating`;
//!   items `item_id` and, if known, `title`, `topics` (split at `|`), `source`; users
//!   `user_id`, every other column is an attribute.
//! - Without header, by file name: `*.dat` with `::` as in ml-1m, `u.data`, `u.item`
//!   and `u.user` of ml-100k. Bytes that are not UTF-8 are read as Latin-1.
//! - A row without a rating is an implicit signal: `rating` is `None`.
//! - Timestamps are seconds since 1970, milliseconds when above 1e11, or ISO 8601. A
//!   caller may allow files without them: their rows count as in order of time.
//! - Files packed by gzip are read as they are.
//! - Nothing is held in memory but the current row; every error names file, line
//!   and column.

mod bytes;
mod instant;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;

pub use self::bytes::open as open_unpacked;
use self::instant::parse_timestamp;
pub use self::table::Table;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::Timestamp;
use engine::evaluation::DatasetItem;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("failed to read {} at line {line}", path.display())]
    Read { path: PathBuf, line: u64, source: io::Error },
    #[error("failed to read {}", path.display())]
    Malformed { path: PathBuf, source: csv::Error },
    #[error("{} has no column {expected}; its columns are: {found}", path.display())]
    Column { path: PathBuf, expected: &'static str, found: String },
    #[error("{}:{line}: column {column}: {reason}", path.display())]
    Field { path: PathBuf, line: u64, column: String, reason: String },
    #[error(
        "{} holds no interactions file: expected ratings.csv, interactions.csv, ratings.dat, u.data, or \
         events, plays, checkins, purchases or transactions as csv, tsv, txt, dat or inter",
        path.display()
    )]
    Layout { path: PathBuf },
}

impl Error {
    /// Whether the rows after it can be read.
    pub fn is_about_one_row(&self) -> bool {
        match self {
            Self::Field { .. } => true,
            Self::Malformed { source, .. } => !source.is_io_error(),
            Self::Open { .. } | Self::Read { .. } | Self::Column { .. } | Self::Layout { .. } => {
                false
            }
        }
    }
}

/// The files of one data set.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    pub interactions: PathBuf,
    pub items: Option<PathBuf>,
    pub users: Option<PathBuf>,
}

impl Files {
    /// Stems of files as released layouts name them, the likeliest first.
    const INTERACTIONS: [&str; 9] = [
        "ratings",
        "interactions",
        "u",
        "events",
        "plays",
        "checkins",
        "purchases",
        "transactions",
        "user_artists",
    ];
    const ITEMS: [&str; 9] =
        ["movies", "items", "u", "books", "artists", "tracks", "products", "venues", "places"];
    const USERS: [&str; 2] = ["users", "u"];
    const EXTENSIONS: [&str; 5] = ["csv", "tsv", "dat", "txt", "inter"];

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
        let present = |stems: &[&str], own: &str| {
            let names = stems.iter().flat_map(|&stem| {
                let extensions = if stem == "u" { vec![own] } else { Self::EXTENSIONS.to_vec() };
                extensions.into_iter().map(move |extension| format!("{stem}.{extension}"))
            });
            let packed = |name: String| [interactions.join(&name), interactions.join(name + ".gz")];
            names.flat_map(packed).find(|path| path.is_file())
        };
        let found = present(&Self::INTERACTIONS, "data")
            .ok_or_else(|| Error::Layout { path: interactions.to_path_buf() })?;
        Ok(Self {
            interactions: found,
            items: named(items).or_else(|| present(&Self::ITEMS, "item")),
            users: named(users).or_else(|| present(&Self::USERS, "user")),
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

    /// Whether the column with this index says anything about a row.
    fn uses(&self, column: usize) -> bool;
}

impl<C: Columns> Rows<C> {
    /// Names of the columns that are not read, as they stand in the file.
    pub fn unused(&self) -> Vec<&str> {
        let columns = self.table.columns().iter().enumerate();
        let unused = columns.filter(|(column, _)| !self.columns.uses(*column));
        unused.map(|(_, name)| name.as_str()).collect()
    }
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

/// Names of columns as [`table::normalised`], the likeliest first.
const USER_ID: [&str; 8] =
    ["userid", "user", "uid", "customerid", "visitorid", "memberid", "reviewerid", "personid"];
const ITEM_ID: [&str; 26] = [
    "itemid",
    "movieid",
    "bookid",
    "isbn",
    "artistid",
    "trackid",
    "songid",
    "venueid",
    "placeid",
    "poiid",
    "locationid",
    "businessid",
    "productid",
    "asin",
    "articleid",
    "newsid",
    "gameid",
    "animeid",
    "recipeid",
    "sku",
    "item",
    "movie",
    "book",
    "artist",
    "product",
    "iid",
];
const RATING: [&str; 17] = [
    "rating",
    "bookrating",
    "value",
    "score",
    "stars",
    "overall",
    "rate",
    "weight",
    "plays",
    "playcount",
    "listencount",
    "count",
    "visits",
    "quantity",
    "purchases",
    "strength",
    "preference",
];
const TIMESTAMP: [&str; 14] = [
    "timestamp",
    "time",
    "ts",
    "unixreviewtime",
    "datetime",
    "date",
    "createdat",
    "eventtime",
    "utctime",
    "checkintime",
    "visittime",
    "playedat",
    "purchasedat",
    "orderdate",
];
const TITLE: [&str; 8] = [
    "title",
    "name",
    "itemname",
    "productname",
    "booktitle",
    "movietitle",
    "trackname",
    "artistname",
];
const TOPICS: [&str; 8] =
    ["topics", "genres", "categories", "tags", "topic", "genre", "category", "department"];
const SOURCE: [&str; 6] = ["source", "publisher", "author", "authors", "brand", "bookauthor"];

/// Columns of an interactions file.
#[derive(Debug)]
pub struct InteractionColumns {
    user_id: usize,
    item_id: usize,
    rating: Option<usize>,
    /// Without it rows are a second apart, in the order of the file.
    timestamp: Option<usize>,
}

impl Rows<InteractionColumns> {
    /// # Errors
    /// When the file cannot be opened or lacks a column.
    pub fn interactions(path: &Path) -> Result<Self, Error> {
        let rows = Self::interactions_in_any_order(path)?;
        rows.table.required(&TIMESTAMP, "timestamp")?;
        Ok(rows)
    }

    /// As [`Self::interactions`], and where the file has no timestamps its order stands
    /// for that of time.
    ///
    /// # Errors
    /// When the file cannot be opened or lacks a column.
    pub fn interactions_in_any_order(path: &Path) -> Result<Self, Error> {
        let table = Table::open(path, &["user_id", "item_id", "rating", "timestamp"])?;
        let columns = InteractionColumns {
            user_id: table.required(&USER_ID, "user_id")?,
            item_id: table.required(&ITEM_ID, "item_id")?,
            rating: table.column(&RATING),
            timestamp: table.column(&TIMESTAMP),
        };
        Ok(Self { table, columns })
    }

    /// Whether the file says when its rows happened.
    pub fn has_timestamps(&self) -> bool {
        self.columns.timestamp.is_some()
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
            at: match self.timestamp {
                Some(column) => table.checked(column, parse_timestamp(table.field(column)))?,
                None => Timestamp::from_seconds(table.line() as i64),
            },
        })
    }

    fn uses(&self, column: usize) -> bool {
        let required = [self.user_id, self.item_id].contains(&column);
        required || [self.rating, self.timestamp].contains(&Some(column))
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
        let is_100k = bytes::unpacked_name(path) == "u.item";
        let columns_1m: &[&str] = &["item_id", "title", "topics"];
        let table = Table::open(path, if is_100k { &COLUMNS_100K } else { columns_1m })?;
        let columns = ItemColumns {
            item_id: table.required(&ITEM_ID, "item_id")?,
            title: table.column(&TITLE),
            topics: table.column(&TOPICS),
            source: table.column(&SOURCE),
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
        let flagged = (self.flags.unwrap_or(table.columns().len())..table.columns().len())
            .filter(|column| table.field(*column) == "1")
            .map(|column| table.columns()[column].as_str());
        Ok(DatasetItem {
            id: table.id(self.item_id)?,
            title: text(self.title).to_owned(),
            topics: named.chain(flagged).map(str::to_owned).collect(),
            source: Some(text(self.source)).filter(|source| !source.is_empty()).map(str::to_owned),
        })
    }

    fn uses(&self, column: usize) -> bool {
        let named = [Some(self.item_id), self.title, self.topics, self.source];
        named.contains(&Some(column)) || self.flags.is_some_and(|first| column >= first)
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
        let is_100k = bytes::unpacked_name(path) == "u.user";
        let table = Table::open(
            path,
            &if is_100k {
                ["user_id", "age", "gender", "occupation", "zip_code"]
            } else {
                ["user_id", "gender", "age", "occupation", "zip_code"]
            },
        )?;
        let columns = UserColumns { user_id: table.required(&USER_ID, "user_id")? };
        Ok(Self { table, columns })
    }
}

impl Columns for UserColumns {
    type Row = UserRow;

    fn parse(&self, table: &Table) -> Result<UserRow, Error> {
        let mut values = BTreeMap::new();
        for (column, name) in table.columns().iter().enumerate() {
            let text = table.field(column);
            if column != self.user_id && !text.is_empty() {
                values.insert(name.clone(), attribute_value(text));
            }
        }
        let attributes = table.checked(self.user_id, Attributes::new(values))?;
        Ok(UserRow { user_id: table.id(self.user_id)?, attributes })
    }

    fn uses(&self, _column: usize) -> bool {
        true
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

#[cfg(test)]
mod tests;
