//! Snapshots, written part by part; the number of parts, written last, makes a
//! snapshot visible.
//!
//! - No transaction is held open over parts: each is written and read on its own.
//! - Several processes may store snapshots of one namespace, also of two engine
//!   revisions. The newest is the one that holds most records.

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::column::Parameter;
use super::column::id_of;
use super::purge;
use super::store::PostgresStore;
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

/// Before compression.
const PART_BYTES: usize = 1 << 20;
const PARTS_PER_STEP: i64 = 8;
/// Snapshots of a revision that nobody has stored for so long before the newest of
/// all are of no use: nobody runs that revision any more.
const REVISION_LIFETIME_MS: i64 = 30 * Timestamp::DAY_MS;

const BEGIN: &str = "INSERT INTO snapshots
        (namespace_id, watermark, chain, engine_revision, taken_at_ms, log_revision)
    SELECT id, $3, $4, $5, $6, $7 FROM namespaces WHERE id = $1 AND name = $2 RETURNING id";
/// Nothing is written once the snapshot, or its namespace, is gone.
const PUT_PART: &str = "WITH touched AS (
        UPDATE snapshots SET touched_at = now()
        FROM namespaces
        WHERE snapshots.id = $1 AND parts IS NULL AND touched_at > '-infinity'
          AND namespaces.id = namespace_id AND namespaces.name IS NOT NULL
        RETURNING snapshots.id
    )
    INSERT INTO snapshot_parts (snapshot_id, position, section, crc32, name, bytes)
    SELECT id, $2, $3, $4, $5, $6 FROM touched";
const COMPLETE: &str = "UPDATE snapshots SET parts = $2
    FROM namespaces
    WHERE snapshots.id = $1 AND touched_at > '-infinity'
      AND namespaces.id = namespace_id AND namespaces.name IS NOT NULL
      AND namespaces.log_revision = snapshots.log_revision AND NOT namespaces.is_rewritten";
const HIDE: &str = "UPDATE snapshots SET parts = NULL, touched_at = '-infinity' WHERE id = $1";
const COMPLETED: &str =
    "SELECT id, watermark, chain, engine_revision, taken_at_ms, parts, log_revision
    FROM snapshots
    WHERE namespace_id = $1 AND engine_revision = $2 AND watermark <= $3 AND parts IS NOT NULL
    ORDER BY watermark DESC, id DESC";
const PARTS: &str = "SELECT position, section, crc32, name, bytes FROM snapshot_parts
    WHERE snapshot_id = $1 AND position >= $2 ORDER BY position LIMIT $3";
const IS_COMPLETE: &str =
    "SELECT EXISTS (SELECT FROM snapshots WHERE id = $1 AND parts IS NOT NULL)";
const HIDE_OLD: &str = "UPDATE snapshots SET parts = NULL, touched_at = '-infinity'
    FROM (
        SELECT id,
            row_number() OVER (PARTITION BY engine_revision ORDER BY watermark DESC, id DESC)
                AS number,
            max(taken_at_ms) OVER (PARTITION BY engine_revision) AS newest_of_revision,
            max(taken_at_ms) OVER () AS newest
        FROM snapshots
        WHERE parts IS NOT NULL AND namespace_id = $1
    ) AS ranked
    WHERE snapshots.id = ranked.id AND (number > $2 OR newest_of_revision < newest - $3)";

const HIDE_AFTER: &str = "UPDATE snapshots SET parts = NULL, touched_at = '-infinity'
    WHERE namespace_id = $1 AND watermark > $2 AND parts IS NOT NULL";

impl SnapshotStore for PostgresStore {
    fn put(
        &self,
        partition: &Partition,
        header: &SnapshotHeader,
        sections: &mut dyn Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let id = self.begin(partition, header)?;
        let result = self.finish(partition, (id, header.position.sequence), sections);
        if result.is_err() {
            // What cannot be removed now is invisible, and removed later.
            let _left_behind = self
                .sessions
                .run(async |client| Ok(client.execute(HIDE, &[&id]).await?))
                .and_then(|_| purge::snapshots(&self.sessions));
        }
        result
    }

