-- What identifies this database: keys and messages in shared places carry it.
CREATE TABLE identity (
    -- Random, made here and never again.
    id text COLLATE "C" NOT NULL,
    -- The key of suppressed_users.user_hash, 32 bytes with 244 random bits. Made here and never again.
    suppression_key bytea NOT NULL
);

INSERT INTO identity (id, suppression_key) VALUES (
    replace(gen_random_uuid()::text, '-', ''),
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);

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
    settings json,
    -- How often records of the log were replaced: readers of another revision begin again.
    log_revision bigint NOT NULL DEFAULT 0,
    -- Whether records were replaced since the revision was raised.
    is_rewritten boolean NOT NULL DEFAULT false,
    -- Changes of suppressed_users so far: says to processes that append that they are to read them again.
    suppressions bigint NOT NULL DEFAULT 0
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
    -- Random: two logs that went on from the same batch differ in it.
    stamp bigint NOT NULL,
    -- Hash of the chain of the batch before and of this batch's first_sequence, count,
    -- recorded_at_ms and stamp (src/storage/chain.rs): equal chains at a sequence mean equal
    -- logs up to it.
    chain bigint NOT NULL,
    -- For each record with an event id, 16 bytes of xxh3-128 of the id and 2 bytes
    -- of the record's position in the batch, little-endian.
    event_hashes bytea NOT NULL,
    -- The records (src/storage/codec).
    payload bytea NOT NULL,
    PRIMARY KEY (namespace_id, first_sequence)
);

-- Hashes do not compress, and records hardly: not worth the time of an append.
ALTER TABLE log_batches
    ALTER COLUMN event_hashes SET STORAGE EXTERNAL,
    ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Snapshots of the engine's state, a shortcut to the end of the log.

