"""Multipart uploads, on the backend's own: parts pass straight through, and what they reserve grows part by part.

An upload is pinned to the backend where it began, since its parts must lie where Complete joins them.
"""

from __future__ import annotations

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import (
    AllBackendsFailed,
    BackendError,
    BackendFenced,
    BackendNotFound,
    BackendRejected,
    BackendUnavailable,
    NoBackendAccepts,
    NoSuchUpload,
    OutcomeUnknown,
    QuotaExceeded,
    TooManyUploads,
    UploadBusy,
    WriteLost,
)
from s3o_proxy.domain.model import Intent, Part, Upload
from s3o_proxy.domain.placement import rank_for_upload
from s3o_proxy.domain.storage_key import key_metadata, storage_key
from s3o_proxy.operations.attempt import StartedBody, certainly_not_landed, now_or_later, reserve
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.finish import finish
from s3o_proxy.operations.whereabouts import bucket_here, looked_for_elsewhere, require_there
from s3o_proxy.operations.write import agreed_etag, ask_for_digests, blamed, digests_of
from s3o_proxy.s3.body import Body
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    CreateMultipartUpload,
    Deleted,
    ListMultipartUploads,
    ListParts,
    PartsListed,
    PartWritten,
    UploadCreated,
    UploadPart,
    UploadsListed,
)


async def create_multipart_upload(context: Context, operation: CreateMultipartUpload) -> UploadCreated:
    """Row first, then the backend: a crash in between leaves a row that the stale-upload worker clears, never an upload nobody knows."""
    limit = context.require_bucket(operation.bucket).max_multipart_uploads
    ranked = rank_for_upload(context.candidates(), context.usage.by_backend, context.snapshot.config.routing_strategy)
    if not ranked:
        raise QuotaExceeded(1, 0)
    failures: dict[str, str] = {}
    fenced: list[str] = []
    for candidate in ranked:
        try:
            return UploadCreated(await _create_on(context, operation, candidate.name, limit))
        except BackendFenced:
            fenced.append(candidate.name)
        except BackendError as error:
            failures[candidate.name] = str(error)
    failures |= await looked_for_elsewhere(context, {name: bucket_here(context, name) for name in fenced})
    if not failures:
        raise NoBackendAccepts(tuple(candidate.name for candidate in ranked))
    raise AllBackendsFailed(failures)


async def _create_on(context: Context, operation: CreateMultipartUpload, backend_name: str, limit: int | None) -> Upload:
    write_id = context.new_id()
    upload = Upload(
        upload_id=write_id,  # So that a repeated Complete can see that its object is already there.
        bucket=operation.bucket,
        key=operation.key,
        write_id=write_id,
        backend=backend_name,
        storage_key=storage_key(operation.bucket, operation.key, write_id),
        backend_upload_id="",
        initiated_ms=context.clock(),
        description=operation.description,
        checksum_algorithm=operation.checksum_algorithm,
        checksum_type=operation.checksum_type,
    )
    bucket = context.backends.get(backend_name).bucket
    asked = answered = False
    try:
        await finish(context.metadata.create_upload(upload, limit, bucket))
        backend = context.backends.get(backend_name)
        if backend.bucket != bucket:
            raise BackendUnavailable(backend_name, "was given another bucket meanwhile")
        asked = True
        backend_upload_id = await backend.create_multipart(
            upload.storage_key,
            content_type=operation.description.headers.get("content-type", ""),
            metadata=key_metadata(operation.bucket, operation.key, write_id),
        )
        answered = True
        await finish(context.metadata.open_upload(upload.upload_id, backend_upload_id))
    except (TooManyUploads, BackendFenced):
        raise  # Nothing was created.
    except BaseException as error:
        # The backend may just be creating it: looked for too early, it would not be found.
        may_come = asked and not answered and not certainly_not_landed(error, None)
        settle_ms = context.snapshot.settle_ms(backend_name, "CreateMultipartUpload") if may_come else 0
        await end_upload(context, upload.upload_id, "upload_create_failed", settle_ms)
        raise
    return upload


async def upload_part(context: Context, operation: UploadPart) -> PartWritten:
    context.require_bucket(operation.bucket)
    upload = await context.metadata.find_upload(operation.bucket, operation.key, operation.upload_id)
    part = await store_part(context, upload, operation.part_number, context.body)
    return PartWritten(part.etag, part.digests)


