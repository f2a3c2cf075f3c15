//! A file of named columns, one row at a time, whatever separates them.

use std::fmt::Display;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Chain;
use std::io::Cursor;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use csv::ByteRecord;
use csv::StringRecord;

use super::Error;
use super::bytes;
use super::bytes::Bytes;
use engine::domain::check_text;
use engine::domain::limits;

/// A file of named columns.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    source: Source,
    columns: Vec<String>,
    record: StringRecord,
}

/// The first line, which was looked at, and the rest: so that pipes can be read.
type Input = Chain<Cursor<Vec<u8>>, BufReader<Bytes>>;

#[derive(Debug)]
enum Source {
    Delimited(Box<csv::Reader<Input>>),
    /// No header, no quotes, a separator of any length.
    Plain {
        lines: Input,
        separator: &'static str,
        line: u64,
    },
}

impl Table {
    /// Opens a file; `unnamed` are the columns of formats without header.
    pub fn open(path: &Path, unnamed: &[&str]) -> Result<Self, Error> {
        let opened = bytes::open(path).and_then(|mut rest| {
            let mut first = Vec::new();
            rest.read_until(b'\n', &mut first)?;
            Ok((text(first.clone()), Cursor::new(first).chain(rest)))
        });
        let (first, input) =
            opened.map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
        let separator = match bytes::unpacked_name(path).as_str() {
            "u.data" => Some("\t"),
            "u.item" | "u.user" => Some("|"),
            dat if dat.ends_with(".dat") && (first.contains("::") || first.is_empty()) => {
                Some("::")
            }
            _ => None,
        };
        let path = path.to_path_buf();
        if let Some(separator) = separator {
            let columns = unnamed.iter().map(|name| (*name).to_owned()).collect();
            let source = Source::Plain { lines: input, separator, line: 0 };
            return Ok(Self { path, source, columns, record: StringRecord::new() });
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter(&first))
            .trim(csv::Trim::All)
            .buffer_capacity(1 << 16)
            .from_reader(input);
        let malformed = |source| Error::Malformed { path: path.clone(), source };
        // Excel puts a byte-order mark before the first name.
        let clean = |name: &[u8]| {
            text(name.to_vec()).trim_start_matches('\u{feff}').trim_matches([' ', '"']).to_owned()
        };
        let columns = reader.byte_headers().map_err(malformed)?.iter().map(clean).collect();
        let source = Source::Delimited(Box::new(reader));
        Ok(Self { path, source, columns, record: StringRecord::new() })
    }

    /// Names as they stand in the file.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Index of the first column with the first of these names that occurs.
    pub fn column(&self, names: &[&str]) -> Option<usize> {
        let position =
            |name: &&str| self.columns.iter().position(|column| normalised(column) == *name);
        names.iter().find_map(position)
    }

    /// As [`Self::column`]; `expected` is what an error calls the column.
    pub fn required(&self, names: &[&str], expected: &'static str) -> Result<usize, Error> {
        self.column(names).ok_or_else(|| Error::Column {
            path: self.path.clone(),
            expected,
            found: self.columns.join(", "),
        })
    }

    /// Reads the next row, if there is one.
    pub fn advance(&mut self) -> Result<bool, Error> {
        let path = &self.path;
        match &mut self.source {
            Source::Delimited(reader) => {
                let mut bytes = ByteRecord::new();
                let is_row = reader
                    .read_byte_record(&mut bytes)
                    .map_err(|source| Error::Malformed { path: path.clone(), source })?;
                self.record = StringRecord::from_byte_record(bytes).unwrap_or_else(|error| {
                    let bytes = error.into_byte_record();
                    let mut record: StringRecord =
                        bytes.iter().map(|field| text(field.to_vec())).collect();
                    record.set_position(bytes.position().cloned());
                    record
                });
                Ok(is_row)
            }
            Source::Plain { lines, separator, line } => {
                let mut bytes = Vec::new();
                *line += 1;
                lines.read_until(b'\n', &mut bytes).map_err(|source| Error::Read {
                    path: path.clone(),
                    line: *line,
                    source,
                })?;
                let text = text(bytes);
                self.record = text.trim_end().split(*separator).map(str::trim).collect();
                Ok(!text.is_empty())
            }
        }
    }

    /// A field of the current row; empty when the row is too short.
    pub fn field(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or("")
    }

    pub fn id(&self, column: usize) -> Result<String, Error> {
        let text = self.field(column);
        self.checked(column, check_text(text, limits::ID_BYTES))?;
        Ok(text.to_owned())
    }

    pub fn checked<T>(&self, column: usize, value: Result<T, String>) -> Result<T, Error> {
        value.map_err(|reason| self.fault(&self.columns[column], reason))
    }

    /// Line of the current row, from 1.
    pub fn line(&self) -> u64 {
        match &self.source {
            Source::Delimited(_) => self.record.position().map_or(0, csv::Position::line),
            Source::Plain { line, .. } => *line,
        }
    }

    pub fn fault(&self, column: &str, reason: impl Display) -> Error {
        let (line, path) = (self.line(), self.path.clone());
        Error::Field { path, line, column: column.to_owned(), reason: reason.to_string() }
    }
}

/// A column's name without case, separators and a type behind a colon.
pub fn normalised(name: &str) -> String {
    let name = name.split_once(':').map_or(name, |(name, _kind)| name);
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The separator that a header has most of; a comma where it has none.
fn delimiter(header: &str) -> u8 {
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    // Of equals the last wins.
    [b'|', b';', b'\t', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// UTF-8, or else Latin-1.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|latin_1| latin_1.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}
