//! `import`: streams files of items, users and interactions into a running server.
//!
//! - At least once on the wire, once in the log: event ids come from the rows (`convert`), so a row that
//!   is sent again is a duplicate.
//! - Resumable: what is acknowledged is kept in a state file (`state`); a cut is bridged (`retry`,
//!   `stream`), a stop leaves the state for the next run.
//! - Memory is bounded by batches and windows, and 9 to 18 bytes per row for the ids; with `--sort`, the
//!   interactions are held whole.

mod catalogue;
mod convert;
mod feed;
mod ledger;
mod state;
mod stream;
mod tally;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::cli::Failure;
use crate::cli::dataset;
use crate::cli::dataset::Columns;
use crate::cli::dataset::Files;
use crate::cli::dataset::InteractionRow;
use crate::cli::dataset::Rows;
use crate::cli::import::convert::EventIds;
use crate::cli::import::ledger::Ledger;
use crate::cli::import::state::Fingerprint;
use crate::cli::import::state::State;
use crate::cli::import::stream::Sending;
use crate::cli::retry::RetryLimit;
use crate::cli::retry::Trouble;
use crate::cli::retry::interruption;
use engine::domain::Timestamp;

pub(in crate::cli) use crate::cli::import::tally::Summary;

/// Wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Stream files of items, users and interactions into a running server.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    addr: String,
    /// The namespace to import into.
    #[arg(long, default_value = "default", value_name = "NAME")]
    namespace: String,
    /// Interactions: user_id, item_id, timestamp and, if explicit, rating. Rows without a rating are
    /// clicks. Files may be packed by gzip.
    #[arg(long, value_name = "FILE")]
    interactions: Option<PathBuf>,
    /// Items: item_id, title, topics (separated by |), source.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Users: user_id; every other column is an attribute.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// A directory with a MovieLens data set, in any of its layouts.
    #[arg(long, value_name = "DIR", conflicts_with = "interactions")]
    movielens: Option<PathBuf>,
    /// Send interactions in the order of time. Holds them all in memory.
    #[arg(long)]
    sort: bool,
    /// Rows of one message.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Messages on their way without acknowledgement at most.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    window: u16,
    /// Where to keep the progress. Default: next to the input, as FILE.import-state.json.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How long to try again when the server is not available.
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    retry_seconds: u64,
}

/// How to import.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Options {
    /// Rows of one message.
    pub batch: usize,
    /// Messages without acknowledgement at most.
    pub window: usize,
    /// How long to bridge a server that is not available.
    pub retry: Duration,
    /// Whether interactions go in the order of time, held in memory.
    pub sort: bool,
    /// With `sort`: moves all times by whole weeks, so that the last is within a week of this.
    pub ends_at: Option<Timestamp>,
    /// Whether to draw progress bars on standard error (if it is a terminal).
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: 500,
            window: 16,
            retry: Duration::from_secs(60),
            sort: false,
            ends_at: None,
            progress: true,
        }
    }
}

/// The way to the server.
#[derive(Clone, Debug)]
struct Link {
    /// Reconnects by itself at the next call.
    channel: Channel,
    namespace: String,
    window: usize,
    retry_limit: RetryLimit,
}

/// What there is to import; any part may be missing.
#[derive(Clone, Debug, Default)]
struct Inputs {
    items: Option<PathBuf>,
    users: Option<PathBuf>,
    interactions: Option<PathBuf>,
}

impl From<Files> for Inputs {
    fn from(files: Files) -> Self {
        Self { items: files.items, users: files.users, interactions: Some(files.interactions) }
    }
}

