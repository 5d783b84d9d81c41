-- Operations get an id, a subject and figures of their own, and a backend can be fenced against new writes.
-- The table of 0001 was never written to.

DROP TABLE operations

-- One-shot operations that a custom resource asked for: durable, resumable, cancelled by a state. `plan` and `progress` are JSON texts.
-- An operation on no backend, or on no bucket, has '' there.
CREATE TABLE operations (
    operation_id {{text}} PRIMARY KEY,
    kind {{text}} NOT NULL,
    subject {{text}} NOT NULL,
    token {{text}} NOT NULL,
    backend {{text}} NOT NULL,
    bucket {{text}} NOT NULL,
    state {{text}} NOT NULL,
    reason {{text}} NOT NULL,
    message {{text}} NOT NULL,
    plan {{text}} NOT NULL,
    progress {{text}} NOT NULL,
    created_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    finished_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    CONSTRAINT a_token_asks_once UNIQUE (subject, kind, token),
    CONSTRAINT an_operation_has_a_known_kind CHECK (kind IN ('Drain', 'Rebalance', 'Purge')),
    CONSTRAINT an_operation_has_a_known_state CHECK (state IN ('Pending', 'Running', 'Stalled', 'Succeeded', 'Failed', 'Cancelled'))
)

CREATE UNIQUE INDEX one_active_operation_of_a_kind_and_target ON operations (kind, backend, bucket)
WHERE state IN ('Pending', 'Running', 'Stalled')

CREATE INDEX operations_by_age ON operations (created_ms, operation_id)

-- The operation that closed a backend to new writes, '' where none did: a reservation reads it in its own transaction.
ALTER TABLE backends ADD COLUMN fenced_by {{text}} DEFAULT '' NOT NULL