CREATE TABLE snapshots (
    -- Rises with every snapshot begun.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The namespace whose state it is.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- Sequence of the last record the state holds.
    watermark bigint NOT NULL,
    -- Chain of the batch that ends with that record (log_batches.chain).
    chain bigint NOT NULL,
    -- Revision of the log that it was learnt from (namespaces.log_revision).
    log_revision bigint NOT NULL,
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
    -- Position of the part within the snapshot, from 0.
    position integer NOT NULL,
    -- Position of the part's section within the snapshot, from 0.
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

-- Erasures of users.

CREATE TABLE erasures (
    -- The partition the user was known in.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- What names the erasure to callers; random.
    erasure_id text COLLATE "C" NOT NULL,
    -- Array of the ids of the user; NULL once the log holds none of them.
    user_ids json,
    -- What was done so far: JSON (src/service/erasure.rs). As text, to compare it.
    report text NOT NULL,
    -- Whether there is nothing left to do.
    is_finished boolean NOT NULL,
    PRIMARY KEY (namespace_id, erasure_id)
);

CREATE INDEX unfinished_erasures ON erasures (namespace_id) WHERE NOT is_finished;

-- Users whose records are dropped when they arrive: events sent late.
CREATE TABLE suppressed_users (
    -- The partition.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- HMAC-SHA-256 of an id of the user under identity.suppression_key, its first 16 bytes.
    user_hash bytea NOT NULL,
    -- The erasure that it belongs to.
    erasure_id text COLLATE "C" NOT NULL,
    -- Until when, milliseconds since 1970-01-01T00:00:00Z.
    until_ms bigint NOT NULL,
    PRIMARY KEY (namespace_id, user_hash)
);

-- What was spent of privacy budgets. Rows stay when their period has ended. Nothing in them names a user.
CREATE TABLE privacy_spendings (
    -- The partition whose users are counted.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- Random.
    spending_id text COLLATE "C" NOT NULL,
    -- When, milliseconds since 1970-01-01T00:00:00Z, by the clock of the server.
    spent_at_ms bigint NOT NULL,
    -- Who asked, as the call says.
    analyst text NOT NULL,
    -- What was asked: JSON (src/service/aggregates/query.rs). As text: the same query is the same text.
    query text COLLATE "C" NOT NULL,
    -- What it costs, in billionths of rho.
    nano_rho bigint NOT NULL,
    -- The end of the log when it was spent, and the chain there (log_batches.chain).
    log_end bigint NOT NULL,
    log_chain bigint NOT NULL,
    -- What was released: JSON, as text. NULL while nothing is, and once the period has ended.
    answer text,
    PRIMARY KEY (namespace_id, spending_id)
);

CREATE INDEX privacy_spendings_by_time ON privacy_spendings (namespace_id, spent_at_ms);

-- Who has which duty. A process says that it lives in one row, whatever it holds; what a
-- silent one holds is free to be taken.

CREATE TABLE lease_holders (
    -- Random, of one process.
    id text COLLATE "C" PRIMARY KEY,
    -- When it said last that it lives, by the clock of this server.
    seen_at timestamptz NOT NULL,
    -- For operators: application name, address and server process.
    description text NOT NULL
);

CREATE TABLE leases (
    -- The partition of the log the duty belongs to.
    namespace_id bigint NOT NULL REFERENCES namespaces (id),
    -- Name of the duty.
    duty text COLLATE "C" NOT NULL,
    -- Rises each time the lease is taken. A write under the lease is refused when it
    -- names an older one.
    epoch bigint NOT NULL,
    -- Who has it (lease_holders.id); NULL when it was given up.
    holder text COLLATE "C",
    -- When it was taken last.
    taken_at timestamptz NOT NULL,
    PRIMARY KEY (namespace_id, duty)
);

-- The newest training of each namespace, as the holder of its lease reported it last.
CREATE TABLE trainings (
    -- The partition that is trained on.
    namespace_id bigint PRIMARY KEY REFERENCES namespaces (id),
    -- What names the training to callers.
    training_id text COLLATE "C" NOT NULL,
    -- How far it is, or what it came to (src/service/trainings.rs).
    report json NOT NULL,
    -- When it was reported, by the clock of this server; about every second while it runs.
    reported_at timestamptz NOT NULL,
    -- Whether a caller asked for its end.
    end_requested boolean NOT NULL
);

-- The projection: tables filled behind the log, for SQL and analytics. Nothing of the
-- service reads them, and all of them can be filled again from the log.
--
-- Ids compare by their bytes (COLLATE "C"): faster, and the same on every system.

-- How far the tables hold the log of each namespace.
CREATE TABLE projections (
    -- The partition of the log.
    namespace_id bigint PRIMARY KEY REFERENCES namespaces (id),
    -- Sequence of the last record in the tables; 0 before the first.
    position bigint NOT NULL,
    -- Whether rows of before are still to be removed; nothing is added meanwhile.
    clearing boolean NOT NULL DEFAULT false
);

-- What users did. One partition a month of recorded_at, made when it is first needed:
-- an import of many years fills one partition, and what has aged goes with its partition.
CREATE TABLE interactions (
    -- The namespace the interaction belongs to.
    namespace_id bigint NOT NULL,
    -- Sequence of its record in the log.
    sequence bigint NOT NULL,
    -- Idempotency key.
    event_id text COLLATE "C" NOT NULL,
    -- Who did it.
    user_id text COLLATE "C" NOT NULL,
    -- With what.
    item_id text COLLATE "C" NOT NULL,
    -- impression, click, like, dislike, share, save, purchase, dwell, skip, hide or rating.
    type text COLLATE "C" NOT NULL,
    -- Rating, dwell seconds, price; NULL when none was given.
    value real,
    -- When it happened, by the clock of who reported it.
    occurred_at timestamptz NOT NULL,
    -- When it was appended to the log.
    recorded_at timestamptz NOT NULL,
    -- The visit it belongs to.
    session_id text COLLATE "C",
    -- The decision (decisions.decision_id) that led to it.
    decision_id text COLLATE "C",
    -- Position in the shown list, from 0.
    position integer,
    -- Topics reported with it; empty when the catalogue knows the item.
    topics text[] NOT NULL,
    -- Source reported with it.
    source text,
    -- Device it happened on.
    device_type text,
    -- Attributes of its context, by name; NULL when there are none.
    attributes jsonb,
    -- Where the user was, in the client's words; NULL when unknown.
    location text,
    -- Minutes to add to UTC for the user's clock; NULL when unknown. The local time
    -- of an interaction: occurred_at AT TIME ZONE 'UTC' + make_interval(mins => utc_offset_minutes).
    utc_offset_minutes integer,
    PRIMARY KEY (namespace_id, sequence, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE INDEX interactions_by_user ON interactions (namespace_id, user_id, occurred_at);

CREATE INDEX interactions_by_item ON interactions (namespace_id, item_id, occurred_at);

-- For attributes @> '{"name": value}'. Rows without attributes cost it nothing.
CREATE INDEX interactions_by_attributes ON interactions USING gin (attributes jsonb_path_ops)
    WHERE attributes IS NOT NULL;

-- What Personalize answered. Partitioned as interactions. The arrays run in parallel,
-- in the order shown: unnest(item_ids, scores, propensities) WITH ORDINALITY.
CREATE TABLE decisions (
    -- The namespace the decision belongs to.
    namespace_id bigint NOT NULL,
    -- Sequence of its record in the log.
    sequence bigint NOT NULL,
    -- What interactions refer to.
    decision_id text COLLATE "C" NOT NULL,
    -- For whom.
    user_id text COLLATE "C" NOT NULL,
    -- When it was answered.
    decided_at timestamptz NOT NULL,
    -- When it was appended to the log.
    recorded_at timestamptz NOT NULL,
    -- How the ranker chose: greedy or epsilon_greedy.
    strategy text COLLATE "C" NOT NULL,
    -- Probability per position of an exploring choice.
    epsilon real NOT NULL,
    -- The trained model that scored (models.version); 0 when there was none.
    model_version bigint NOT NULL,
    -- Sequence of the last record that had been learnt from.
    watermark bigint NOT NULL,
    -- How many candidates stood to choose from.
    candidates integer NOT NULL,
    -- The items shown.
    item_ids text[] COLLATE "C" NOT NULL,
    -- Posterior mean of the reward of each.
    scores real[] NOT NULL,
    -- Probability that each came to its position, given the positions above it.
    propensities real[] NOT NULL,
    -- The ranker's feature vector of each: features[position][feature], both from 1. A
    -- vector shorter than the longest ends in NULLs.
    features real[] NOT NULL,
    PRIMARY KEY (namespace_id, sequence, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE INDEX decisions_by_user ON decisions (namespace_id, user_id, decided_at);

CREATE INDEX decisions_by_id ON decisions (namespace_id, decision_id);

-- The models that were trained and published, without their bytes.
CREATE TABLE models (
    -- The namespace the model belongs to.
    namespace_id bigint NOT NULL,
    -- Sequence of its record in the log: from the next record on, it scored.
    sequence bigint NOT NULL,
    -- Its version.
    version bigint NOT NULL,
    -- It was trained on all records up to this sequence.
    trained_at bigint NOT NULL,
    -- When it was appended to the log.
    recorded_at timestamptz NOT NULL,
    -- Size of its encoding in bytes.
    bytes bigint NOT NULL,
    PRIMARY KEY (namespace_id, sequence)
);

-- The parameters of learning and ranking, each time they changed.
CREATE TABLE settings (
    -- The namespace they belong to.
    namespace_id bigint NOT NULL,
    -- Sequence of their record in the log: from this record on, they held.
    sequence bigint NOT NULL,
    -- When they were appended to the log.
    recorded_at timestamptz NOT NULL,
    -- All of them, by name; `own` names those that the namespace has set itself.
    settings jsonb NOT NULL,
    PRIMARY KEY (namespace_id, sequence)
);

-- The projection's tables of the present: what the log has made of items and users.

-- The catalogue. A deleted item has no row.
CREATE TABLE items (
    -- The namespace the item belongs to.
    namespace_id bigint NOT NULL,
    -- Its id, as interactions and decisions name it.
    item_id text COLLATE "C" NOT NULL,
    -- Its title.
    title text NOT NULL,
    -- Its text.
    content text NOT NULL,
    -- What it is about.
    topics text[] NOT NULL,
    -- Where it comes from.
    source text,
    -- When it was published.
    published_at timestamptz,
    -- Attributes by name; NULL when there are none.
    attributes jsonb,
    -- Language of title and content, the primary subtag of BCP 47 (de, en); NULL when the
    -- item says none.
    language text,
    -- Whether it is kept and learnt from, and never shown.
    hidden boolean NOT NULL,
    -- From when on it is not shown; NULL: never.
    expires_at timestamptz,
    -- Whether it has an embedding, also where this server holds none.
    has_embedding boolean NOT NULL,
    -- Whether the service made its embedding of its texts.
    embedding_is_computed boolean NOT NULL,
    -- "title" and "content" in other languages, by their BCP 47 tags; NULL when there are none.
    localized jsonb,
    -- Sequence of the record that described or changed it last.
    updated_sequence bigint NOT NULL,
    -- When that record was appended to the log.
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (namespace_id, item_id)
);

CREATE INDEX items_by_attributes ON items USING gin (attributes jsonb_path_ops)
    WHERE attributes IS NOT NULL;

-- Users, as far as the log alone tells; a user has the rows of all ids that were merged into it
-- in user_aliases. Space is left on every page, so that counting
-- on moves no row to another page and touches no index.
CREATE TABLE profiles (
    -- The namespace the user belongs to.
    namespace_id bigint NOT NULL,
    -- The user's id, as interactions and decisions name it.
    user_id text COLLATE "C" NOT NULL,
    -- Attributes by name, as they were set last, completed by those of merged users; NULL when
    -- they never were.
    attributes jsonb,
    -- Blocks, mutes and boosts, and whether the user is not profiled, as they were set last; NULL when
    -- they never were. Times are in milliseconds since 1970.
    rules jsonb,
    -- When the earliest interaction occurred; NULL when there is none.
    first_seen timestamptz,
    -- When the latest interaction occurred; NULL when there is none.
    last_seen timestamptz,
    -- Number of interactions of each type.
    impressions bigint NOT NULL,
    clicks bigint NOT NULL,
    likes bigint NOT NULL,
    dislikes bigint NOT NULL,
    shares bigint NOT NULL,
    saves bigint NOT NULL,
    purchases bigint NOT NULL,
    dwells bigint NOT NULL,
    skips bigint NOT NULL,
    hides bigint NOT NULL,
    ratings bigint NOT NULL,
    -- Number of decisions made for the user.
    decisions bigint NOT NULL,
    -- Sequence of the last record about the user.
    updated_sequence bigint NOT NULL,
    PRIMARY KEY (namespace_id, user_id)
) WITH (fillfactor = 75);

CREATE INDEX profiles_by_attributes ON profiles USING gin (attributes jsonb_path_ops)
    WHERE attributes IS NOT NULL;

-- Ids that were merged into a user and are names of that user since. Interactions and decisions
-- keep the id that they were recorded with.
CREATE TABLE user_aliases (
    -- The namespace of both.
    namespace_id bigint NOT NULL,
    -- The id that was merged.
    user_id text COLLATE "C" NOT NULL,
    -- The user it is a name of; no alias itself.
    merged_into text COLLATE "C" NOT NULL,
    -- Sequence of the record that merged it.
    sequence bigint NOT NULL,
    PRIMARY KEY (namespace_id, user_id)
);

CREATE INDEX user_aliases_by_user ON user_aliases (namespace_id, merged_into);
