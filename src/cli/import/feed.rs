//! Reads a file on a thread of its own, ahead of the sender, in batches.
//!
//! - Bounded: a few batches wait at most; a slow server slows the reading.
//! - A row that cannot be read is counted and passed over; a file that cannot be, and more than 10,000
//!   such rows, end the reading.

use std::io;
use std::io::BufRead;
use std::path::Path;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::cli::dataset;
use crate::cli::dataset::open_unpacked;
use crate::cli::import::tally::Tally;
use crate::cli::retry::Trouble;

/// Batches that may wait for the sender.
const AHEAD: usize = 4;
/// Unreadable rows after which the file is taken for something else.
const UNREADABLE_MAX: u64 = 10_000;

/// Some rows of a file.
#[derive(Debug)]
pub struct Batch<T> {
    pub rows: Vec<T>,
    /// Rows of the file up to the end of this batch, readable or not.
    pub rows_end: u64,
    /// The unreadable rows of this batch.
    pub unreadable: Tally,
}

/// What comes from the reading thread: batches, then `None` for the end of the file. A channel that
/// closes without it means that the thread died.
type Message<T> = Result<Option<Batch<T>>, Failure>;

/// The batches of a file.
#[derive(Debug)]
pub struct Feed<T>(mpsc::Receiver<Message<T>>);

impl<T> Feed<T> {
    /// The next batch; `None` at the end of the file, after which it must not be called again.
    ///
    /// # Errors
    /// When the file cannot be read on, or `stop` is cancelled.
    pub async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Batch<T>>, Trouble> {
        tokio::select! {
            () = stop.cancelled() => Err(Trouble::Interrupted),
            message = self.0.recv() => match message {
                Some(message) => Ok(message?),
                None => Err(Trouble::Local("the reading of the file broke off".into())),
            },
        }
    }
}

/// Starts reading. Rows before `skip` are read and left out. `open` runs on the reading thread.
pub fn read<T, I, O>(open: O, skip: u64, size: usize) -> Feed<T>
where
    T: Send + 'static,
    I: Iterator<Item = Result<T, dataset::Error>>,
    O: FnOnce() -> Result<I, dataset::Error> + Send + 'static,
{
    let (sender, feed) = mpsc::channel(AHEAD);
    // Not a thread of the runtime: that would wait for it at the end of the program.
    std::thread::spawn(move || {
        let end = read_all(open, skip, size, &sender).map(|()| None);
        // Nobody listens when the import ended early.
        let _ = sender.blocking_send(end);
    });
    Feed(feed)
}

fn read_all<T, I, O>(
    open: O,
    skip: u64,
    size: usize,
    sender: &mpsc::Sender<Message<T>>,
) -> Result<(), Failure>
where
    I: Iterator<Item = Result<T, dataset::Error>>,
    O: FnOnce() -> Result<I, dataset::Error>,
{
    let empty = |rows_end| Batch { rows: Vec::new(), rows_end, unreadable: Tally::default() };
    let mut batch = empty(skip);
    let mut unreadable = 0;
    for (row, number) in open()?.zip(1..) {
        if number <= skip {
            continue;
        }
        match row {
            Ok(row) => batch.rows.push(row),
            Err(error) if error.is_about_one_row() && unreadable >= UNREADABLE_MAX => {
                let told = told(&error);
                return Err(
                    format!("over {UNREADABLE_MAX} rows are unreadable, last {told}").into()
                );
            }
            Err(error) if error.is_about_one_row() => {
                unreadable += 1;
                batch.unreadable.add(Tally {
                    unreadable: 1,
                    reasons: vec![told(&error)],
                    ..Tally::default()
                });
            }
            Err(error) => return Err(error.into()),
        }
        batch.rows_end = number;
        if batch.rows.len() == size {
            let full = std::mem::replace(&mut batch, empty(number));
            if sender.blocking_send(Ok(Some(full))).is_err() {
                return Ok(());
            }
        }
    }
    if !batch.rows.is_empty() || batch.unreadable.rows() > 0 {
        // As above.
        let _ = sender.blocking_send(Ok(Some(batch)));
    }
    Ok(())
}

/// An error with its cause, in one line.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The lines of a file: for the progress bar, so a quoted line break more does not matter.
pub fn count_lines(path: &Path) -> io::Result<u64> {
    let mut reader = open_unpacked(path)?;
    let mut lines = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let read = bytes.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(line: u64) -> dataset::Error {
        dataset::Error::Field {
            path: "a.csv".into(),
            line,
            column: "rating".to_owned(),
            reason: "must be a number".to_owned(),
        }
    }

    type Rows = Vec<Result<u64, dataset::Error>>;

    async fn all(
        rows: Rows,
        skip: u64,
        size: usize,
    ) -> (Vec<(Vec<u64>, u64, u64)>, Option<String>) {
        let mut feed = read(move || Ok(rows.into_iter()), skip, size);
        let mut batches = Vec::new();
        let stop = CancellationToken::new();
        loop {
            match feed.next(&stop).await {
                Ok(Some(batch)) => {
                    batches.push((batch.rows, batch.rows_end, batch.unreadable.unreadable));
                }
                Ok(None) => return (batches, None),
                Err(trouble) => return (batches, Some(trouble.to_string())),
            }
        }
    }

    #[tokio::test]
    async fn unreadable_rows_count_as_rows_and_do_not_stop_their_neighbours() {
        let rows = vec![Ok(1), Err(bad(2)), Ok(3), Ok(4), Err(bad(5))];
        let (batches, failure) = all(rows, 0, 2).await;
        assert_eq!(batches, [(vec![1, 3], 3, 1), (vec![4], 5, 1)]);
        assert_eq!(failure, None);
    }

    #[tokio::test]
    async fn reading_goes_on_after_the_rows_that_are_done() {
        let rows = || (1..=5).map(Ok).collect::<Rows>();
        let (batches, _) = all(rows(), 3, 10).await;
        assert_eq!(batches, [(vec![4, 5], 5, 0)]);
        assert_eq!(all(rows(), 5, 10).await.0, []);
        assert_eq!(all(rows(), 9, 10).await.0, []);
    }

    #[tokio::test]
    async fn a_file_of_unreadable_rows_is_given_up() {
        let rows = (0..=UNREADABLE_MAX).map(|line| Err(bad(line))).collect();
        let (batches, failure) = all(rows, 0, 10).await;
        assert_eq!(batches, []);
        assert!(failure.unwrap().contains("must be a number"));
    }

    #[tokio::test]
    async fn a_reader_that_dies_is_not_taken_for_the_end_of_the_file() {
        let rows = [Ok(1), Ok(2)].into_iter().inspect(|row| assert!(matches!(row, Ok(1))));
        let mut feed = read(move || Ok(rows), 0, 1);
        let stop = CancellationToken::new();
        assert!(feed.next(&stop).await.unwrap().is_some());
        assert!(feed.next(&stop).await.is_err());
    }
}