async def store_part(context: Context, upload: Upload, part_number: int, body: Body) -> Part:
    """reserve → upload → commit for one part. Raises QuotaExceeded, NoSuchUpload, UploadBusy, BodyError, BackendError, …"""
    intent = Intent(
        write_id=context.new_id(),
        bucket=upload.bucket,
        key=upload.key,
        backend=upload.backend,
        storage_key=upload.storage_key,
        size_bytes=body.size_bytes,
        owner=context.instance,
        created_ms=context.clock(),
        upload_id=upload.upload_id,
        part_number=part_number,
    )
    await _reserve_part(context, intent)
    source = StartedBody(body, context.lease)
    try:
        part = await _upload_part(context, upload, intent, source)
        await finish(context.metadata.commit_part(intent.write_id, part))
    except OutcomeUnknown:
        _forsake_part(context, intent.write_id)  # I8: it may be committed; only an intent that is still there was not.
        raise
    except WriteLost:
        raise
    except BaseException as error:
        await _release_part(context, intent.write_id, certainly_not_landed=certainly_not_landed(error, source))
        if isinstance(error, BackendNotFound):
            raise NoSuchUpload(upload.upload_id) from error
        raise
    return part


async def _reserve_part(context: Context, intent: Intent) -> None:
    config = context.snapshot.backend(intent.backend)
    if config is None:
        # Of a backend that came while this request was under way the quota is not known: None would be a quota without limit (I3).
        raise BackendUnavailable(intent.backend, "is not configured")
    answer = await reserve(context, intent, config.quota_bytes)
    if not answer.granted:
        raise QuotaExceeded(intent.size_bytes, answer.free_bytes)


async def _upload_part(context: Context, upload: Upload, intent: Intent, source: StartedBody) -> Part:
    backend = context.backends.get(upload.backend)
    body, bucket, traits = source.body, backend.bucket, backend.traits
    ask_for_digests(body, traits)
    if upload.checksum_algorithm:
        body.want_checksum(upload.checksum_algorithm)
    try:
        stored = await backend.upload_part(
            upload.storage_key,
            upload.backend_upload_id,
            intent.part_number,
            source,
            intent.size_bytes,
            content_md5=body.content_md5 if traits.verifies_content_md5 else "",
        )
    except BackendNotFound:
        await require_there(context, upload.backend, bucket)
        raise
    except BackendRejected as error:
        raise blamed(error) from error
    return Part(
        part_number=intent.part_number,
        size_bytes=intent.size_bytes,
        etag=agreed_etag(backend.name, traits, stored.etag, body.md5_hex),
        backend_etag=stored.etag,
        modified_ms=context.clock(),
        digests=digests_of(body),
    )


async def _release_part(context: Context, write_id: str, *, certainly_not_landed: bool) -> None:
    await now_or_later(context, write_id, lambda: context.metadata.release_part(write_id, certainly_not_landed=certainly_not_landed))


def _forsake_part(context: Context, write_id: str) -> None:
    context.forsaken.add(write_id, lambda: context.metadata.release_part(write_id, certainly_not_landed=False))


async def abort_multipart_upload(context: Context, operation: AbortMultipartUpload) -> Deleted:
    context.require_bucket(operation.bucket)
    upload = await context.metadata.find_upload(operation.bucket, operation.key, operation.upload_id)
    settle_ms = context.snapshot.settle_ms(upload.backend, "CompleteMultipartUpload")
    await finish(context.metadata.abort_upload(upload.upload_id, "upload_aborted", context.clock(), settle_ms=settle_ms))
    context.wake_cleanup()
    return Deleted()


async def end_upload(context: Context, upload_id: str, reason: Reason, settle_ms: int = 0) -> None:
    """Give up an upload that failed, now or as soon as the database lets us: while we live nobody else may end what we claimed.
    `settle_ms`: for how long the backend may still be creating it."""

    async def end() -> None:
        try:
            await context.metadata.abort_upload(
                upload_id, reason, context.clock(), context.instance, settle_ms=settle_ms, may_come=settle_ms > 0
            )
        except (NoSuchUpload, UploadBusy):
            return
        context.wake_cleanup()

    await now_or_later(context, upload_id, end)


async def list_parts(context: Context, operation: ListParts) -> PartsListed:
    context.require_bucket(operation.bucket)
    upload = await context.metadata.find_upload(operation.bucket, operation.key, operation.upload_id)
    parts, truncated = await context.metadata.list_parts(upload.upload_id, operation.after, operation.max_parts)
    return PartsListed(operation, upload, parts, truncated)


async def list_multipart_uploads(context: Context, operation: ListMultipartUploads) -> UploadsListed:
    context.require_bucket(operation.bucket)
    page = await context.metadata.list_uploads(
        operation.bucket,
        operation.prefix,
        operation.delimiter,
        operation.key_marker,
        operation.upload_id_marker,
        operation.max_uploads,
    )
    return UploadsListed(operation, page.uploads, page.prefixes, page.truncated)
