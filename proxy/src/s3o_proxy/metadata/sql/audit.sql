-- usage --
-- What the counters say.
SELECT
    counter.backend,
    CAST(sum(counter.used_bytes) AS bigint) AS used_bytes,
    CAST(sum(counter.orphan_bytes) AS bigint) AS orphan_bytes,
    CAST(sum(counter.reserved_bytes) AS bigint) AS reserved_bytes,
    CAST(sum(counter.objects) AS bigint) AS objects
FROM (
    SELECT backends.name AS backend, 0 AS used_bytes, 0 AS orphan_bytes, 0 AS reserved_bytes, 0 AS objects FROM backends
    UNION ALL
    SELECT usage.backend, usage.used_bytes, usage.orphan_bytes, usage.reserved_bytes, usage.objects FROM usage
) AS counter
GROUP BY counter.backend

-- registrations --
-- Since when each backend is known.
SELECT backends.name, backends.registered_ms FROM backends

-- located --
-- In which bucket each backend lies.
SELECT backends.name, backends.bucket FROM backends

-- vouched --
-- The backends of which somebody who lives said in which bucket they lie.
SELECT backends.name FROM backends
WHERE EXISTS (SELECT 1 FROM leases WHERE leases.name = 'instance/' || backends.located_by AND leases.expires_ms > :now_ms)

-- counted_usage --
-- What the counters should say: the sums over the rows they stand for.
SELECT
    held.backend,
    CAST(sum(held.used_bytes) AS bigint) AS used_bytes,
    CAST(sum(held.orphan_bytes) AS bigint) AS orphan_bytes,
    CAST(sum(held.reserved_bytes) AS bigint) AS reserved_bytes,
    CAST(sum(held.objects) AS bigint) AS objects
FROM (
    SELECT backends.name AS backend, 0 AS used_bytes, 0 AS orphan_bytes, 0 AS reserved_bytes, 0 AS objects FROM backends
    UNION ALL
    SELECT DISTINCT usage.backend, 0, 0, 0, 0 FROM usage
    UNION ALL
    SELECT copies.backend, sum(copies.size_bytes), 0, 0, count(*) FROM copies GROUP BY copies.backend
    UNION ALL
    SELECT cleanup_queue.backend, 0, sum(cleanup_queue.size_bytes), 0, 0 FROM cleanup_queue GROUP BY cleanup_queue.backend
    UNION ALL
    SELECT cleanup_dlq.backend, 0, sum(cleanup_dlq.size_bytes), 0, 0 FROM cleanup_dlq GROUP BY cleanup_dlq.backend
    UNION ALL
    SELECT intents.backend, 0, 0, sum(intents.size_bytes), 0 FROM intents GROUP BY intents.backend
    UNION ALL
    SELECT uploads.backend, 0, 0, sum(parts.stored_bytes), 0
    FROM parts JOIN uploads ON uploads.upload_id = parts.upload_id GROUP BY uploads.backend
) AS held
GROUP BY held.backend

-- queue_depths --
-- How many rows wait.
SELECT
    (SELECT count(*) FROM cleanup_queue) AS cleanup_queue,
    (SELECT count(*) FROM cleanup_dlq) AS cleanup_dlq,
    (SELECT count(*) FROM intents) AS intents,
    (SELECT count(*) FROM uploads) AS uploads

-- mentions --
-- A page of the rows that mention bytes on a backend, by storage key. Intents of parts are left out: their upload mentions the bytes.
SELECT mention.storage_key, mention.rank, mention.kind, mention.ident, mention.size_bytes, mention.backend_upload_id
FROM (
    SELECT branch1.* FROM (
        SELECT storage_key, 1 AS rank, 'copy' AS kind, CAST('' AS text) AS ident, size_bytes AS size_bytes, '' AS backend_upload_id FROM copies
        WHERE backend = :backend AND storage_key >= :after AND (storage_key, 1, CAST('' AS text)) > (:after, :after_rank, :after_ident)
        ORDER BY storage_key LIMIT :count
    ) AS branch1
    UNION ALL
    SELECT branch2.* FROM (
        SELECT storage_key, 2 AS rank, 'intent' AS kind, write_id AS ident, size_bytes AS size_bytes, '' AS backend_upload_id FROM intents
        WHERE backend = :backend AND storage_key >= :after AND upload_id = '' AND (storage_key, 2, write_id) > (:after, :after_rank, :after_ident)
        ORDER BY storage_key, write_id LIMIT :count
    ) AS branch2
    UNION ALL
    SELECT branch3.* FROM (
        SELECT storage_key, 3 AS rank, 'upload' AS kind, upload_id AS ident, 0 AS size_bytes, backend_upload_id AS backend_upload_id FROM uploads
        WHERE backend = :backend AND storage_key >= :after AND (storage_key, 3, upload_id) > (:after, :after_rank, :after_ident)
        ORDER BY storage_key, upload_id LIMIT :count
    ) AS branch3
    UNION ALL
    SELECT branch4.* FROM (
        SELECT storage_key, 4 AS rank, 'cleanup' AS kind, CAST(item_id AS text) AS ident, size_bytes AS size_bytes, backend_upload_id AS backend_upload_id FROM cleanup_queue
        WHERE backend = :backend AND storage_key >= :after AND (storage_key, 4, CAST(item_id AS text)) > (:after, :after_rank, :after_ident)
        ORDER BY storage_key, CAST(item_id AS text) LIMIT :count
    ) AS branch4
    UNION ALL
    SELECT branch5.* FROM (
        SELECT storage_key, 5 AS rank, 'dead' AS kind, CAST(item_id AS text) AS ident, size_bytes AS size_bytes, backend_upload_id AS backend_upload_id FROM cleanup_dlq
        WHERE backend = :backend AND storage_key >= :after AND (storage_key, 5, CAST(item_id AS text)) > (:after, :after_rank, :after_ident)
        ORDER BY storage_key, CAST(item_id AS text) LIMIT :count
    ) AS branch5
) AS mention
ORDER BY mention.storage_key, mention.rank, mention.ident
LIMIT :count

-- which_database --
-- The id that this database was made with.
SELECT which_database.id FROM which_database
