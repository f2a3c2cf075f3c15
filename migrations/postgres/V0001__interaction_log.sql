-- The interaction log: namespaces and the batches of records of each.

CREATE TABLE namespaces (
    -- Never used twice, so that a namespace created again meets no old rows. Names
    -- the advisory lock that orders the appends to the namespace.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL once the namespace is deleted, until its last row is removed.
    name text COLLATE "C" UNIQUE,
    -- Milliseconds since 1970-01-01T00:00:00Z.
    created_at_ms bigint NOT NULL,
    -- NULL when the namespace follows the configuration of the server.
    settings json
);

CREATE TABLE log_batches (
    -- The partition the batch belongs to.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- Sequence of the first record; the rest follow without gaps.
    first_sequence bigint NOT NULL,
    -- Number of records, 1 to 10,000.
    count integer NOT NULL,
    -- When the batch was appended, milliseconds since 1970-01-01T00:00:00Z; never
    -- lower than in the batch before.
    recorded_at_ms bigint NOT NULL,
    -- CRC-32 over first_sequence, count, recorded_at_ms and payload.
    payload_crc32 bigint NOT NULL,
    -- CRC-32 over first_sequence, count, recorded_at_ms and event_hashes.
    event_hashes_crc32 bigint NOT NULL,
    -- For each record with an event id, 16 bytes of xxh3-128 of the id and 2 bytes
    -- of the record's place in the batch, little-endian.
    event_hashes bytea NOT NULL,
    -- The records (src/storage/codec).
    payload bytea NOT NULL,
    PRIMARY KEY (namespace_id, first_sequence)
);

-- Hashes do not compress, and records hardly: not worth the time of an append.
ALTER TABLE log_batches
    ALTER COLUMN event_hashes SET STORAGE EXTERNAL,
    ALTER COLUMN payload SET STORAGE EXTERNAL;
