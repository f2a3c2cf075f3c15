//! The units of live experiments: who was exposed, when, with which variant, and the sums of each.
//!
//! - A table for each experiment, in the order of exposure. Nothing is removed before the
//!   experiment ends, then all of it at once.
//! - Users are named by keys of their ids: a request adds no user to the state.
//! - A unit costs [`UNIT_BYTES`] and four bytes a field. The budget is of all tables together.
//! - In columns of plain numbers: an event copies a page of one kilobyte, not the rows around it.
//! - When columns come later, the rows are kept as they are then, for as long as a backfill goes by them:
//!   so it names the same units whatever is merged meanwhile. They cost nothing but what changes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::columns::column::Column;
use crate::columns::column::encode;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;
use crate::domain::Timestamp;
use crate::domain::limits;

/// A unit and its two to four slots of eight bytes in the lookup table.
const UNIT_BYTES: u64 = size_of::<Unit>() as u64 + 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Of a user, the key; of a slice of time, its number.
    pub key: u64,
    pub exposed_at: Timestamp,
    pub variant: u8,
    /// Not measured: the user turned out to be one who had been exposed before.
    pub is_void: bool,
    /// How many rows before it the unit is that it was merged into; 0: none.
    pub merged_back: u32,
}

/// The units of one experiment.
#[derive(Debug, Clone, Default)]
pub struct Units {
    rows: Column<Unit>,
    /// In the order of the layout, each as long as `rows`.
    fields: Vec<Column<f32>>,
    /// The rows as they were when columns came that are not backfilled yet, by backfill.
    kept: Vec<Column<Unit>>,
    /// The row of each key. Derived.
    index: KeyIndex,
}

impl Units {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn get(&self, row: usize) -> Option<&Unit> {
        self.rows.get(row)
    }

    pub fn find(&self, key: u64) -> Option<usize> {
        self.index.find(key, |row| self.rows[row].key == key)
    }

    /// Adds a unit; `before` gives the fields that are known when it is exposed.
    pub fn add(&mut self, unit: Unit, before: impl Fn(usize) -> f32) {
        let row = self.rows.len();
        self.rows.push(unit);
        for (number, field) in self.fields.iter_mut().enumerate() {
            field.push(before(number));
        }
        self.list(row);
    }

    fn list(&mut self, row: usize) {
        let Self { rows, index, .. } = self;
        let key = rows[row].key;
        index.insert(key, row, |other| rows[other].key == key);
    }

    pub fn value(&self, field: usize, row: usize) -> f32 {
        self.fields[field][row]
    }

    pub fn add_to(&mut self, field: usize, row: usize, amount: f32) {
        *self.fields[field].get_mut(row) += amount;
    }

    /// Makes columns for more fields; earlier units have 0 there.
    pub fn widen(&mut self, fields: usize) {
        while self.fields.len() < fields {
            self.fields.push(std::iter::repeat_n(0.0, self.rows.len()).collect());
        }
    }

    /// Keeps the rows as they are, for the backfill of columns that came.
    pub fn keep_rows(&mut self) {
        self.kept.push(self.rows.clone());
    }

    /// The rows as they were when the columns came that are backfilled first.
    pub fn kept_rows(&self) -> Option<&Column<Unit>> {
        self.kept.first()
    }

    /// How many backfills rows are kept for.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The first backfill is done.
    pub fn release_rows(&mut self) {
        self.kept.remove(0);
    }

    /// Adds a value of a unit from before its column came. A sum of a unit that was merged is part of
    /// the one it was merged into; of one that is not measured any more nothing counts.
    pub fn backfill(&mut self, field: usize, row: usize, amount: f32, is_sum: bool) {
        if amount == 0.0 {
            return;
        }
        let counted = if is_sum { self.unit_of(row) } else { row };
        if !self.rows[counted].is_void {
            self.add_to(field, counted, amount);
        }
    }

    /// The row of the unit that one was merged into, over any number of merges.
    fn unit_of(&mut self, row: usize) -> usize {
        let mut last = row;
        while self.rows[last].merged_back > 0 {
            last -= self.rows[last].merged_back as usize;
        }
        // The way is long once only.
        if self.rows[row].merged_back as usize != row - last {
            self.rows.get_mut(row).merged_back = (row - last) as u32;
        }
        last
    }

    /// A unit that is measured no more.
    pub fn void(&mut self, key: u64) {
        if let Some(row) = self.find(key) {
            self.rows.get_mut(row).is_void = true;
            self.index.remove(key, row);
        }
    }

    /// The unit of one user is another's from now on. Of two units of one user the one that
    /// was exposed first stays, with the sums of both; `is_sum` says which fields are sums.
    pub fn merge(&mut self, from: u64, into: u64, is_sum: impl Fn(usize) -> bool) {
        let Some(moved) = self.find(from) else {
            return;
        };
        self.index.remove(from, moved);
        self.rows.get_mut(moved).key = into;
        let Some(known) = self.index.find(into, |row| row != moved && self.rows[row].key == into)
        else {
            self.list(moved);
            return;
        };
        let (first, second) = (moved.min(known), moved.max(known));
        let merged = self.rows.get_mut(second);
        (merged.is_void, merged.merged_back) = (true, (second - first) as u32);
        for field in (0..self.fields.len()).filter(|&field| is_sum(field)) {
            self.add_to(field, first, self.value(field, second));
        }
        self.index.remove(into, known);
        self.list(first);
    }

    /// What more columns would take, and the rows that are kept for their backfill.
    pub fn bytes_of_columns(&self, columns: usize) -> u64 {
        let each = if columns > 0 { 4 * columns + size_of::<Unit>() } else { 0 };
        (self.rows.len() * each) as u64
    }