    fn newest_up_to(
        &self,
        partition: &Partition,
        engine_revision: u32,
        watermark: Sequence,
    ) -> Result<Option<Snapshot>, Error> {
        let rows = self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            let parameters: [Parameter<'_>; 3] =
                [&id, &i64::from(engine_revision), &integer(watermark)];
            Ok(client.query(COMPLETED, &parameters).await?)
        })?;
        let mut passed_over = 0;
        for row in &rows {
            match self.load(row, passed_over) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(error @ Error::Corrupt { .. }) if self.is_complete(row)? => {
                    log_passed_over(partition, natural(row.try_get(1)?, "watermark")?, &error);
                    passed_over += 1;
                }
                // Another process has pruned it while it was read, so there are newer
                // ones by now.
                Err(Error::Corrupt { .. }) => {
                    return self.newest_up_to(partition, engine_revision, watermark);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn prune(&self, partition: &Partition, keep: usize) -> Result<(), Error> {
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            let keep = integer(keep as u64);
            let parameters: [Parameter<'_>; 3] = [&id, &keep, &REVISION_LIFETIME_MS];
            Ok(client.execute(HIDE_OLD, &parameters).await?)
        })?;
        purge::snapshots(&self.sessions)
    }

    fn discard_after(&self, partition: &Partition, sequence: Sequence) -> Result<(), Error> {
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            Ok(client.execute(HIDE_AFTER, &[&id, &integer(sequence)]).await?)
        })?;
        purge::snapshots(&self.sessions)
    }
}

impl PostgresStore {
    fn begin(&self, partition: &Partition, header: &SnapshotHeader) -> Result<i64, Error> {
        self.sessions.run(async |client| {
            let parameters: [Parameter<'_>; 7] = [
                &id_of(partition),
                &partition.namespace.as_str(),
                &integer(header.position.sequence),
                &header.position.chain.to_column(),
                &i64::from(header.engine_revision),
                &header.taken_at.as_millis(),
                &integer(header.position.revision),
            ];
            match client.query_opt(BEGIN, &parameters).await? {
                Some(row) => Ok(row.try_get(0)?),
                None => Err(Error::NoNamespace { namespace: partition.namespace.clone() }),
            }
        })
    }

    fn finish(
        &self,
        partition: &Partition,
        (id, watermark): (i64, Sequence),
        sections: &mut dyn Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let gone = || Error::NoNamespace { namespace: partition.namespace.clone() };
        let mut parts = 0;
        for (section, (name, bytes)) in (0..).zip(sections) {
            // An empty section is one empty part.
            let first = &bytes[..bytes.len().min(PART_BYTES)];
            for bytes in std::iter::once(first).chain(bytes[first.len()..].chunks(PART_BYTES)) {
                let part = Part { position: parts, section, name: &name, bytes };
                if self.sessions.run(async |client| part.write(client, id).await)? == 0 {
                    return Err(gone());
                }
                parts += 1;
            }
        }
        let completed = self
            .sessions
            .run(async |client| Ok(client.execute(COMPLETE, &[&id, &parts]).await?))?;
        if completed > 0 {
            return Ok(());
        }
        // Records were replaced since it was taken, or the namespace is gone.
        self.sessions.read(async |client| namespace_id(client, partition).await)?;
        Err(Error::ChainBroken { partition: partition.clone(), sequence: watermark })
    }

    fn is_complete(&self, row: &Row) -> Result<bool, Error> {
        let id: i64 = row.try_get(0)?;
        self.sessions
            .read(async |client| Ok(client.query_one(IS_COMPLETE, &[&id]).await?.try_get(0)?))
    }