/// Imports what the arguments name.
///
/// # Errors
/// Wrong arguments or files, a server that is gone for too long or refuses, and Ctrl-C.
pub async fn run(args: Args) -> Result<(), Failure> {
    let inputs = inputs(&args)?;
    let path = args.state.clone().or_else(|| state_path(&inputs));
    let mut state = State::open(path, &args.addr, &args.namespace)?;
    let options = Options {
        batch: args.batch.into(),
        window: args.window.into(),
        retry: Duration::from_secs(args.retry_seconds),
        sort: args.sort,
        ends_at: None,
        progress: true,
    };
    let link = Link {
        channel: Endpoint::from_shared(args.addr.clone())?
            .connect_timeout(CONNECT_TIMEOUT)
            .connect_lazy(),
        namespace: args.namespace.clone(),
        window: options.window,
        retry_limit: RetryLimit::new(options.retry, interruption()),
    };
    let result = import(&link, &inputs, &options, &mut state).await;
    match result {
        Ok(summary) => {
            println!("{summary}");
            state.remove()
        }
        Err(trouble) => {
            if let Some(path) = state.path().filter(|path| path.exists()) {
                eprintln!("progress is in {}: the same command continues", path.display());
            }
            Err(trouble.into())
        }
    }
}

/// Imports a MovieLens directory: items, users if there are any, then interactions in the order of time
/// (whatever `options.sort` says). Nothing is kept on disk: a second call sends everything again, which
/// the server counts as duplicates.
///
/// # Errors
/// As [`run`]; a cancelled `stop` is an error too.
pub(in crate::cli) async fn stream_movielens(
    channel: Channel,
    namespace: &str,
    directory: &Path,
    options: &Options,
    stop: CancellationToken,
) -> Result<Summary, Failure> {
    let inputs = Inputs::from(Files::find(directory, None, None)?);
    let link = Link {
        channel,
        namespace: namespace.to_owned(),
        window: options.window,
        retry_limit: RetryLimit::new(options.retry, stop),
    };
    let options = Options { sort: true, ..options.clone() };
    let mut state = State::open(None, "", namespace)?;
    Ok(import(&link, &inputs, &options, &mut state).await?)
}

/// What the arguments name, as files.
fn inputs(args: &Args) -> Result<Inputs, Failure> {
    let (items, users) = (args.items.as_deref(), args.users.as_deref());
    if let Some(named) = args.movielens.as_deref().or(args.interactions.as_deref()) {
        return Ok(Files::find(named, items, users)?.into());
    }
    if items.is_none() && users.is_none() {
        return Err(
            "nothing to import: give --interactions, --items, --users or --movielens".into()
        );
    }
    Ok(Inputs { items: args.items.clone(), users: args.users.clone(), interactions: None })
}

/// Next to the greatest of the files.
fn state_path(inputs: &Inputs) -> Option<PathBuf> {
    let input = inputs.interactions.as_ref().or(inputs.items.as_ref()).or(inputs.users.as_ref())?;
    let mut name = input.as_os_str().to_owned();
    name.push(".import-state.json");
    Some(PathBuf::from(name))
}

/// Items, then users, then interactions: so that what is learnt from finds what it is about.
async fn import(
    link: &Link,
    inputs: &Inputs,
    options: &Options,
    state: &mut State,
) -> Result<Summary, Trouble> {
    let mut summary = Summary::default();
    if let Some(file) = &inputs.items {
        let mut ledger = ledger(state, "items", file, false, options.progress).await?;
        if !ledger.is_complete() {
            let path = file.clone();
            let open =
                move || Ok(noted(Rows::items(&path)?, &path).map(|row| row.map(convert::item)));
            let feed = feed::read(open, ledger.rows(), options.batch);
            let sent = catalogue::send_items(link, feed, &mut ledger).await;
            kept(sent, &mut ledger)?;
        }
        summary.items = ledger.complete()?;
    }
    if let Some(file) = &inputs.users {
        let mut ledger = ledger(state, "users", file, false, options.progress).await?;
        if !ledger.is_complete() {
            let path = file.clone();
            let namespace = link.namespace.clone();
            let open = move || {
                Ok(Rows::users(&path)?
                    .map(move |row| row.map(|row| convert::user(row, &namespace))))
            };
            let feed = feed::read(open, ledger.rows(), options.batch);
            let sent = catalogue::send_users(link, feed, &mut ledger).await;
            kept(sent, &mut ledger)?;
        }
        summary.users = ledger.complete()?;
    }
    if let Some(file) = &inputs.interactions {
        let mut ledger =
            ledger(state, "interactions", file, options.sort, options.progress).await?;
        if !ledger.is_complete() {
            let (path, sort, ends_at) = (file.clone(), options.sort, options.ends_at);
            let open = move || identified(&path, sort, ends_at);
            let feed = feed::read(open, ledger.rows(), options.batch);
            let sent = Sending::new(link, feed, &mut ledger).run().await;
            kept(sent, &mut ledger)?;
        }
        summary.interactions = ledger.complete()?;
    }
    Ok(summary)
}

