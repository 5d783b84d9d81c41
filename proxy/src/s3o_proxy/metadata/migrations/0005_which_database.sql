-- Which database this is: made once, and kept by whatever is a copy or a backup of it. Dumps are restored table by table in the order of
-- their names, and this one is the last: a database that is only half restored does not yet say that it is the old one.
CREATE TABLE IF NOT EXISTS which_database (
    id {{text}} NOT NULL,
    one integer DEFAULT 1 NOT NULL PRIMARY KEY,
    CONSTRAINT a_database_is_one CHECK (one = 1)
)

-- @postgres
INSERT INTO which_database (id) VALUES (replace(CAST(gen_random_uuid() AS text), '-', '')) ON CONFLICT DO NOTHING

-- @sqlite
INSERT INTO which_database (id) VALUES (lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING
