-- put_cleanup --
-- Queue bytes that nobody reads any more.
INSERT INTO cleanup_queue (backend, storage_key, backend_upload_id, size_bytes, reason, due_ms)
SELECT batch.backend, batch.storage_key, batch.backend_upload_id, batch.size_bytes, batch.reason, batch.due_ms
FROM {{batch(backend text, storage_key text, backend_upload_id text, size_bytes bigint, reason text, due_ms bigint)}}

-- take_cleanup_of_bytes --
-- Take out what waits for the bytes of writes, claimed or not; rows of other bytes with the same names there are none.
DELETE FROM cleanup_queue
WHERE (cleanup_queue.backend, cleanup_queue.storage_key) IN (
    SELECT batch.backend, batch.storage_key FROM {{batch(backend text, storage_key text)}}
)
RETURNING backend, storage_key, backend_upload_id, size_bytes, reason, due_ms

-- take_cleanup_of_bytes @postgres --
-- Take out what waits for the bytes of writes, claimed or not; by id, because a claim made meanwhile moves the row.
DELETE FROM cleanup_queue
WHERE cleanup_queue.item_id = ANY (ARRAY(
    SELECT found.item_id FROM {{batch(backend text, storage_key text)}}
    CROSS JOIN LATERAL (
        SELECT cleanup_queue.item_id FROM cleanup_queue
        WHERE cleanup_queue.backend = batch.backend AND cleanup_queue.storage_key = batch.storage_key OFFSET 0
    ) AS found
))
RETURNING backend, storage_key, backend_upload_id, size_bytes, reason, due_ms

-- claim_cleanup --
-- Take due rows that nobody else works on, none of backends that lie in another bucket than where they would be looked for; a claim whose time is over counts as nobody's.
WITH elsewhere AS MATERIALIZED (
    SELECT batch.name FROM {{batch(name text, bucket text)}}
    WHERE batch.bucket <> coalesce(
        (SELECT backends.bucket FROM backends WHERE backends.name = batch.name AND backends.bucket <> ''), batch.bucket
    )
),

due AS MATERIALIZED (
    SELECT cleanup_queue.item_id FROM cleanup_queue
    WHERE cleanup_queue.due_ms <= :now_ms AND cleanup_queue.claimed_until_ms <= :now_ms
        AND {{strpos}}(:but_on, ',' || cleanup_queue.backend || ',') = 0
        AND cleanup_queue.backend NOT IN (SELECT elsewhere.name FROM elsewhere)
    ORDER BY cleanup_queue.due_ms, cleanup_queue.item_id
    LIMIT :count
    {{skip_locked}}
)
UPDATE cleanup_queue SET claimed_by = :owner, claimed_until_ms = :until_ms
WHERE cleanup_queue.item_id IN (SELECT due.item_id FROM due)
RETURNING item_id, backend, storage_key, backend_upload_id, size_bytes, reason, attempts, due_ms

-- finish_cleanup --
-- Take rows out whose bytes are gone; whoever deletes the row lowers the counter.
DELETE FROM cleanup_queue
WHERE cleanup_queue.item_id {{among(item_id bigint)}}
RETURNING backend, size_bytes

-- retry_cleanup --
-- Count a failed attempt and try again later.
UPDATE cleanup_queue SET
    attempts = attempts + 1, last_error = batch.error, due_ms = batch.next_try_ms, claimed_by = '', claimed_until_ms = 0
FROM {{batch(item_id bigint, error text, next_try_ms bigint)}}
WHERE cleanup_queue.item_id = batch.item_id AND cleanup_queue.item_id {{among(item_id bigint)}}

-- take_cleanup --
-- Take rows out of the queue, to be buried.
DELETE FROM cleanup_queue
WHERE cleanup_queue.item_id {{among(item_id bigint)}}
RETURNING item_id, backend, storage_key, backend_upload_id, size_bytes, reason, attempts

-- bury_cleanup --
-- Put rows into the dead-letter queue.
INSERT INTO cleanup_dlq (item_id, backend, storage_key, backend_upload_id, size_bytes, reason, attempts, last_error, buried_ms)
SELECT
    batch.item_id, batch.backend, batch.storage_key, batch.backend_upload_id, batch.size_bytes, batch.reason, batch.attempts,
    batch.last_error, batch.buried_ms
FROM {{batch(item_id bigint, backend text, storage_key text, backend_upload_id text, size_bytes bigint, reason text, attempts integer, last_error text, buried_ms bigint)}}
