-- What identifies this database: keys and messages in shared places carry it.
CREATE TABLE identity (
    -- Random, made here and never again.
    id TEXT NOT NULL,
    -- The key of suppressed_users.user_hash, 32 bytes. Random, made here and never again.
    suppression_key BLOB NOT NULL
) STRICT;

INSERT INTO identity (id, suppression_key) VALUES (lower(hex(randomblob(16))), randomblob(32));

-- The interaction log: namespaces and the batches of records of each.

CREATE TABLE namespaces (
    -- Never used twice, so that a namespace created again meets no old rows.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL once the namespace is deleted, until its last row is removed.
    name TEXT UNIQUE,
    -- Milliseconds since 1970-01-01T00:00:00Z.
    created_at_ms INTEGER NOT NULL,
    -- JSON; NULL when the namespace follows the configuration of the server.
    settings TEXT,
    -- How often records of the log were replaced: readers of another revision begin again.
    log_revision INTEGER NOT NULL DEFAULT 0,
    -- Whether records were replaced since the revision was raised.
    is_rewritten INTEGER NOT NULL DEFAULT 0
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
    -- Random: two logs that went on from the same batch differ in it.
    stamp INTEGER NOT NULL,
    -- Hash of the chain of the batch before and of this batch's first_sequence, count,
    -- recorded_at_ms and stamp (src/storage/chain.rs): equal chains at a sequence mean equal
    -- logs up to it.
    chain INTEGER NOT NULL,
    -- For each record with an event id, 16 bytes of xxh3-128 of the id and 2 bytes
    -- of the record's position in the batch, little-endian.
    event_hashes BLOB NOT NULL,
    -- The records (src/storage/codec). Last, so that the rest is read without it.
    payload BLOB NOT NULL,
    UNIQUE (namespace_id, first_sequence)
) STRICT;

-- Snapshots of the engine's state, a shortcut to the end of the log.

CREATE TABLE snapshots (
    -- Rises with every snapshot: the newest has the highest.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The namespace whose state it is.
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    -- Sequence of the last record the state holds.
    watermark INTEGER NOT NULL,
    -- Chain of the batch that ends with that record (log_batches.chain).
    chain INTEGER NOT NULL,
    -- Revision of the log that it was learnt from (namespaces.log_revision).
    log_revision INTEGER NOT NULL,
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
    -- Position of the part within the snapshot, from 0.
    position INTEGER NOT NULL,
    -- Position of the part's section within the snapshot, from 0.
    section INTEGER NOT NULL,
    -- Name of the section.
    name TEXT NOT NULL,
    -- CRC-32 over position, section, name and bytes.
    crc32 INTEGER NOT NULL,
    -- Opaque to the store.
    bytes BLOB NOT NULL,
    UNIQUE (snapshot_id, position)
) STRICT;

-- The newest training of each namespace, as it was reported last.
CREATE TABLE trainings (
    -- The partition that is trained on.
    namespace_id INTEGER PRIMARY KEY REFERENCES namespaces (id),
    -- What names the training to callers.
    training_id TEXT NOT NULL,
    -- How far it is, or what it came to: JSON (src/service/trainings.rs).
    report TEXT NOT NULL,
    -- When it was reported, milliseconds since 1970-01-01T00:00:00Z; about every second
    -- while it runs.
    reported_at_ms INTEGER NOT NULL,
    -- Whether a caller asked for its end.
    end_requested INTEGER NOT NULL
) STRICT;

-- Erasures of users.

CREATE TABLE erasures (
    -- The partition the user was known in.
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    -- What names the erasure to callers; random.
    erasure_id TEXT NOT NULL,
    -- JSON array of the ids of the user; NULL once the log holds none of them.
    user_ids TEXT,
    -- What was done so far: JSON (src/service/erasure.rs).
    report TEXT NOT NULL,
    -- Whether there is nothing left to do.
    is_finished INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, erasure_id)
) STRICT;

CREATE INDEX unfinished_erasures ON erasures (namespace_id) WHERE NOT is_finished;

-- Users whose records are dropped when they arrive: events sent late.
CREATE TABLE suppressed_users (
    -- The partition.
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    -- HMAC-SHA-256 of an id of the user under identity.suppression_key, its first 16 bytes.
    user_hash BLOB NOT NULL,
    -- The erasure that it belongs to.
    erasure_id TEXT NOT NULL,
    -- Until when, milliseconds since 1970-01-01T00:00:00Z.
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, user_hash)
) STRICT, WITHOUT ROWID;

-- What was spent of privacy budgets. Rows stay when their period has ended. Nothing in them names a user.
CREATE TABLE privacy_spendings (
    -- The partition whose users are counted.
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    -- Random.
    spending_id TEXT NOT NULL,
    -- When, milliseconds since 1970-01-01T00:00:00Z, by the clock of the server.
    spent_at_ms INTEGER NOT NULL,
    -- Who asked, as the call says.
    analyst TEXT NOT NULL,
    -- What was asked: JSON (src/service/aggregates/query.rs). The same query is the same text.
    query TEXT NOT NULL,
    -- What it costs, in billionths of rho.
    nano_rho INTEGER NOT NULL,
    -- The end of the log when it was spent, and the chain there (log_batches.chain).
    log_end INTEGER NOT NULL,
    log_chain INTEGER NOT NULL,
    -- What was released: JSON. NULL while nothing is, and once the period has ended.
    answer TEXT,
    PRIMARY KEY (namespace_id, spending_id)
) STRICT;

CREATE INDEX privacy_spendings_by_time ON privacy_spendings (namespace_id, spent_at_ms);
