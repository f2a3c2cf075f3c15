//! Snapshots, written part by part so that appends get their turn in between; the
//! number of parts, written last, makes a snapshot visible.

use rusqlite::Connection;
use rusqlite::Row;
use rusqlite::params;

use super::connection::is_missing_parent;
use super::purge;
use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::snapshots::Snapshot;
use crate::storage::snapshots::SnapshotHeader;
use crate::storage::snapshots::SnapshotStore;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// Keeps the writer for a few milliseconds only.
const PART_BYTES: usize = 4 << 20;

/// Snapshots of a revision that nobody has stored for so long before the newest of
/// all are of no use: nobody runs that revision any more.
const REVISION_LIFETIME_MS: i64 = 30 * Timestamp::DAY_MS;

const HIDE_OLD: &str = "WITH ranked AS (
        SELECT id,
            row_number() OVER (PARTITION BY engine_revision ORDER BY id DESC) AS place,
            max(taken_at_ms) OVER (PARTITION BY engine_revision) AS newest_of_revision,
            max(taken_at_ms) OVER () AS newest
        FROM snapshots WHERE namespace_id = ?1 AND parts IS NOT NULL
    ), old AS (
        SELECT id FROM ranked WHERE place > ?2 OR newest_of_revision < newest - ?3
    )
    UPDATE snapshots SET parts = NULL
    WHERE namespace_id = ?1
      AND (id IN (SELECT id FROM old)
           OR parts IS NULL AND id < (SELECT max(id) FROM old))
    RETURNING id";

impl SnapshotStore for SqliteStore {
    fn put(&self, namespace: &NamespaceName, snapshot: &Snapshot) -> Result<(), Error> {
        let snapshot_id = self.begin(namespace, &snapshot.header)?;
        let result = self.finish(namespace, snapshot_id, &snapshot.sections);
        if result.is_err() {
            // What stays is invisible, and removed by the next pruning or start.
            let _left_behind = purge::snapshots(self, &[snapshot_id]);
        }
        result
    }

