-- find_objects --
-- Committed objects by key, one row per copy.
SELECT
    objects.bucket, objects.key, objects.write_id, objects.size_bytes, objects.etag, objects.modified_ms, objects.headers, objects.user_metadata,
    objects.checksums, objects.checksum_type, objects.content_hash, objects.part_sizes,
    copies.backend, copies.storage_key, copies.size_bytes AS stored_bytes
FROM {{batch(bucket text, key text)}}
JOIN objects ON objects.bucket = batch.bucket AND objects.key = batch.key
LEFT JOIN copies ON copies.bucket = objects.bucket AND copies.key = objects.key

-- find_objects @postgres --
-- Committed objects by key, one row per copy.
SELECT
    object.bucket, object.key, object.write_id, object.size_bytes, object.etag, object.modified_ms, object.headers, object.user_metadata,
    object.checksums, object.checksum_type, object.content_hash, object.part_sizes,
    copies.backend, copies.storage_key, copies.size_bytes AS stored_bytes
FROM {{batch(bucket text, key text)}}
CROSS JOIN LATERAL (SELECT * FROM objects WHERE objects.bucket = batch.bucket AND objects.key = batch.key OFFSET 0) AS object
LEFT JOIN copies ON copies.bucket = object.bucket AND copies.key = object.key

-- current_etags --
-- What conditions are decided against: no ETag where there is no object.
SELECT batch.bucket, batch.key, (
    SELECT objects.etag FROM objects WHERE objects.bucket = batch.bucket AND objects.key = batch.key
) AS etag
FROM {{batch(bucket text, key text)}}

-- take_intents --
-- Consume the intents of writes: whoever deletes the row decides what becomes of its bytes.
DELETE FROM intents
WHERE intents.upload_id = '' AND intents.write_id {{among(write_id text)}}
RETURNING write_id, backend, storage_key, size_bytes

-- committed_writes --
-- Whether writes were committed: bytes of theirs are a copy, or their object stands (its copy may have moved).
SELECT
    batch.write_id,
    (SELECT 1 FROM copies WHERE copies.backend = batch.backend AND copies.storage_key = batch.storage_key) AS has_copy,
    (
        SELECT 1 FROM objects WHERE objects.bucket = batch.bucket AND objects.key = batch.key AND objects.write_id = batch.write_id
    ) AS is_current
FROM {{batch(write_id text, bucket text, key text, backend text, storage_key text)}}

-- cancel_intents --
-- Take back reservations, of writes and of parts, for which nothing was sent.
DELETE FROM intents
WHERE intents.write_id {{among(write_id text)}}
RETURNING backend, size_bytes

-- displace_copies --
-- Take the copies of keys out; their bytes are orphans from now on.
DELETE FROM copies
WHERE (copies.bucket, copies.key) IN (SELECT batch.bucket, batch.key FROM {{batch(bucket text, key text)}})
RETURNING bucket, key, backend, storage_key, size_bytes

-- displace_copies @postgres --
-- Take the copies of keys out; their bytes are orphans from now on.
DELETE FROM copies
WHERE copies.ctid = ANY (ARRAY(
    SELECT found.row_id FROM {{batch(bucket text, key text)}}
    CROSS JOIN LATERAL (
        SELECT copies.ctid AS row_id FROM copies WHERE copies.bucket = batch.bucket AND copies.key = batch.key OFFSET 0
    ) AS found
))
RETURNING bucket, key, backend, storage_key, size_bytes

-- put_objects --
-- Make objects visible, replacing what stood under their keys.
INSERT INTO objects (
    bucket, key, write_id, size_bytes, etag, modified_ms, headers, user_metadata, checksums, checksum_type, content_hash, part_sizes
)
SELECT
    batch.bucket, batch.key, batch.write_id, batch.size_bytes, batch.etag, batch.modified_ms, batch.headers, batch.user_metadata,
    batch.checksums, batch.checksum_type, batch.content_hash, batch.part_sizes
