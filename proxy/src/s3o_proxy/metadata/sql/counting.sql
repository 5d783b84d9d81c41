-- count_page --
-- Count a page of the objects, in the order of their key; by bucket, and where the page ended in each.
SELECT
    page.bucket,
    count(*) AS objects,
    CAST(sum(page.size_bytes) AS bigint) AS size_bytes,
    max(page.key) AS last_key
FROM (
    SELECT objects.bucket, objects.key, objects.size_bytes FROM objects
    WHERE (objects.bucket, objects.key) > (:bucket, :key)
    ORDER BY objects.bucket, objects.key
    LIMIT :count
) AS page
GROUP BY page.bucket
ORDER BY page.bucket

-- forget_counts --
-- Drop every count, before new ones take their place in the same transaction.
DELETE FROM bucket_usage

-- keep_counts --
-- Keep what was counted.
INSERT INTO bucket_usage (bucket, objects, size_bytes, counted_ms)
SELECT batch.bucket, batch.objects, batch.size_bytes, batch.counted_ms
FROM {{batch(bucket text, objects bigint, size_bytes bigint, counted_ms bigint)}}

-- bucket_usage --
-- What was counted last.
SELECT bucket_usage.bucket, bucket_usage.objects, bucket_usage.size_bytes FROM bucket_usage
