-- count_uploads --
-- How many uploads are in progress in buckets.
SELECT uploads.bucket, count(*) AS uploads FROM uploads
WHERE uploads.bucket {{among(bucket text)}}
GROUP BY uploads.bucket

-- put_uploads --
-- Mention uploads before the backend is asked to create them; none on one that takes no new writes, or lies in another bucket.
INSERT INTO uploads (
    upload_id, bucket, key, write_id, backend, storage_key, backend_upload_id, initiated_ms, headers, user_metadata, checksum_algorithm,
    checksum_type, state, owner
)
SELECT
    batch.upload_id, batch.bucket, batch.key, batch.write_id, batch.backend, batch.storage_key, batch.backend_upload_id, batch.initiated_ms,
    batch.headers, batch.user_metadata, batch.checksum_algorithm, batch.checksum_type, batch.state, ''
FROM {{batch(upload_id text, bucket text, key text, write_id text, backend text, storage_key text, backend_upload_id text, initiated_ms bigint, headers text, user_metadata text, checksum_algorithm text, checksum_type text, state text, backend_bucket text)}}
LEFT JOIN backends ON backends.name = batch.backend
WHERE coalesce(backends.fenced_by, '') = '' AND batch.backend_bucket IN ('', coalesce(backends.bucket, ''))
RETURNING upload_id

-- open_uploads --
-- Record the backend's own ids.
UPDATE uploads SET backend_upload_id = batch.backend_upload_id
FROM {{batch(upload_id text, backend_upload_id text)}}
WHERE uploads.upload_id = batch.upload_id AND uploads.upload_id {{among(upload_id text)}}
RETURNING uploads.upload_id

-- find_uploads --
-- Uploads by id, and whether somebody who lives is completing them.
SELECT
    uploads.upload_id, uploads.bucket, uploads.key, uploads.write_id, uploads.backend, uploads.storage_key, uploads.backend_upload_id,
    uploads.initiated_ms, uploads.headers, uploads.user_metadata, uploads.checksum_algorithm, uploads.checksum_type, uploads.state, uploads.owner,
    uploads.joined_etag, coalesce(leases.expires_ms, 0) AS owner_expires_ms
FROM uploads
LEFT JOIN leases ON leases.name = 'instance/' || uploads.owner
WHERE uploads.upload_id {{among(upload_id text)}}

-- stale_uploads --
-- The oldest uploads to which no part came since, except those that somebody who lives is completing.
SELECT
    uploads.upload_id, uploads.bucket, uploads.key, uploads.write_id, uploads.backend, uploads.storage_key, uploads.backend_upload_id,
    uploads.initiated_ms, uploads.headers, uploads.user_metadata, uploads.checksum_algorithm, uploads.checksum_type, uploads.state
FROM uploads
WHERE uploads.initiated_ms < :before_ms AND NOT (
    uploads.state = 'completing' AND EXISTS (
        SELECT 1 FROM leases WHERE leases.name = 'instance/' || uploads.owner AND leases.expires_ms > :now_ms
    )
)
AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.upload_id = uploads.upload_id AND parts.modified_ms >= :before_ms)
AND NOT EXISTS (
    SELECT 1 FROM intents WHERE intents.upload_id <> '' AND intents.upload_id = uploads.upload_id AND intents.created_ms >= :before_ms
)
ORDER BY uploads.initiated_ms, uploads.upload_id
LIMIT :count

-- release_uploads --
-- Note that nobody is completing uploads any more; what another has claimed since stays his.
UPDATE uploads SET
    state = batch.state, owner = '', joined_etag = CASE WHEN batch.state = 'open' THEN '' ELSE uploads.joined_etag END
FROM {{batch(upload_id text, owner text, state text)}}
WHERE uploads.upload_id = batch.upload_id AND uploads.upload_id {{among(upload_id text)}} AND uploads.owner = batch.owner