    fn load(&self, row: &Row, passed_over: usize) -> Result<Snapshot, Error> {
        let id: i64 = row.try_get(0)?;
        let header = SnapshotHeader {
            position: Position {
                sequence: natural(row.try_get(1)?, "watermark")?,
                chain: Chain::from_column(row.try_get(2)?),
                revision: natural(row.try_get(6)?, "log_revision")?,
            },
            engine_revision: natural(row.try_get(3)?, "engine_revision")?,
            taken_at: Timestamp::from_millis(row.try_get(4)?),
        };
        let mut sections = Vec::new();
        let mut read = 0;
        let parts: i32 = row.try_get(5)?;
        while read < parts {
            let rows = self.sessions.read(async |client| {
                let parts = client.prepare_cached(PARTS).await?;
                Ok(client.query(&parts, &[&id, &read, &PARTS_PER_STEP]).await?)
            })?;
            if rows.is_empty() {
                return Err(corrupt("parts are missing"));
            }
            for row in &rows {
                add_part(&mut sections, row, read)?;
                read += 1;
            }
        }
        if read == parts {
            Ok(Snapshot { header, sections, passed_over })
        } else {
            Err(corrupt("there are parts too many"))
        }
    }
}

fn corrupt(reason: &str) -> Error {
    Error::Corrupt { what: "a snapshot".to_owned(), reason: reason.to_owned() }
}

/// No more is allocated than a part can hold, whatever its length says.
fn decompressed(stored: &[u8]) -> Result<Vec<u8>, Error> {
    let (length, block) =
        lz4_flex::block::uncompressed_size(stored).map_err(|_| corrupt("a part is cut short"))?;
    if length > PART_BYTES {
        return Err(corrupt("a part is too long"));
    }
    lz4_flex::block::decompress(block, length).map_err(|_| corrupt("a part cannot be decompressed"))
}

fn add_part(sections: &mut Vec<(String, Vec<u8>)>, row: &Row, position: i32) -> Result<(), Error> {
    let bytes = decompressed(row.try_get(4)?)?;
    let part = Part {
        position: row.try_get(0)?,
        section: row.try_get(1)?,
        name: row.try_get(3)?,
        bytes: &bytes,
    };
    if part.position != position || row.try_get::<_, i64>(2)? != i64::from(part.checksum()) {
        return Err(corrupt("a part is missing or does not match its checksum"));
    }
    if usize::try_from(part.section) == Ok(sections.len()) {
        sections.push((part.name.to_owned(), Vec::new()));
    }
    let (_, bytes) = sections.last_mut().ok_or_else(|| corrupt("a section is missing"))?;
    bytes.extend_from_slice(part.bytes);
    Ok(())
}

/// A piece of a section.
struct Part<'a> {
    position: i32,
    section: i32,
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

    /// Returns 0 when the snapshot is gone.
    async fn write(&self, client: &Client, snapshot_id: i64) -> Result<u64, Error> {
        let put = client.prepare_cached(PUT_PART).await?;
        let checksum = i64::from(self.checksum());
        let bytes = lz4_flex::block::compress_prepend_size(self.bytes);
        let parameters: [Parameter<'_>; 6] =
            [&snapshot_id, &self.position, &self.section, &checksum, &self.name, &bytes];
        Ok(client.execute(&put, &parameters).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_decompressed_to_what_it_was() {
        for bytes in [Vec::new(), vec![7; PART_BYTES], (0..=255).collect()] {
            let stored = lz4_flex::block::compress_prepend_size(&bytes);
            assert_eq!(decompressed(&stored).unwrap(), bytes);
        }
    }

    #[test]
    fn a_part_that_claims_to_be_longer_than_a_part_is_refused_before_anything_is_allocated() {
        let honest = lz4_flex::block::compress_prepend_size(&[1, 2, 3]);
        for length in [PART_BYTES as u32 + 1, u32::MAX] {
            let mut stored = honest.clone();
            stored[..4].copy_from_slice(&length.to_le_bytes());
            assert!(matches!(decompressed(&stored), Err(Error::Corrupt { .. })));
        }
        assert!(matches!(decompressed(&honest[..3]), Err(Error::Corrupt { .. })));
    }
}
