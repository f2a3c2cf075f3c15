//! What commands print as text and write as JSON.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Failure;

/// Appends a table after an empty line: the first column to the left, the others to
/// the right.
pub fn align(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![0; columns];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    text.push('\n');
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line += &format!("{cell:<width$}");
            } else {
                line += &format!("  {cell:>width$}");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Whether a path given for output means standard output.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Prints text for the terminal: to standard output, or to standard error when standard
/// output is taken by figures.
///
/// # Errors
/// When the reader of the pipe has ended.
pub fn print(text: &str, is_stdout_taken: bool) -> io::Result<()> {
    if is_stdout_taken {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    }
}

/// # Errors
/// When the file cannot be written.
pub fn write_json(path: &Path, document: &impl Serialize) -> Result<(), Failure> {
    let mut json = serde_json::to_vec_pretty(document)?;
    json.push(b'\n');
    if is_stdout(path) {
        io::stdout().write_all(&json)?;
        return Ok(());
    }
    write_file(path, &json)
}

/// # Errors
/// With the name of the file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|cause| format!("failed to write {}: {cause}", path.display()).into())
}
