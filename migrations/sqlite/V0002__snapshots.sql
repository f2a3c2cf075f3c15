-- Snapshots of the engine's state, a shortcut to the end of the log.

CREATE TABLE snapshots (
    -- Rises with every snapshot: the newest has the highest.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The namespace whose state it is.
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    -- Sequence of the last record the state holds.
    watermark INTEGER NOT NULL,
    -- What the sections mean; another engine revision does not read them.
    engine_revision INTEGER NOT NULL,
    -- When it was taken, milliseconds since 1970-01-01T00:00:00Z.
    taken_at_ms INTEGER NOT NULL,
    -- Number of its parts; NULL while they are being written or removed.
    parts INTEGER
) STRICT;

CREATE INDEX snapshots_by_namespace ON snapshots (namespace_id, engine_revision, id);

-- A section is the bytes of its parts in their order: in parts, because the log is
-- appended to between two of them.
CREATE TABLE snapshot_parts (
    -- Row number; says nothing.
    id INTEGER PRIMARY KEY,
    -- The snapshot it belongs to.
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id),
    -- Place of the part within the snapshot, from 0.
    position INTEGER NOT NULL,
    -- Place of the part's section within the snapshot, from 0.
    section INTEGER NOT NULL,
    -- Name of the section.
    name TEXT NOT NULL,
    -- CRC-32 over position, section, name and bytes.
    crc32 INTEGER NOT NULL,
    -- Opaque to the store.
    bytes BLOB NOT NULL,
    UNIQUE (snapshot_id, position)
) STRICT;
