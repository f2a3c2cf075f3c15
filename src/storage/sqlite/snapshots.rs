//! Snapshots, written part by part so that appends get their turn in between; the
//! number of parts, written last, makes a snapshot visible.

use rusqlite::Connection;
use rusqlite::Row;
use rusqlite::ToSql;
use rusqlite::params;

use super::connection::is_missing_parent;
use super::purge;
use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::chain::Chain;
use crate::storage::chain::Position;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use crate::storage::snapshots::Snapshot;
use crate::storage::snapshots::SnapshotHeader;
use crate::storage::snapshots::SnapshotStore;
use crate::storage::snapshots::log_passed_over;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// Keeps the writer for a few milliseconds only.
const PART_BYTES: usize = 4 << 20;

/// Snapshots of a revision that nobody has stored for so long before the newest of
/// all are of no use: nobody runs that revision any more.
const REVISION_LIFETIME_MS: i64 = 30 * Timestamp::DAY_MS;

const HIDE_OLD: &str = "WITH ranked AS (
        SELECT id,
            row_number() OVER (PARTITION BY engine_revision ORDER BY watermark DESC, id DESC)
                AS number,
            max(taken_at_ms) OVER (PARTITION BY engine_revision) AS newest_of_revision,
            max(taken_at_ms) OVER () AS newest
        FROM snapshots WHERE namespace_id = ?1 AND parts IS NOT NULL
    ), old AS (
        SELECT id FROM ranked WHERE number > ?2 OR newest_of_revision < newest - ?3
    )
    UPDATE snapshots SET parts = NULL
    WHERE namespace_id = ?1
      AND (id IN (SELECT id FROM old)
           OR parts IS NULL AND id < (SELECT max(id) FROM old))
    RETURNING id";

const HIDE_AFTER: &str = "UPDATE snapshots SET parts = NULL
    WHERE namespace_id = ?1 AND watermark > ?2 AND parts IS NOT NULL
    RETURNING id";

impl SnapshotStore for SqliteStore {
    fn put(
        &self,
        partition: &Partition,
        header: &SnapshotHeader,
        sections: &mut dyn Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let snapshot_id = self.begin(partition, header)?;
        let result = self.finish(partition, (snapshot_id, header.position.sequence), sections);
        if result.is_err() {
            // What stays is invisible, and removed by the next pruning or start.
            let _left_behind = purge::snapshots(self, &[snapshot_id]);
        }
        result
    }

    fn newest_up_to(
        &self,
        partition: &Partition,
        engine_revision: u32,
        watermark: Sequence,
    ) -> Result<Option<Snapshot>, Error> {
        self.reading(|connection| {
            let namespace_id = namespace_id(connection, partition)?;
            let mut statement = connection.prepare_cached(
                "SELECT id, watermark, chain, engine_revision, taken_at_ms, parts, log_revision
                 FROM snapshots
                 WHERE namespace_id = ?1 AND engine_revision = ?2 AND watermark <= ?3
                     AND parts IS NOT NULL
                 ORDER BY watermark DESC, id DESC",
            )?;
            let parameters = params![namespace_id, engine_revision, integer(watermark)];
            let mut rows = statement.query(parameters)?;
            let mut passed_over = 0;
            while let Some(row) = rows.next()? {
                match load(connection, row, passed_over) {
                    Ok(snapshot) => return Ok(Some(snapshot)),
                    Err(error @ Error::Corrupt { .. }) => {
                        log_passed_over(partition, natural(row.get(1)?, "watermark")?, &error);
                        passed_over += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        })
    }

    fn prune(&self, partition: &Partition, keep: usize) -> Result<(), Error> {
        let keep = integer(keep as u64);
        let snapshot_ids = self.hide(partition, HIDE_OLD, &[&keep, &REVISION_LIFETIME_MS])?;
        purge::snapshots(self, &snapshot_ids)
    }

    fn discard_after(&self, partition: &Partition, sequence: Sequence) -> Result<(), Error> {
        let snapshot_ids = self.hide(partition, HIDE_AFTER, &[&integer(sequence)])?;
        purge::snapshots(self, &snapshot_ids)
    }
}

impl SqliteStore {
    fn begin(&self, partition: &Partition, header: &SnapshotHeader) -> Result<i64, Error> {
        let writer = self.writer();
        let namespace_id = namespace_id(&writer.connection, partition)?;
        writer.connection.execute(
            "INSERT INTO snapshots
                 (namespace_id, watermark, chain, engine_revision, taken_at_ms, log_revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                namespace_id,
                integer(header.position.sequence),
                header.position.chain.to_column(),
                header.engine_revision,
                header.taken_at.as_millis(),
                integer(header.position.revision),
            ],
        )?;
        Ok(writer.connection.last_insert_rowid())
    }

    fn finish(
        &self,
        partition: &Partition,
        (snapshot_id, watermark): (i64, Sequence),
        sections: &mut dyn Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let deleted = || Error::NoNamespace { namespace: partition.namespace.clone() };
        let mut parts = 0;
        for (section, (name, bytes)) in (0..).zip(sections) {
            // An empty section is one empty part.
            let first = &bytes[..bytes.len().min(PART_BYTES)];
            for bytes in std::iter::once(first).chain(bytes[first.len()..].chunks(PART_BYTES)) {
                let part = Part { position: parts, section, name: &name, bytes };
                let checksum = part.checksum();
                part.write(&self.writer().connection, snapshot_id, checksum).map_err(|error| {
                    if is_missing_parent(&error) { deleted() } else { error.into() }
                })?;
                parts += 1;
            }
        }
        let writer = self.writer();
        // Its rows may still be there when it is deleted.
        let namespace_id = namespace_id(&writer.connection, partition)?;
        let completed = writer.connection.execute(
            "UPDATE snapshots SET parts = ?2 WHERE id = ?1
             AND log_revision =
                 (SELECT log_revision FROM namespaces WHERE id = ?3 AND NOT is_rewritten)",
            params![snapshot_id, parts, namespace_id],
        )?;
        if completed > 0 {
            return Ok(());
        }
        // Records were replaced since it was taken.
        Err(Error::ChainBroken { partition: partition.clone(), sequence: watermark })
    }

    /// Hides snapshots of a partition by a statement whose first parameter is its id, and
    /// returns them. One that is being written is newer than the last hidden and stays.
    fn hide(
        &self,
        partition: &Partition,
        statement: &str,
        parameters: &[&dyn ToSql],
    ) -> Result<Vec<i64>, Error> {
        let writer = self.writer();
        let namespace_id = namespace_id(&writer.connection, partition)?;
        let mut all: Vec<&dyn ToSql> = vec![&namespace_id];
        all.extend(parameters);
        let mut statement = writer.connection.prepare_cached(statement)?;
        let ids = statement.query_map(&*all, |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

fn load(connection: &Connection, row: &Row<'_>, passed_over: usize) -> Result<Snapshot, Error> {
    let corrupt =
        |reason: &str| Error::Corrupt { what: "a snapshot".to_owned(), reason: reason.to_owned() };
    let header = SnapshotHeader {
        position: Position {
            sequence: natural(row.get(1)?, "watermark")?,
            chain: Chain::from_column(row.get(2)?),
            revision: natural(row.get(6)?, "log_revision")?,
        },
        engine_revision: natural(row.get(3)?, "engine_revision")?,
        taken_at: Timestamp::from_millis(row.get(4)?),
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
    if parts == row.get::<_, i64>(5)? {
        Ok(Snapshot { header, sections, passed_over })
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
