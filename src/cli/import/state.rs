//! How far an import got, in a small JSON file, so that it continues after a cut.
//!
//! - Written after acknowledgements, never before: a row counted here is durable at the server. It may be
//!   a second behind, so rows may be sent again; their event ids make that harmless.
//! - Replaced atomically (write, sync, rename): there is always the old state or the new.
//! - A file is recognised by size and time of change: a changed one starts over. A state of another
//!   namespace or server is refused, not overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::import::tally::Tally;

/// The only version there is.
const VERSION: u32 = 1;

/// What makes a file the one the progress was made with.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Fingerprint {
    bytes: u64,
    modified_ms: u64,
    /// Whether the rows are counted in the order of time instead of that of the file.
    sorted: bool,
}

impl Fingerprint {
    /// Looks at a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(path: &Path, sorted: bool) -> Result<Self, Failure> {
        let metadata = fs::metadata(path)
            .map_err(|error| format!("failed to open {}: {error}", path.display()))?;
        let modified = metadata.modified().ok();
        let since_epoch = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Self {
            bytes: metadata.len(),
            modified_ms: since_epoch
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            sorted,
        })
    }
}

/// How far one file got.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Position {
    file: Fingerprint,
    /// Rows from the start that are done: acknowledged, or unreadable.
    pub rows: u64,
    /// Whether these are all.
    pub complete: bool,
    /// What became of them.
    pub tally: Tally,
}

#[derive(Debug, Deserialize, Serialize)]
struct Content {
    version: u32,
    server: String,
    namespace: String,
    /// By kind: `interactions`, `items`, `users`.
    files: BTreeMap<String, Position>,
}

/// The state of an import and where it is kept, if anywhere.
#[derive(Debug)]
pub struct State {
    path: Option<PathBuf>,
    content: Content,
}

impl State {
    /// Reads the state, or starts a new one where there is none.
    ///
    /// # Errors
    /// When the state cannot be read or belongs to another namespace or server.
    pub fn open(path: Option<PathBuf>, server: &str, namespace: &str) -> Result<Self, Failure> {
        let fresh = Content {
            version: VERSION,
            server: server.to_owned(),
            namespace: namespace.to_owned(),
            files: BTreeMap::new(),
        };
        let content = match &path {
            Some(path) => read(path)?.unwrap_or(fresh),
            None => fresh,
        };
        if (content.server.as_str(), content.namespace.as_str()) != (server, namespace) {
            let path = path.unwrap_or_default();
            return Err(format!(
                "{} is of an import into namespace {} of {}; finish that one, remove the file, or \
                 give another --state",
                path.display(),
                content.namespace,
                content.server
            )
            .into());
        }
        Ok(Self { path, content })
    }

    /// Where it is kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How far a file got: at the start if it is not the one the progress was made with.
    pub fn position(&self, kind: &str, file: &Fingerprint) -> Position {
        match self.content.files.get(kind) {
            Some(position) if position.file == *file => position.clone(),
            _ => Position { file: file.clone(), rows: 0, complete: false, tally: Tally::default() },
        }
    }

    /// Keeps how far a file got.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn save(&mut self, kind: &str, position: Position) -> Result<(), Failure> {
        self.content.files.insert(kind.to_owned(), position);
        let Some(path) = &self.path else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&self.content)?;
        replace(path, text.as_bytes())
            .map_err(|error| format!("failed to write {}: {error}", path.display()).into())
    }

    /// Ends a complete import: the next one of the same files starts over.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(self) -> Result<(), Failure> {
        match self.path.map(|path| (fs::remove_file(&path), path)) {
            Some((Err(error), path)) if error.kind() != ErrorKind::NotFound => {
                Err(format!("failed to remove {}: {error}", path.display()).into())
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<Option<Content>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("failed to read {}: {error}", path.display()).into()),
    };
    let content: Content = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no state of an import: {error}", path.display()))?;
    if content.version != VERSION {
        return Err(format!(
            "{} has version {}, this program knows {VERSION}",
            path.display(),
            content.version
        )
        .into());
    }
    Ok(Some(content))
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const SERVER: &str = "http://127.0.0.1:50051";

    fn directory_with(content: &str) -> (TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ratings.csv");
        fs::write(&file, content).unwrap();
        let state = directory.path().join("state.json");
        (directory, file, state)
    }

    fn open(path: &Path) -> State {
        State::open(Some(path.to_owned()), SERVER, "default").unwrap()
    }

    fn advance(state: &mut State, file: &Path, rows: u64) {
        let mut position = state.position("interactions", &Fingerprint::of(file, false).unwrap());
        position.rows = rows;
        position.tally.accepted = rows;
        state.save("interactions", position).unwrap();
    }

    #[test]
    fn progress_is_found_again_for_the_same_file() {
        let (_directory, file, path) = directory_with("a\nb\n");
        let mut state = open(&path);
        let fingerprint = Fingerprint::of(&file, false).unwrap();
        assert_eq!(state.position("interactions", &fingerprint).rows, 0);
        advance(&mut state, &file, 7);
        let position = open(&path).position("interactions", &fingerprint);
        assert_eq!((position.rows, position.tally.accepted), (7, 7));
        // Another kind, or another order of the rows, is another thing.
        assert_eq!(open(&path).position("items", &fingerprint).rows, 0);
        let sorted = Fingerprint::of(&file, true).unwrap();
        assert_eq!(open(&path).position("interactions", &sorted).rows, 0);
    }

    #[test]
    fn a_changed_file_starts_over() {
        let (_directory, file, path) = directory_with("a\nb\n");
        advance(&mut open(&path), &file, 7);
        fs::write(&file, "a\nb\nc\n").unwrap();
        let fingerprint = Fingerprint::of(&file, false).unwrap();
        assert_eq!(open(&path).position("interactions", &fingerprint).rows, 0);
    }

    #[test]
    fn the_state_of_another_namespace_or_server_is_refused_and_kept() {
        let (_directory, file, path) = directory_with("a\n");
        advance(&mut open(&path), &file, 7);
        let before = fs::read(&path).unwrap();
        for (server, namespace) in [(SERVER, "other"), ("http://127.0.0.1:1", "default")] {
            let failure = State::open(Some(path.clone()), server, namespace).unwrap_err();
            assert!(failure.to_string().contains("namespace default"), "{failure}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_that_is_no_state_is_refused() {
        let (_directory, file, path) = directory_with("a\n");
        fs::copy(&file, &path).unwrap();
        let failure = State::open(Some(path), SERVER, "default").unwrap_err();
        assert!(failure.to_string().contains("no state of an import"), "{failure}");
    }

    #[test]
    fn a_complete_import_leaves_nothing() {
        let (directory, file, path) = directory_with("a\n");
        let mut state = open(&path);
        advance(&mut state, &file, 1);
        state.remove().unwrap();
        open(&path).remove().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