FROM {{batch(bucket text, key text, write_id text, size_bytes bigint, etag text, modified_ms bigint, headers text, user_metadata text, checksums text, checksum_type text, content_hash text, part_sizes text)}}
WHERE true
ON CONFLICT (bucket, key) DO UPDATE SET
    write_id = excluded.write_id, size_bytes = excluded.size_bytes, etag = excluded.etag, modified_ms = excluded.modified_ms,
    headers = excluded.headers, user_metadata = excluded.user_metadata, checksums = excluded.checksums,
    checksum_type = excluded.checksum_type, content_hash = excluded.content_hash, part_sizes = excluded.part_sizes

-- put_copies --
-- Say where the bytes of objects lie.
INSERT INTO copies (bucket, key, backend, storage_key, size_bytes, created_ms)
SELECT batch.bucket, batch.key, batch.backend, batch.storage_key, batch.size_bytes, batch.created_ms
FROM {{batch(bucket text, key text, backend text, storage_key text, size_bytes bigint, created_ms bigint)}}

-- remove_objects --
-- Take objects out; their copies are out already.
DELETE FROM objects
WHERE (objects.bucket, objects.key) IN (SELECT batch.bucket, batch.key FROM {{batch(bucket text, key text)}})
RETURNING bucket, key

-- remove_objects @postgres --
-- Take objects out; their copies are out already.
DELETE FROM objects
WHERE objects.ctid = ANY (ARRAY(
    SELECT found.row_id FROM {{batch(bucket text, key text)}}
    CROSS JOIN LATERAL (
        SELECT objects.ctid AS row_id FROM objects WHERE objects.bucket = batch.bucket AND objects.key = batch.key OFFSET 0
    ) AS found
))
RETURNING bucket, key

-- put_intents --
-- Mention bytes before they are written; none of whole objects on a backend that takes no new writes, or lies in another bucket.
INSERT INTO intents (write_id, backend, bucket, key, storage_key, size_bytes, owner, created_ms, upload_id, part_number, settle_ms)
SELECT
    batch.write_id, batch.backend, batch.bucket, batch.key, batch.storage_key, batch.size_bytes, batch.owner, batch.created_ms,
    batch.upload_id, batch.part_number, batch.settle_ms
FROM {{batch(write_id text, backend text, bucket text, key text, storage_key text, size_bytes bigint, owner text, created_ms bigint, upload_id text, part_number integer, settle_ms bigint, backend_bucket text)}}
LEFT JOIN backends ON backends.name = batch.backend
WHERE batch.upload_id <> '' OR (coalesce(backends.fenced_by, '') = '' AND batch.backend_bucket IN ('', coalesce(backends.bucket, '')))
RETURNING write_id, backend

-- reap_intents --
-- Consume intents of writes whose owner's lease has ended; not those of who asks: he lives.
WITH dead AS MATERIALIZED (
    SELECT intents.write_id, intents.backend FROM intents
    WHERE intents.upload_id = '' AND intents.owner <> :reaper AND NOT EXISTS (
        SELECT 1 FROM leases WHERE leases.name = 'instance/' || intents.owner AND leases.expires_ms > :now_ms
    )
    LIMIT :count
    {{skip_locked}}
)
DELETE FROM intents
WHERE (intents.write_id, intents.backend) IN (SELECT dead.write_id, dead.backend FROM dead)
RETURNING write_id, backend, storage_key, size_bytes, settle_ms

-- bucket_created --
-- When a bucket was first seen.
SELECT buckets.created_ms FROM buckets WHERE buckets.name = :name

-- remember_buckets --
-- Note when buckets were first seen; the first note stays.
INSERT INTO buckets (name, created_ms)
SELECT batch.name, batch.created_ms FROM {{batch(name text, created_ms bigint)}} WHERE true
ON CONFLICT (name) DO NOTHING
