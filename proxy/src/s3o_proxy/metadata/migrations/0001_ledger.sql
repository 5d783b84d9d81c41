-- The first schema. One statement per block; a block that opens with `-- @postgres` or `-- @sqlite` is for that engine alone.
-- Times are milliseconds since the epoch; names, keys and ids compare by their bytes.

-- Virtual buckets, remembered when first seen.
CREATE TABLE buckets (
    name {{text}} PRIMARY KEY,
    created_ms bigint NOT NULL
)

-- Committed objects. Maps and lists are JSON texts: nothing searches in them.
CREATE TABLE objects (
    bucket {{text}} NOT NULL,
    key {{text}} NOT NULL,
    write_id {{text}} NOT NULL,
    size_bytes bigint NOT NULL,
    etag {{text}} NOT NULL,
    modified_ms bigint NOT NULL,
    headers {{text}} NOT NULL,
    user_metadata {{text}} NOT NULL,
    checksums {{text}} NOT NULL,
    checksum_type {{text}} NOT NULL,
    content_hash {{text}} NOT NULL,
    part_sizes {{text}} NOT NULL,
    PRIMARY KEY (bucket, key),
    CONSTRAINT an_object_has_no_negative_size CHECK (size_bytes >= 0),
    CONSTRAINT an_object_has_a_key CHECK (key <> ''),
    CONSTRAINT a_checksum_is_full_or_composite CHECK (checksum_type IN ('FULL_OBJECT', 'COMPOSITE'))
)

-- Where the bytes of objects lie. `size_bytes` is what they occupy there. Nobody reads `state`: to take out a column that a constraint names,
-- SQLite would copy every row.
CREATE TABLE copies (
    bucket {{text}} NOT NULL,
    key {{text}} NOT NULL,
    backend {{text}} NOT NULL,
    storage_key {{text}} NOT NULL,
    size_bytes bigint NOT NULL,
    state {{text}} DEFAULT 'ready' NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (bucket, key, backend),
    CONSTRAINT a_copy_belongs_to_an_object FOREIGN KEY (bucket, key) REFERENCES objects (bucket, key),
    CONSTRAINT bytes_belong_to_one_copy UNIQUE (backend, storage_key),
    CONSTRAINT a_copy_has_no_negative_size CHECK (size_bytes >= 0),
    CONSTRAINT a_copy_is_ready CHECK (state IN ('ready'))
)

-- Writes that reserved space and are not committed. The committing transaction deletes the row: what stands here is not visible.
CREATE TABLE intents (
    write_id {{text}} NOT NULL,
    backend {{text}} NOT NULL,
    bucket {{text}} NOT NULL,
    key {{text}} NOT NULL,
    storage_key {{text}} NOT NULL,
    size_bytes bigint NOT NULL,
    owner {{text}} NOT NULL,
    created_ms bigint NOT NULL,
    upload_id {{text}} NOT NULL,
    part_number integer NOT NULL,
    PRIMARY KEY (write_id, backend),
    CONSTRAINT an_intent_has_no_negative_size CHECK (size_bytes >= 0),
    CONSTRAINT a_part_has_an_upload_and_a_number CHECK ((upload_id = '') = (part_number = 0))
)

CREATE INDEX intents_of_upload ON intents (upload_id, part_number) WHERE upload_id <> ''

-- One row per backend: who grants space with a quota locks it.
CREATE TABLE backends (
    name {{text}} PRIMARY KEY
)

-- What each backend holds, in stripes so that commits do not queue on one row: only the sum over the stripes means anything.
CREATE TABLE usage (
    backend {{text}} NOT NULL,
    stripe integer NOT NULL,
    used_bytes bigint NOT NULL,
    orphan_bytes bigint NOT NULL,
    reserved_bytes bigint NOT NULL,
    objects bigint NOT NULL,
    PRIMARY KEY (backend, stripe)
)

-- @postgres
-- Few rows, updated by every commit: room for new versions in the same page, and dead ones swept before readers feel them.
ALTER TABLE usage SET (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0)

-- @postgres
-- Every write passes through here once: the table stays small when its dead rows are swept often.
ALTER TABLE intents SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)

-- Multipart uploads in progress. `owner` is the instance that completes it now.
CREATE TABLE uploads (
    upload_id {{text}} PRIMARY KEY,
    bucket {{text}} NOT NULL,
    key {{text}} NOT NULL,
    write_id {{text}} NOT NULL,
    backend {{text}} NOT NULL,
    storage_key {{text}} NOT NULL,
    backend_upload_id {{text}} NOT NULL,
    initiated_ms bigint NOT NULL,
    headers {{text}} NOT NULL,
    user_metadata {{text}} NOT NULL,
    checksum_algorithm {{text}} NOT NULL,
    checksum_type {{text}} NOT NULL,
    state {{text}} NOT NULL,
    owner {{text}} NOT NULL,
    CONSTRAINT an_upload_is_open_or_completing CHECK (state IN ('open', 'completing')),
    CONSTRAINT bytes_belong_to_one_upload UNIQUE (backend, storage_key)
)

