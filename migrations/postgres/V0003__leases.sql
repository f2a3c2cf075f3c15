-- Who has which duty. A lease is held by an advisory lock of a session; the row says
-- how often it has changed hands.

CREATE TABLE leases (
    -- Of the duty.
    name text COLLATE "C" PRIMARY KEY,
    -- Rises each time the lease is taken. A write under the lease is refused when it
    -- names an older one.
    epoch bigint NOT NULL,
    -- When it was taken last.
    taken_at timestamptz NOT NULL,
    -- Who took it last, for people: application name, address and server process.
    holder text NOT NULL
);