    fn newest_up_to(
        &self,
        namespace: &NamespaceName,
        engine_revision: u32,
        watermark: Sequence,
    ) -> Result<Option<Snapshot>, Error> {
        self.reading(|connection| {
            let namespace_id = match namespace_id(connection, namespace) {
                Err(Error::NoNamespace { .. }) => return Ok(None),
                namespace_id => namespace_id?,
            };
            let mut statement = connection.prepare_cached(
                "SELECT id, watermark, engine_revision, taken_at_ms, parts FROM snapshots
                 WHERE namespace_id = ?1 AND engine_revision = ?2 AND watermark <= ?3
                     AND parts IS NOT NULL
                 ORDER BY id DESC",
            )?;
            let parameters = params![namespace_id, engine_revision, integer(watermark)];
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                match load(connection, row) {
                    Ok(snapshot) => return Ok(Some(snapshot)),
                    Err(Error::Corrupt { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        })
    }

    fn prune(&self, namespace: &NamespaceName, keep: usize) -> Result<(), Error> {
        let snapshot_ids = self.hide_all_but_newest(namespace, keep)?;
        purge::snapshots(self, &snapshot_ids)
    }
}

impl SqliteStore {
    fn begin(&self, namespace: &NamespaceName, header: &SnapshotHeader) -> Result<i64, Error> {
        let writer = self.writer();
        let namespace_id = namespace_id(&writer.connection, namespace)?;
        writer.connection.execute(
            "INSERT INTO snapshots (namespace_id, watermark, engine_revision, taken_at_ms)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                namespace_id,
                integer(header.watermark),
                header.engine_revision,
                header.taken_at.as_millis(),
            ],
        )?;
        Ok(writer.connection.last_insert_rowid())
    }

    fn finish(
        &self,
        namespace: &NamespaceName,
        snapshot_id: i64,
        sections: &[(String, Vec<u8>)],
    ) -> Result<(), Error> {
        let deleted = || Error::NoNamespace { namespace: namespace.clone() };
        let mut parts = 0;
        for (section, (name, bytes)) in (0..).zip(sections) {
            // An empty section is one empty part.
            let first = &bytes[..bytes.len().min(PART_BYTES)];
            for bytes in std::iter::once(first).chain(bytes[first.len()..].chunks(PART_BYTES)) {
                let part = Part { position: parts, section, name, bytes };
                let checksum = part.checksum();
                part.write(&self.writer().connection, snapshot_id, checksum).map_err(|error| {
                    if is_missing_parent(&error) { deleted() } else { error.into() }
                })?;
                parts += 1;
            }
        }
        let completed = self.writer().connection.execute(
            "UPDATE snapshots SET parts = ?2 WHERE id = ?1",
            params![snapshot_id, parts],
        )?;
        if completed == 0 { Err(deleted()) } else { Ok(()) }
    }

    /// Hides the older snapshots of each revision, and the revisions nobody stores any
    /// more; returns them and the unfinished ones before the last of them. One that is
    /// being written is newer and stays.
    fn hide_all_but_newest(
        &self,
        namespace: &NamespaceName,
        keep: usize,
    ) -> Result<Vec<i64>, Error> {
        let writer = self.writer();
        let namespace_id = match namespace_id(&writer.connection, namespace) {
            Err(Error::NoNamespace { .. }) => return Ok(Vec::new()),
            namespace_id => namespace_id?,
        };
        let mut statement = writer.connection.prepare_cached(HIDE_OLD)?;
        let parameters = params![namespace_id, integer(keep as u64), REVISION_LIFETIME_MS];
        let ids = statement.query_map(parameters, |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

fn load(connection: &Connection, row: &Row<'_>) -> Result<Snapshot, Error> {
    let corrupt =
        |reason: &str| Error::Corrupt { what: "a snapshot".to_owned(), reason: reason.to_owned() };
    let header = SnapshotHeader {
        watermark: natural(row.get(1)?, "watermark")?,
        engine_revision: natural(row.get(2)?, "engine_revision")?,
        taken_at: Timestamp::from_millis(row.get(3)?),
    };
    let mut sections: Vec<(String, Vec<u8>)> = Vec::new();
    let mut parts: i64 = 0;
    let mut statement = connection.prepare_cached(
        "SELECT position, section, name, bytes, crc32 FROM snapshot_parts
         WHERE snapshot_id = ?1 ORDER BY position",
    )?;
    let mut rows = statement.query([row.get::<_, i64>(0)?])?;
    while let Some(row) = rows.next()? {
        let part = Part {
            position: row.get(0)?,
            section: row.get(1)?,
            name: row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?,
            bytes: row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?,
        };
        if part.position != parts || row.get::<_, u32>(4)? != part.checksum() {
            return Err(corrupt("a part is missing or does not match its checksum"));
        }
        parts += 1;
        if part.section == sections.len() as i64 {
            sections.push((part.name.to_owned(), Vec::new()));
        }
        let (_, bytes) = sections.last_mut().ok_or_else(|| corrupt("a section is missing"))?;
        bytes.extend_from_slice(part.bytes);
    }
    if parts == row.get::<_, i64>(4)? {
        Ok(Snapshot { header, sections })
    } else {
        Err(corrupt("parts are missing"))
    }
}

/// A piece of a section.
struct Part<'a> {
    position: i64,
    section: i64,
    name: &'a str,
    bytes: &'a [u8],
}

impl Part<'_> {
    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.position.to_le_bytes());
        hasher.update(&self.section.to_le_bytes());
        hasher.update(self.name.as_bytes());
        hasher.update(self.bytes);
        hasher.finalize()
    }

    fn write(
        &self,
        connection: &Connection,
        snapshot_id: i64,
        checksum: u32,
    ) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO snapshot_parts
                 (snapshot_id, position, section, name, crc32, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                snapshot_id,
                self.position,
                self.section,
                self.name,
                checksum,
                self.bytes
            ])
            .map(drop)
    }
}