-- claim_uploads --
-- Note who is completing uploads, and to what.
UPDATE uploads SET state = batch.state, owner = batch.owner, joined_etag = batch.joined_etag
FROM {{batch(upload_id text, state text, owner text, joined_etag text)}}
WHERE uploads.upload_id = batch.upload_id AND uploads.upload_id {{among(upload_id text)}}

-- remove_parts --
-- Take the parts of uploads out.
DELETE FROM parts
WHERE parts.upload_id {{among(upload_id text)}}
RETURNING upload_id, stored_bytes

-- remove_part_intents --
-- Take the unfinished parts of uploads out.
DELETE FROM intents
WHERE intents.upload_id <> '' AND intents.upload_id {{among(upload_id text)}}
RETURNING upload_id, size_bytes

-- remove_uploads --
-- Take uploads out; nothing refers to them any more.
DELETE FROM uploads
WHERE uploads.upload_id {{among(upload_id text)}}

-- uploads_of_intents --
-- To which uploads intents belong.
SELECT DISTINCT intents.upload_id FROM intents
WHERE intents.upload_id <> '' AND intents.write_id {{among(write_id text)}}

-- take_part_intents --
-- Consume the intents of parts.
DELETE FROM intents
WHERE intents.upload_id <> '' AND intents.write_id {{among(write_id text)}}
RETURNING write_id, upload_id, part_number, backend, size_bytes

-- disown_part_intents --
-- Give up parts that may have landed: they stay reserved, as those of a dead owner do.
UPDATE intents SET owner = ''
WHERE intents.upload_id <> '' AND intents.write_id {{among(write_id text)}}

-- take_dead_attempts --
-- Consume other attempts at parts whose owners' leases have ended.
DELETE FROM intents
WHERE
    intents.upload_id <> '' AND intents.upload_id {{among(upload_id text)}}
    AND (intents.upload_id, intents.part_number) IN (SELECT batch.upload_id, batch.part_number FROM {{batch(upload_id text, part_number integer)}})
    AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.name = 'instance/' || intents.owner AND leases.expires_ms > :now_ms)
RETURNING backend, size_bytes

-- replaced_parts --
-- What parts of these numbers hold now.
SELECT batch.upload_id, (
    SELECT parts.stored_bytes FROM parts WHERE parts.upload_id = batch.upload_id AND parts.part_number = batch.part_number
) AS stored_bytes
FROM {{batch(upload_id text, part_number integer)}}

-- put_parts --
-- Record parts that landed, replacing earlier ones of their numbers.
INSERT INTO parts (
    upload_id, part_number, size_bytes, stored_bytes, etag, backend_etag, modified_ms, checksums, checksum_type, content_hash
)
SELECT
    batch.upload_id, batch.part_number, batch.size_bytes, batch.stored_bytes, batch.etag, batch.backend_etag, batch.modified_ms,
    batch.checksums, batch.checksum_type, batch.content_hash
FROM {{batch(upload_id text, part_number integer, size_bytes bigint, stored_bytes bigint, etag text, backend_etag text, modified_ms bigint, checksums text, checksum_type text, content_hash text)}}
WHERE true
ON CONFLICT (upload_id, part_number) DO UPDATE SET
    size_bytes = excluded.size_bytes, stored_bytes = excluded.stored_bytes, etag = excluded.etag, backend_etag = excluded.backend_etag,
    modified_ms = excluded.modified_ms, checksums = excluded.checksums, checksum_type = excluded.checksum_type,
    content_hash = excluded.content_hash

-- list_parts --
-- A page of an upload's parts.
SELECT
    parts.part_number, parts.size_bytes, parts.etag, parts.backend_etag, parts.modified_ms, parts.checksums, parts.checksum_type,
    parts.content_hash
FROM parts
WHERE parts.upload_id = :upload_id AND parts.part_number > :after
ORDER BY parts.part_number
LIMIT :count
