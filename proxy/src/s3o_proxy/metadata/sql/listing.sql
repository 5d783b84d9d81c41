-- list_keys --
-- A page of keys, in order.
SELECT objects.key, objects.size_bytes, objects.etag, objects.modified_ms, objects.checksums, objects.checksum_type
FROM objects
WHERE objects.bucket = :bucket AND objects.key >= :start AND objects.key < :stop
ORDER BY objects.key
LIMIT :count

-- list_groups --
-- A page of keys and common prefixes (a key that stands for one has no size): seek from entry to entry, never reading what lies below.
WITH RECURSIVE walk (bucket, key, place) AS (
    SELECT entry.bucket, entry.key, 1 FROM (
        SELECT objects.bucket, objects.key FROM objects
        WHERE objects.bucket = :bucket AND objects.key >= :start AND objects.key < :stop
        ORDER BY objects.key LIMIT 1
    ) AS entry
    UNION ALL
    SELECT walk.bucket, (
        SELECT objects.key FROM objects
        WHERE objects.bucket = walk.bucket AND objects.key < :stop AND objects.key >=
            CASE {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter)
                WHEN 0 THEN walk.key || :just_behind
                ELSE substr(walk.key, 1, CAST(:below AS integer) - 2 + {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter)) || :behind_delimiter
            END
        ORDER BY objects.key LIMIT 1
    ), walk.place + 1
    FROM walk
    WHERE walk.key IS NOT NULL AND walk.place < :count
)
SELECT walk.key, objects.size_bytes, objects.etag, objects.modified_ms, objects.checksums, objects.checksum_type
FROM walk
LEFT JOIN objects
    ON objects.bucket = walk.bucket AND objects.key = walk.key AND {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter) = 0
WHERE walk.key IS NOT NULL
ORDER BY walk.place

-- list_uploads --
-- A page of open uploads, by key and then by id, which is by age.
SELECT uploads.key, uploads.upload_id, uploads.initiated_ms, uploads.checksum_algorithm, uploads.checksum_type
FROM uploads
WHERE
    uploads.bucket = :bucket AND uploads.key >= :start AND uploads.key < :stop AND uploads.backend_upload_id <> ''
    AND (uploads.key <> :after_key OR uploads.upload_id > :after_upload_id)
ORDER BY uploads.key, uploads.upload_id
LIMIT :count

-- list_upload_groups --
-- A page of open uploads and common prefixes (a key that stands for one has no upload_id), as list_groups.
WITH RECURSIVE walk (bucket, key, place) AS (
    SELECT entry.bucket, entry.key, 1 FROM (
        SELECT uploads.bucket, uploads.key FROM uploads
        WHERE
            uploads.bucket = :bucket AND uploads.key >= :start AND uploads.key < :stop AND uploads.backend_upload_id <> ''
            -- A key whose uploads were all shown is neither an entry nor, by itself, a reason for a common prefix.
            AND (uploads.key, uploads.upload_id) > (:after_key, :after_upload_id)
        ORDER BY uploads.key LIMIT 1
    ) AS entry
    UNION ALL
    SELECT walk.bucket, (
        SELECT uploads.key FROM uploads
        WHERE uploads.bucket = walk.bucket AND uploads.key < :stop AND uploads.backend_upload_id <> '' AND uploads.key >=
            CASE {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter)
                WHEN 0 THEN walk.key || :just_behind
                ELSE substr(walk.key, 1, CAST(:below AS integer) - 2 + {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter)) || :behind_delimiter
            END
        ORDER BY uploads.key LIMIT 1
    ), walk.place + 1
    FROM walk
    WHERE walk.key IS NOT NULL AND walk.place < :count
)
SELECT walk.key, uploads.upload_id, uploads.initiated_ms, uploads.checksum_algorithm, uploads.checksum_type
FROM walk
LEFT JOIN uploads
    ON uploads.bucket = walk.bucket AND uploads.key = walk.key AND uploads.backend_upload_id <> ''
    AND {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter) = 0
WHERE
    walk.key IS NOT NULL AND (
        {{strpos}}(substr(walk.key, CAST(:below AS integer)), :delimiter) > 0
        OR uploads.key <> :after_key OR uploads.upload_id > :after_upload_id
    )
ORDER BY walk.place, uploads.upload_id
LIMIT :count