CREATE UNIQUE INDEX uploads_of_key ON uploads (bucket, key, upload_id)

CREATE INDEX uploads_by_age ON uploads (initiated_ms)

-- Parts that landed. `stored_bytes` is what one occupies on the backend; it stays reserved until the upload ends.
CREATE TABLE parts (
    upload_id {{text}} NOT NULL,
    part_number integer NOT NULL,
    size_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    etag {{text}} NOT NULL,
    backend_etag {{text}} NOT NULL,
    modified_ms bigint NOT NULL,
    checksums {{text}} NOT NULL,
    checksum_type {{text}} NOT NULL,
    content_hash {{text}} NOT NULL,
    PRIMARY KEY (upload_id, part_number),
    CONSTRAINT a_part_belongs_to_an_upload FOREIGN KEY (upload_id) REFERENCES uploads (upload_id)
)

-- Bytes nobody reads any more, still on a backend. With a backend_upload_id, also an upload to abort there.
CREATE TABLE cleanup_queue (
    item_id {{identity}},
    backend {{text}} NOT NULL,
    storage_key {{text}} NOT NULL,
    backend_upload_id {{text}} NOT NULL,
    size_bytes bigint NOT NULL,
    reason {{text}} NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_ms bigint NOT NULL,
    claimed_by {{text}} DEFAULT '' NOT NULL,
    claimed_until_ms bigint DEFAULT 0 NOT NULL,
    last_error {{text}} DEFAULT '' NOT NULL
)

-- @postgres
-- A queue: without frequent sweeps every claim would step over the dead rows of all that went before.
ALTER TABLE cleanup_queue SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)

CREATE INDEX cleanup_due ON cleanup_queue (due_ms, item_id)

CREATE INDEX cleanup_of_bytes ON cleanup_queue (backend, storage_key)

-- Cleanups out of attempts: a person decides.
CREATE TABLE cleanup_dlq (
    item_id bigint PRIMARY KEY,
    backend {{text}} NOT NULL,
    storage_key {{text}} NOT NULL,
    backend_upload_id {{text}} NOT NULL,
    size_bytes bigint NOT NULL,
    reason {{text}} NOT NULL,
    attempts integer NOT NULL,
    last_error {{text}} NOT NULL,
    buried_ms bigint NOT NULL
)

CREATE INDEX cleanup_dlq_of_bytes ON cleanup_dlq (backend, storage_key)

-- Work on single objects (replicate, move, …), written in the transaction that makes it necessary.
CREATE TABLE tasks (
    task_id {{identity}},
    kind {{text}} NOT NULL,
    bucket {{text}} NOT NULL,
    key {{text}} NOT NULL,
    write_id {{text}} NOT NULL,
    payload {{text}} NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_ms bigint NOT NULL,
    claimed_by {{text}} DEFAULT '' NOT NULL,
    claimed_until_ms bigint DEFAULT 0 NOT NULL,
    last_error {{text}} DEFAULT '' NOT NULL,
    CONSTRAINT one_task_of_a_kind_per_write UNIQUE (kind, bucket, key, write_id)
)

CREATE INDEX tasks_due ON tasks (kind, due_ms, task_id)

-- Events for the world outside, written in the transaction that makes them true.
CREATE TABLE outbox (
    event_id {{identity}},
    kind {{text}} NOT NULL,
    bucket {{text}} NOT NULL,
    key {{text}} NOT NULL,
    payload {{text}} NOT NULL,
    occurred_ms bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_ms bigint NOT NULL,
    claimed_by {{text}} DEFAULT '' NOT NULL,
    claimed_until_ms bigint DEFAULT 0 NOT NULL,
    last_error {{text}} DEFAULT '' NOT NULL
)

CREATE INDEX outbox_due ON outbox (due_ms, event_id)

-- Who may do what only one may do, and until when. `epoch` grows whenever the owner changes.
CREATE TABLE leases (
    name {{text}} PRIMARY KEY,
    owner {{text}} NOT NULL,
    epoch bigint NOT NULL,
    expires_ms bigint NOT NULL
)

-- One-shot operations that a custom resource asked for (drain, rebalance, …): durable, resumable, cancelled by a state.
CREATE TABLE operations (
    cr_uid {{text}} NOT NULL,
    kind {{text}} NOT NULL,
    token {{text}} NOT NULL,
    state {{text}} NOT NULL,
    target {{text}} NOT NULL,
    progress {{text}} NOT NULL,
    message {{text}} NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    PRIMARY KEY (cr_uid, kind, token),
    CONSTRAINT an_operation_has_a_known_state CHECK (state IN ('pending', 'running', 'cancelling', 'done', 'failed', 'cancelled'))
)
