-- operation_of_token --
-- The operation that somebody asked for by this token.
SELECT operations.* FROM operations
WHERE operations.subject = :subject AND operations.kind = :kind AND operations.token = :token

-- operation_on_target --
-- The operation of a kind that is at work on a target.
SELECT operations.* FROM operations
WHERE
    operations.kind = :kind AND operations.backend = :backend AND operations.bucket = :bucket
    AND operations.state IN ('Pending', 'Running', 'Stalled')

-- find_operation --
-- One operation.
SELECT operations.* FROM operations
WHERE operations.operation_id = :operation_id

-- list_operations --
-- The newest operations, of one subject or (with '') of all; and however old it is, what is at work or keeps a backend closed.
SELECT operations.* FROM operations
WHERE
    (:subject = '' OR operations.subject = :subject)
    AND (
        operations.state IN ('Pending', 'Running', 'Stalled')
        OR operations.operation_id IN (SELECT backends.fenced_by FROM backends)
        OR operations.operation_id IN (
            SELECT newest.operation_id FROM operations AS newest
            WHERE :subject = '' OR newest.subject = :subject
            ORDER BY newest.created_ms DESC, newest.operation_id DESC
            LIMIT :count
        )
    )
ORDER BY operations.created_ms DESC, operations.operation_id DESC

-- active_operations --
-- What somebody has to work on, the oldest first.
SELECT operations.* FROM operations
WHERE operations.state IN ('Pending', 'Running', 'Stalled')
ORDER BY operations.created_ms, operations.operation_id

-- put_operation --
-- Ask for an operation.
INSERT INTO operations (
    operation_id, kind, subject, token, backend, bucket, state, reason, message, plan, progress, created_ms, started_ms, finished_ms, updated_ms
)
SELECT
    batch.operation_id, batch.kind, batch.subject, batch.token, batch.backend, batch.bucket, batch.state, batch.reason, batch.message,
    batch.plan, batch.progress, batch.created_ms, batch.started_ms, batch.finished_ms, batch.updated_ms
FROM {{batch(operation_id text, kind text, subject text, token text, backend text, bucket text, state text, reason text, message text, plan text, progress text, created_ms bigint, started_ms bigint, finished_ms bigint, updated_ms bigint)}}

-- record_operation --
-- Note how far an operation is, unless it ended or was cancelled meanwhile.
UPDATE operations SET
    state = batch.state, reason = batch.reason, message = batch.message, plan = batch.plan, progress = batch.progress,
    started_ms = batch.started_ms, finished_ms = batch.finished_ms, updated_ms = batch.updated_ms
FROM {{batch(operation_id text, state text, reason text, message text, plan text, progress text, started_ms bigint, finished_ms bigint, updated_ms bigint)}}
WHERE
    operations.operation_id = batch.operation_id AND operations.operation_id {{among(operation_id text)}}
    AND operations.state IN ('Pending', 'Running', 'Stalled')
RETURNING operations.operation_id

-- cancel_operation --
-- End an operation that somebody works on, or a drain that is done.
UPDATE operations SET
    state = 'Cancelled', reason = '', message = '', updated_ms = :now_ms,
    finished_ms = CASE WHEN operations.finished_ms = 0 THEN :now_ms ELSE operations.finished_ms END
WHERE
    operations.operation_id = :operation_id
    AND (operations.state IN ('Pending', 'Running', 'Stalled') OR (operations.kind = 'Drain' AND operations.state = 'Succeeded'))

-- fence_backend --
-- Close a backend to new writes.
INSERT INTO backends (name, fenced_by) VALUES (:backend, :operation_id)
ON CONFLICT (name) DO UPDATE SET fenced_by = excluded.fenced_by

-- open_backend --
-- Open a backend to writes again, unless a later operation closed it too.
UPDATE backends SET fenced_by = '' WHERE backends.name = :backend AND backends.fenced_by = :operation_id

-- fences --
-- The backends that take no new writes.
SELECT backends.name FROM backends WHERE backends.fenced_by <> ''

-- remains --
-- What still mentions bytes on a backend, all as of one moment: no row becomes another one unseen.
SELECT
    EXISTS (SELECT 1 FROM copies WHERE copies.backend = :backend) AS has_copies,
    (SELECT CAST(coalesce(sum(usage.objects), 0) AS bigint) FROM usage WHERE usage.backend = :backend) AS copies,
    (SELECT CAST(coalesce(sum(usage.used_bytes), 0) AS bigint) FROM usage WHERE usage.backend = :backend) AS copy_bytes,
    (SELECT count(*) FROM intents WHERE intents.backend = :backend AND intents.upload_id = '') AS intents,
    (SELECT count(*) FROM uploads WHERE uploads.backend = :backend) AS uploads,
    (SELECT count(*) FROM cleanup_queue WHERE cleanup_queue.backend = :backend) AS cleanups,
    (SELECT count(*) FROM cleanup_dlq WHERE cleanup_dlq.backend = :backend) AS dead,
    coalesce((
        SELECT cleanup_dlq.last_error FROM cleanup_dlq WHERE cleanup_dlq.backend = :backend ORDER BY cleanup_dlq.storage_key LIMIT 1
    ), (
        SELECT max(cleanup_queue.last_error) FROM cleanup_queue WHERE cleanup_queue.backend = :backend
    ), '') AS error

-- hasten_cleanup --
-- Try the deletions on a backend that failed before again by then. First tries keep their time: bytes may still be on their way.
UPDATE cleanup_queue SET due_ms = :due_ms
WHERE cleanup_queue.backend = :backend AND cleanup_queue.attempts > 0 AND cleanup_queue.due_ms > :due_ms

-- forget_usage --
-- Forget the counters of a backend that holds nothing.
DELETE FROM usage WHERE usage.backend = :backend

-- forget_backend --
-- Forget a backend that holds nothing.
DELETE FROM backends WHERE backends.name = :backend
