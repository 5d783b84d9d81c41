-- What each bucket held when it was last counted. Nothing is decided by it: a commit of a write does not touch it.
CREATE TABLE IF NOT EXISTS bucket_usage (
    bucket {{text}} PRIMARY KEY,
    objects bigint NOT NULL,
    size_bytes bigint NOT NULL,
    counted_ms bigint NOT NULL
)
