-- copies_on_backend --
-- A page of the copies on a backend, by storage key.
SELECT copies.bucket, copies.key, copies.storage_key FROM copies
WHERE copies.backend = :backend AND copies.storage_key > :after
ORDER BY copies.storage_key
LIMIT :count

-- displace_moved --
-- Take one copy of each object out, where it is still the one that was moved and nothing of the object lies where it went.
DELETE FROM copies
WHERE (copies.backend, copies.storage_key) IN (
    SELECT batch.backend, batch.storage_key
    FROM {{batch(bucket text, key text, write_id text, backend text, storage_key text, target text)}}
    JOIN objects ON objects.bucket = batch.bucket AND objects.key = batch.key AND objects.write_id = batch.write_id
    WHERE NOT EXISTS (
        SELECT 1 FROM copies AS other WHERE other.bucket = batch.bucket AND other.key = batch.key AND other.backend = batch.target
    )
)
RETURNING bucket, key, backend, storage_key, size_bytes

-- displace_moved @postgres --
-- Take one copy of each object out, where it is still the one that was moved and nothing of the object lies where it went.
DELETE FROM copies
WHERE copies.ctid = ANY (ARRAY(
    SELECT found.row_id FROM {{batch(bucket text, key text, write_id text, backend text, storage_key text, target text)}}
    CROSS JOIN LATERAL (
        SELECT copies.ctid AS row_id FROM copies
        WHERE
            copies.bucket = batch.bucket AND copies.key = batch.key AND copies.backend = batch.backend AND copies.storage_key = batch.storage_key
            AND EXISTS (
                SELECT 1 FROM objects WHERE objects.bucket = batch.bucket AND objects.key = batch.key AND objects.write_id = batch.write_id
            )
            AND NOT EXISTS (
                SELECT 1 FROM copies AS other WHERE other.bucket = batch.bucket AND other.key = batch.key AND other.backend = batch.target
            )
        OFFSET 0
    ) AS found
))
RETURNING bucket, key, backend, storage_key, size_bytes

-- remove_bare_objects --
-- Take objects out of which no copy is left.
DELETE FROM objects
WHERE
    (objects.bucket, objects.key) IN (SELECT batch.bucket, batch.key FROM {{batch(bucket text, key text)}})
    AND NOT EXISTS (SELECT 1 FROM copies WHERE copies.bucket = objects.bucket AND copies.key = objects.key)

-- remove_bare_objects @postgres --
-- Take objects out of which no copy is left.
DELETE FROM objects
WHERE objects.ctid = ANY (ARRAY(
    SELECT found.row_id FROM {{batch(bucket text, key text)}}
    CROSS JOIN LATERAL (
        SELECT objects.ctid AS row_id FROM objects
        WHERE
            objects.bucket = batch.bucket AND objects.key = batch.key
            AND NOT EXISTS (SELECT 1 FROM copies WHERE copies.bucket = batch.bucket AND copies.key = batch.key)
        OFFSET 0
    ) AS found
))

-- weigh_backend --
-- How many objects of which order of magnitude lie on a backend, by the other backends that hold a copy of them.
SELECT
    copy.others, copy.digits, count(*) AS objects, CAST(sum(copy.size_bytes) AS bigint) AS bytes, max(copy.size_bytes) AS largest_bytes
FROM (
    SELECT
        copies.size_bytes, length(CAST(copies.size_bytes AS text)) AS digits,
        coalesce((
            SELECT group_concat(other.backend) FROM copies AS other
            WHERE other.bucket = copies.bucket AND other.key = copies.key AND other.backend <> :backend
        ), '') AS others
    FROM copies WHERE copies.backend = :backend
) AS copy
GROUP BY copy.others, copy.digits

-- weigh_backend @postgres --
-- How many objects of which order of magnitude lie on a backend, by the other backends that hold a copy of them.
SELECT
    copy.others, copy.digits, count(*) AS objects, CAST(sum(copy.size_bytes) AS bigint) AS bytes, max(copy.size_bytes) AS largest_bytes
FROM (
    SELECT
        copies.size_bytes, length(CAST(copies.size_bytes AS text)) AS digits,
        coalesce((
            SELECT string_agg(other.backend, ',' ORDER BY other.backend) FROM copies AS other
            WHERE other.bucket = copies.bucket AND other.key = copies.key AND other.backend <> :backend
        ), '') AS others
    FROM copies WHERE copies.backend = :backend
) AS copy
GROUP BY copy.others, copy.digits

-- bucket_remains --
-- What a bucket still has, in the database.
SELECT
    (SELECT count(*) FROM objects WHERE objects.bucket = :bucket) AS objects,
    (SELECT CAST(coalesce(sum(objects.size_bytes), 0) AS bigint) FROM objects WHERE objects.bucket = :bucket) AS bytes,
    (SELECT count(*) FROM intents WHERE intents.bucket = :bucket AND intents.upload_id = '') AS intents,
    (SELECT count(*) FROM uploads WHERE uploads.bucket = :bucket) AS uploads

-- uploads_on_backend --
-- A page of the uploads that are pinned to a backend, whether they are open there yet or not.
SELECT uploads.upload_id, uploads.backend_upload_id, uploads.initiated_ms FROM uploads
WHERE uploads.backend = :backend
ORDER BY uploads.storage_key
LIMIT :count

-- uploads_in_bucket --
-- A page of the uploads of a bucket, whether they are open on their backend yet or not.
SELECT uploads.upload_id, uploads.backend_upload_id, uploads.initiated_ms FROM uploads
WHERE uploads.bucket = :bucket
ORDER BY uploads.key, uploads.upload_id
LIMIT :count
