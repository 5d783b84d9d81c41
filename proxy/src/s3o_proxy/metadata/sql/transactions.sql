-- lock_names --
-- Take the transaction's locks, 64 bits wide, in the one order that all processes keep; alone, or beside others who share them.
SELECT CASE WHEN wanted.shared THEN pg_advisory_xact_lock_shared(wanted.id) ELSE pg_advisory_xact_lock(wanted.id) END
FROM (
    SELECT hashtextextended(batch.name, 0) AS id, bool_and(batch.shared) AS shared FROM {{batch(name text, shared boolean)}}
    GROUP BY id ORDER BY id
) AS wanted

-- lock_names @sqlite --
-- Nothing: one writer locks out all others.
SELECT batch.name FROM {{batch(name text)}} WHERE 0

-- lock_backends --
-- Hold the backends that are about to grant space, in name order.
SELECT backends.name, backends.fenced_by, backends.bucket FROM backends
WHERE backends.name {{among(name text)}}
ORDER BY backends.name
{{for_no_key_update}}

-- register_backends --
-- Make backends known to those who lock them.
INSERT INTO backends (name, registered_ms)
SELECT batch.name, {{now_ms}} FROM {{batch(name text)}} WHERE true
ON CONFLICT (name) DO NOTHING

-- locate_backends --
-- Note the buckets of backends that have none yet, and who says so of those that have this one; say which each has.
INSERT INTO backends (name, bucket, located_by, registered_ms)
SELECT batch.name, batch.bucket, :owner, {{now_ms}} FROM {{batch(name text, bucket text)}} WHERE true ORDER BY batch.name
ON CONFLICT (name) DO UPDATE SET
    bucket = CASE WHEN backends.bucket = '' THEN excluded.bucket ELSE backends.bucket END,
    located_by = CASE WHEN backends.bucket IN ('', excluded.bucket) THEN excluded.located_by ELSE backends.located_by END
RETURNING name, bucket

-- held_bytes --
-- What backends hold in all, over their stripes.
SELECT usage.backend, CAST(sum(usage.used_bytes + usage.orphan_bytes + usage.reserved_bytes) AS bigint) AS held_bytes
FROM usage
WHERE usage.backend {{among(name text)}}
GROUP BY usage.backend

-- settle_usage --
-- Add a transaction's byte movements to its stripe, in backend order.
INSERT INTO usage (backend, stripe, used_bytes, orphan_bytes, reserved_bytes, objects)
SELECT batch.backend, CAST(:stripe AS integer), batch.used, batch.orphan, batch.reserved, batch.objects
FROM {{batch(backend text, used bigint, orphan bigint, reserved bigint, objects bigint)}}
WHERE true
ORDER BY batch.backend
ON CONFLICT (backend, stripe) DO UPDATE SET
    used_bytes = usage.used_bytes + excluded.used_bytes,
    orphan_bytes = usage.orphan_bytes + excluded.orphan_bytes,
    reserved_bytes = usage.reserved_bytes + excluded.reserved_bytes,
    objects = usage.objects + excluded.objects
