"""CopyObject and UploadPartCopy, within and across buckets.

Where source and target share a backend, CopyObject lets the backend copy; else, and where a checksum must be computed, the bytes stream
through here. Parts always stream: a part's hash is needed for the whole object's, and a backend tells none of a range.
"""

from __future__ import annotations

from s3o_proxy.domain.errors import BackendError, BytesDiffer, NoSuchKey, PreconditionFailed
from s3o_proxy.domain.model import NewObject, StoredObject
from s3o_proxy.domain.placement import rank
from s3o_proxy.domain.ranges import RangeSpec, resolve
from s3o_proxy.domain.read_conditions import Reading, evaluate
from s3o_proxy.domain.storage_key import key_metadata
from s3o_proxy.operations.attempt import attempt, new_intent, reserve
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.copied_body import CopiedBody
from s3o_proxy.operations.multipart import store_part
from s3o_proxy.operations.write import Draft, commit, write_object
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import CopyObject, CopySource, ObjectCopied, UploadPartCopy

MAX_COPY_BYTES = 5 * 1024**3
"""AWS, CopyObject: "up to 5 GB in a single atomic action"; larger objects are copied by parts."""


async def copy_object(context: Context, operation: CopyObject) -> ObjectCopied:
    context.require_bucket(operation.bucket)
    source = await _find_source(context, operation.source)
    if source.size_bytes > MAX_COPY_BYTES:
        raise S3Error(
            "InvalidRequest", f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}"
        )
    draft = Draft(
        operation.bucket,
        operation.key,
        operation.description if operation.replace_metadata else source.description,
        operation.conditions,
    )
    if _hashes_carry_over(source, operation.checksum_algorithm):
        copied = await _copy_on_backend(context, draft, source)
        if copied is not None:
            return copied
    body = CopiedBody(context, source, None)
    body.want_checksum(operation.checksum_algorithm or next(iter(source.digests.checksums), "CRC64NVME"))
    written = await write_object(context, draft, body)
    return ObjectCopied(written.etag, context.clock(), written.digests)


async def upload_part_copy(context: Context, operation: UploadPartCopy) -> ObjectCopied:
    context.require_bucket(operation.bucket)
    upload = await context.metadata.find_upload(operation.bucket, operation.key, operation.upload_id)
    source = await _find_source(context, operation.source)
    byte_range = operation.range
    if byte_range is not None:
        if byte_range[1] >= source.size_bytes:
            raise S3Error("InvalidArgument", f"Range specified is not valid for source object of size: {source.size_bytes}")
        byte_range = resolve(RangeSpec(*byte_range), source.size_bytes)
    part = await store_part(context, upload, operation.part_number, CopiedBody(context, source, byte_range))
    return ObjectCopied(part.etag, part.modified_ms, part.digests, part=True)


async def _find_source(context: Context, source: CopySource) -> StoredObject:
    context.require_bucket(source.bucket)
    found = await context.metadata.find_object(source.bucket, source.key)
    if found is None:
        raise NoSuchKey(source.bucket, source.key)
    if evaluate(source.conditions, found.etag, found.modified_ms) is Reading.NOT_MODIFIED:
        raise PreconditionFailed("x-amz-copy-source-If-None-Match")  # A copy has no 304 (AWS, CopyObject).
    return found


def _hashes_carry_over(source: StoredObject, algorithm: str) -> bool:
    """The copy may keep the source's digests: same bytes, and none that only made sense of parts."""
    if source.digests.checksum_type == "COMPOSITE" or "-" in source.etag:
        return False
    return not algorithm or algorithm in source.digests.checksums


async def _copy_on_backend(context: Context, draft: Draft, source: StoredObject) -> ObjectCopied | None:
    """Let the backend copy, when the best place for the copy already holds the source; None when it does not."""
    ranked = rank(context.candidates(), context.usage.by_backend, context.snapshot.config.routing_strategy, source.size_bytes)
    candidate = ranked[0]
    from_key = next((copy.storage_key for copy in source.copies if copy.backend == candidate.name), None)
    if from_key is None:
        return None
    intent = new_intent(context, draft, candidate.name, source.size_bytes, "CopyObject")
    if not (await reserve(context, intent, candidate.quota_bytes)).granted:
        return None
    try:
        async with attempt(context, intent, "copy_failed") as this:
            backend = context.backends.get(candidate.name)
            traits = backend.traits
            context.lease.require()  # As for the last piece of a body.
            copied = await backend.copy(
                from_key,
                intent.storage_key,
                content_type=draft.description.headers.get("content-type", ""),
                metadata=key_metadata(draft.bucket, draft.key, intent.write_id),
            )
            this.landed = True
            if traits.etag_is_md5 and copied.etag != source.etag:
                raise BytesDiffer(backend.name, f"copied bytes with MD5 {copied.etag}, they had {source.etag}")
            new = NewObject(
                bucket=draft.bucket,
                key=draft.key,
                write_id=intent.write_id,
                size_bytes=source.size_bytes,
                etag=source.etag,
                modified_ms=context.clock(),
                description=draft.description,
                digests=source.digests,
            )
            await commit(context, new, draft.conditions)
    except BackendError:
        return None  # Streaming may still succeed, and tells best what is wrong.
    return ObjectCopied(new.etag, new.modified_ms, new.digests)
