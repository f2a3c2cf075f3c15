-- More of what records hold, in the projection's tables. Rows of before have NULL there until the tables are
-- filled again (rebuild-projection); a binary of before goes on without naming these columns.

ALTER TABLE interactions
    -- Where the person was, in the client's words; NULL when nobody said.
    ADD COLUMN location text,
    -- Minutes to add to UTC for the person's clock; NULL when nobody said. The local time of an interaction:
    -- occurred_at AT TIME ZONE 'UTC' + make_interval(mins => utc_offset_minutes).
    ADD COLUMN utc_offset_minutes integer;

ALTER TABLE items
    -- Language of title and content, the primary subtag of BCP 47 (de, en); NULL when the item says none.
    ADD COLUMN language text;
