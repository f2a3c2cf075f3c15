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

-- What people did. One partition a month of recorded_at, made when it is first needed:
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
    -- Place in the shown list, from 0.
    position integer,
    -- Topics reported with it; empty when the catalogue knows the item.
    topics text[] NOT NULL,
    -- Source reported with it.
    source text,
    -- Device it happened on.
    device_type text,
    -- Attributes of its context, by name; NULL when there are none.
    attributes jsonb,
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
    -- Probability per place of an exploring choice.
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
    -- Probability that each came to its place, given the places above it.
    propensities real[] NOT NULL,
    -- The ranker's feature vector of each: features[place][feature], both from 1. A
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

-- The parameters of learning and ranking, each time they were set.
CREATE TABLE settings (
    -- The namespace they belong to.
    namespace_id bigint NOT NULL,
    -- Sequence of their record in the log: from this record on, they held.
    sequence bigint NOT NULL,
    -- When they were appended to the log.
    recorded_at timestamptz NOT NULL,
    -- All of them, by name.
    settings jsonb NOT NULL,
    PRIMARY KEY (namespace_id, sequence)
);
