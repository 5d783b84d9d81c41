-- Since when a backend is known, in the time of the database: a row that was made again is told from the one that had vanished.
ALTER TABLE backends ADD COLUMN registered_ms bigint DEFAULT 0 NOT NULL

UPDATE backends SET registered_ms = {{now_ms}}
