-- The interaction log: namespaces and the batches of records of each.

CREATE TABLE namespaces (
    -- Never used twice, so that a namespace created again meets no old rows.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL once the namespace is deleted, until its last row is removed.
    name TEXT UNIQUE,
    -- Milliseconds since 1970-01-01T00:00:00Z.
    created_at_ms INTEGER NOT NULL,
    -- JSON; NULL when the namespace follows the configuration of the server.
    settings TEXT
) STRICT;

-- A rowid table: appends took as long as to one without rowids for payloads of 26
-- and 130 KB, and a third less for payloads of 650 KB.
CREATE TABLE log_batches (
    -- Row number; says nothing.
    id INTEGER PRIMARY KEY,
    -- The partition the batch belongs to.
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    -- Sequence of the first record; the rest follow without gaps.
    first_sequence INTEGER NOT NULL,
    -- Number of records, 1 to 10,000.
    count INTEGER NOT NULL,
    -- When the batch was appended, milliseconds since 1970-01-01T00:00:00Z; never
    -- lower than in the batch before.
    recorded_at_ms INTEGER NOT NULL,
    -- CRC-32 over first_sequence, count, recorded_at_ms and payload.
    payload_crc32 INTEGER NOT NULL,
    -- CRC-32 over first_sequence, count, recorded_at_ms and event_hashes.
    event_hashes_crc32 INTEGER NOT NULL,
    -- For each record with an event id, 16 bytes of xxh3-128 of the id and 2 bytes
    -- of the record's place in the batch, little-endian.
    event_hashes BLOB NOT NULL,
    -- The records (src/storage/codec). Last, so that the rest is read without it.
    payload BLOB NOT NULL,
    UNIQUE (namespace_id, first_sequence)
) STRICT;