    fn bytes(&self) -> u64 {
        let kept: usize = self.kept.iter().map(Column::len).sum();
        self.rows.len() as u64 * (UNIT_BYTES + 4 * self.fields.len() as u64)
            + (kept * size_of::<Unit>()) as u64
    }

    /// Whether what was read from a snapshot fits together; derives the rest.
    fn derive(&mut self, fields: usize, mut kept: impl Iterator<Item = usize>) -> bool {
        let rows = self.rows.len();
        let is_sound = |(row, unit): (usize, &Unit)| {
            unit.merged_back as usize <= row && (unit.is_void || unit.merged_back == 0)
        };
        let fits = self.fields.len() == fields
            && self.fields.iter().all(|field| field.len() == rows)
            && self.kept.iter().all(|rows| kept.next() == Some(rows.len()))
            && kept.next().is_none()
            && self.kept.iter().all(|kept| kept.len() <= rows)
            && self.rows.iter().enumerate().all(is_sound);
        if fits {
            for row in 0..self.rows.len() {
                if !self.rows[row].is_void {
                    self.list(row);
                }
            }
        }
        fits
    }
}

/// The units of all live experiments, by the number of the experiment.
#[derive(Debug, Clone, Default)]
pub struct UnitTables(BTreeMap<u32, Units>);

/// A part of a table, as snapshots hold it.
#[derive(Serialize, Deserialize)]
enum Section<'a> {
    Rows(u32, #[serde(borrow)] &'a [u8]),
    Field(u32, u32, #[serde(borrow)] &'a [u8]),
    Kept(u32, u32, #[serde(borrow)] &'a [u8]),
}

impl Section<'_> {
    fn encoded(&self) -> Vec<u8> {
        encode(self)
    }
}

/// Reads a section into the column of this number; sections of a column follow each other.
fn read_column<T>(
    columns: &mut Vec<Column<T>>,
    number: u32,
    section: &[u8],
) -> Result<(), postcard::Error>
where
    T: Clone + Serialize + DeserializeOwned,
{
    let number = number as usize;
    if number == columns.len() {
        columns.push(Column::default());
    }
    let is_last = number + 1 == columns.len();
    let column = columns.last_mut().filter(|_| is_last);
    column.ok_or(postcard::Error::DeserializeBadEncoding)?.read(section)
}

impl UnitTables {
    pub fn table(&self, experiment: u32) -> Option<&Units> {
        self.0.get(&experiment)
    }

    pub fn table_mut(&mut self, experiment: u32) -> Option<&mut Units> {
        self.0.get_mut(&experiment)
    }

    pub fn begin(&mut self, experiment: u32, fields: usize) {
        self.0.entry(experiment).or_default().widen(fields);
    }

    pub fn end(&mut self, experiment: u32) {
        self.0.remove(&experiment);
    }

    /// Whether no more units find space.
    pub fn is_full(&self) -> bool {
        self.bytes() >= limits::UNIT_BYTES
    }

    pub fn bytes(&self) -> u64 {
        self.0.values().map(Units::bytes).sum()
    }

    /// Whether there is a table for each of these experiments, with as many fields and rows kept for its
    /// backfills, and no other.
    pub fn derive<K: Iterator<Item = usize>>(
        &mut self,
        tables: impl Iterator<Item = (u32, usize, K)>,
    ) -> bool {
        let mut found = 0;
        for (experiment, fields, kept) in tables {
            // A table without units has no section.
            let units = self.0.entry(experiment).or_default();
            if units.len() == 0 {
                units.widen(fields);
            }
            if !units.derive(fields, kept) {
                return false;
            }
            found += 1;
        }
        found == self.0.len()
    }
}

impl Part for UnitTables {
    fn len(&self) -> usize {
        self.0.values().map(Units::len).sum()
    }

    fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for (experiment, units) in self.0.iter().filter(|(_, units)| units.len() > 0) {
            hasher.update(&experiment.to_le_bytes());
            let kept = units.kept.iter().map(Column::digest);
            let fields = units.fields.iter().map(Column::digest);
            for digest in std::iter::once(units.rows.digest()).chain(fields).chain(kept) {
                hasher.update(&digest);
            }
        }
        *hasher.finalize().as_bytes()
    }

    fn sections(&self) -> Sections<'_> {
        Box::new(self.0.iter().flat_map(|(&experiment, units)| {
            let rows = units.rows.encoded();
            let rows = rows.map(move |rows| Section::Rows(experiment, &rows).encoded());
            let fields = units.fields.iter().zip(0..).flat_map(move |(field, number)| {
                let section =
                    move |values: Vec<u8>| Section::Field(experiment, number, &values).encoded();
                field.encoded().map(section)
            });
            let kept = units.kept.iter().zip(0..).flat_map(move |(rows, number)| {
                let section =
                    move |rows: Vec<u8>| Section::Kept(experiment, number, &rows).encoded();
                rows.encoded().map(section)
            });
            rows.chain(fields).chain(kept)
        }))
    }

    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error> {
        let section: Section<'_> = postcard::from_bytes(section)?;
        let (Section::Rows(experiment, _)
        | Section::Field(experiment, ..)
        | Section::Kept(experiment, ..)) = section;
        let units = self.0.entry(experiment).or_default();
        match section {
            Section::Rows(_, rows) => units.rows.read(rows),
            Section::Field(_, number, values) => read_column(&mut units.fields, number, values),
            Section::Kept(_, number, rows) => read_column(&mut units.kept, number, rows),
        }
    }
}
