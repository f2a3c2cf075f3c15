-- The projection's tables of the present: what the log has made of items and people.

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
    -- Sequence of the record that described it last.
    updated_sequence bigint NOT NULL,
    -- When that record was appended to the log.
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (namespace_id, item_id)
);

CREATE INDEX items_by_attributes ON items USING gin (attributes jsonb_path_ops)
    WHERE attributes IS NOT NULL;

-- People, as far as the log alone tells. Room is left on every page, so that counting
-- on moves no row to another page and touches no index.
CREATE TABLE profiles (
    -- The namespace the person belongs to.
    namespace_id bigint NOT NULL,
    -- The person's id, as interactions and decisions name it.
    user_id text COLLATE "C" NOT NULL,
    -- Attributes by name, as they were set last; NULL when they never were.
    attributes jsonb,
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
    -- Number of decisions made for the person.
    decisions bigint NOT NULL,
    -- Sequence of the last record about the person.
    updated_sequence bigint NOT NULL,
    PRIMARY KEY (namespace_id, user_id)
) WITH (fillfactor = 75);

CREATE INDEX profiles_by_attributes ON profiles USING gin (attributes jsonb_path_ops)
    WHERE attributes IS NOT NULL;
