-- Snapshots of the engine's state, a shortcut to the end of the log.

CREATE TABLE snapshots (
    -- Rises with every snapshot begun.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The namespace whose state it is.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- Sequence of the last record the state holds.
    watermark bigint NOT NULL,
    -- What the sections mean; another engine revision does not read them.
    engine_revision bigint NOT NULL,
    -- When it was taken, milliseconds since 1970-01-01T00:00:00Z.
    taken_at_ms bigint NOT NULL,
    -- Number of its parts; NULL while they are being written or removed.
    parts integer,
    -- When its writer last wrote a part; `-infinity` once it is to be removed. One
    -- without an end that nobody has touched for an hour is removed.
    touched_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX snapshots_by_namespace ON snapshots (namespace_id, engine_revision, watermark);

-- A section is the bytes of its parts in their order: in parts, so that a part is
-- little work for either side.
CREATE TABLE snapshot_parts (
    -- The snapshot it belongs to.
    snapshot_id bigint NOT NULL REFERENCES snapshots (id),
    -- Place of the part within the snapshot, from 0.
    position integer NOT NULL,
    -- Place of the part's section within the snapshot, from 0.
    section integer NOT NULL,
    -- CRC-32 over position, section, name and bytes before their compression.
    crc32 bigint NOT NULL,
    -- Name of the section.
    name text NOT NULL,
    -- Opaque to the store: 4 bytes of length, little-endian, and an LZ4 block.
    bytes bytea NOT NULL,
    PRIMARY KEY (snapshot_id, position)
);

-- They are compressed already.
ALTER TABLE snapshot_parts ALTER COLUMN bytes SET STORAGE EXTERNAL;
