-- For how long the bytes of a write may still come to be there when its owner is dead. What an older release writes settles at once.
ALTER TABLE intents ADD COLUMN settle_ms bigint DEFAULT 0 NOT NULL

-- The ETag of the object that an upload's parts are being joined to; empty while it is open.
ALTER TABLE uploads ADD COLUMN joined_etag {{text}} DEFAULT '' NOT NULL