/// The same rows. Tells the columns of the file that are not read.
fn noted<C: Columns>(rows: Rows<C>, file: &Path) -> Rows<C> {
    let unused = rows.unused();
    if !unused.is_empty() {
        eprintln!("{}: columns that are not used: {}", file.display(), unused.join(", "));
    }
    rows
}

/// Whatever ended the sending, its progress is kept.
fn kept(sent: Result<(), Trouble>, ledger: &mut Ledger<'_>) -> Result<(), Trouble> {
    let saved = ledger.save();
    sent?;
    Ok(saved?)
}

async fn ledger<'a>(
    state: &'a mut State,
    kind: &'static str,
    file: &Path,
    sorted: bool,
    progress: bool,
) -> Result<Ledger<'a>, Trouble> {
    let fingerprint = Fingerprint::of(file, sorted)?;
    let path = file.to_owned();
    let lines = tokio::task::spawn_blocking(move || feed::count_lines(&path))
        .await
        .map_err(Failure::from)?
        .map_err(|error| format!("failed to read {}: {error}", file.display()))
        .map_err(Failure::from)?;
    Ok(Ledger::open(state, kind, &fingerprint, lines, progress))
}

const WEEK_MS: i64 = 7 * Timestamp::DAY_MS;

type InteractionResult = Result<crate::proto::Interaction, dataset::Error>;

/// The interactions of a file with their event ids, in its order or in that of time.
fn identified(
    path: &Path,
    sort: bool,
    ends_at: Option<Timestamp>,
) -> Result<impl Iterator<Item = InteractionResult> + use<>, dataset::Error> {
    let rows = noted(Rows::interactions(path)?, path);
    let mut shift_ms = 0;
    let rows: Box<dyn Iterator<Item = Result<InteractionRow, dataset::Error>>> = if sort {
        let sorted = in_order_of_time(rows);
        let last = sorted.as_slice().iter().rev().find_map(|row| row.as_ref().ok());
        if let (Some(last), Some(end)) = (last, ends_at) {
            // Whole weeks keep the hour of the day and the day of the week.
            let late_ms = end.as_millis() - last.at.as_millis();
            shift_ms = late_ms - late_ms.rem_euclid(WEEK_MS);
        }
        Box::new(sorted)
    } else {
        Box::new(rows)
    };
    let mut ids = EventIds::default();
    Ok(rows.map(move |row| {
        row.map(|row| {
            // The id is of the row as it stands in the file.
            let event_id = ids.next(&row);
            let at = row.at.plus_millis(shift_ms);
            convert::interaction(InteractionRow { at, ..row }, event_id)
        })
    }))
}

/// All rows by time, those of one time in the order of the file; what is unreadable comes first.
fn in_order_of_time(
    rows: impl Iterator<Item = Result<InteractionRow, dataset::Error>>,
) -> std::vec::IntoIter<Result<InteractionRow, dataset::Error>> {
    let mut sorted = Vec::new();
    for row in rows {
        // After these the reader may fail forever.
        let is_last = row.as_ref().is_err_and(|error| !error.is_about_one_row());
        sorted.push(row);
        if is_last {
            break;
        }
    }
    sorted.sort_by_key(|row| row.as_ref().ok().map(|row| row.at));
    sorted.into_iter()
}
