"""CompleteMultipartUpload: claim → check → join on the backend → commit. No byte moves.

Between join and commit the bytes are an object that only the upload's row mentions. A retry after a crash there finds the upload
`completing`: the backend no longer knows it, so the object itself is looked at instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from s3o_proxy.backends.port import Backend
from s3o_proxy.domain.conditions import refusal
from s3o_proxy.domain.errors import (
    BackendNotFound,
    BackendRejected,
    BadDigest,
    InvalidPart,
    MetadataError,
    NoSuchKey,
    NoSuchUpload,
    OutcomeUnknown,
    PreconditionFailed,
)
from s3o_proxy.domain.model import ChecksumType, Digests, Intent, NewObject, Part, Upload
from s3o_proxy.domain.multipart import FinishedPart, chosen_parts
from s3o_proxy.operations.attempt import abandon, certainly_not_landed
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.document import read_document
from s3o_proxy.operations.finish import finish
from s3o_proxy.operations.multipart import end_upload
from s3o_proxy.operations.whereabouts import require_there
from s3o_proxy.s3.checksums import combine_full_object, composite, multipart_etag
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import CompleteMultipartUpload, UploadCompleted
from s3o_proxy.s3.xml import parse_complete_multipart_upload

COMPLETE_BODY_BYTES = 8 * 1024**2
"""10,000 parts with an ETag and a checksum each, generously indented."""

_MD5 = re.compile("[0-9a-f]{32}")


async def complete_multipart_upload(context: Context, operation: CompleteMultipartUpload) -> UploadCompleted:
    """Once its list is read, a Complete runs to its end although the client hangs up: a claim must not outlive the one who made it."""
    context.require_bucket(operation.bucket)
    finished = await read_document(context.body, COMPLETE_BODY_BYTES, parse_complete_multipart_upload)
    return await finish(_complete(context, operation, finished))


async def _complete(context: Context, operation: CompleteMultipartUpload, finished: Sequence[FinishedPart]) -> UploadCompleted:
    etag = _joined_etag(finished)
    try:
        await context.metadata.find_upload(operation.bucket, operation.key, operation.upload_id)
    except NoSuchUpload:
        return await _completed_before(context, operation, etag)
    claimed = context.lease.now()
    upload = await _claim(context, operation.upload_id, etag)
    joined = landed = False
    try:
        parts = chosen_parts(finished, await _stored_parts(context, upload))
        new = _new_object(context, upload, parts, etag, operation)
        await _check_early(context, operation)
        context.lease.require()  # What is joined after our claim has ended might come after the cleanup of an Abort.
        joined = True  # From here on it may be an object there, whatever we hear.
        await _join(context, upload, parts, new.size_bytes)
        landed = True
        await context.metadata.commit_complete(upload.upload_id, new, operation.conditions)
    except (PreconditionFailed, NoSuchKey):
        await _refuse(context, upload, joined=joined)
        raise
    except NoSuchUpload:
        if landed:
            # Our claim ended and somebody aborted the upload, or completed it: only the ledger knows whether the object is anybody's.
            await abandon(context, _joined(upload, new.size_bytes), "complete_lost", context.clock())
        else:
            await _release(context, upload, may_be_complete=not context.lease.lasts_since(claimed))
        raise
    except BaseException as error:
        # Where our lease had ended, another may have claimed the upload and joined it: then it is not for us to call it open.
        certain = not joined or _certainly_not_joined(error)
        await _release(context, upload, may_be_complete=not certain or not context.lease.lasts_since(claimed))
        raise
    context.wake_cleanup()
    return UploadCompleted(upload.bucket, upload.key, new.etag, new.digests)


def _joined_etag(finished: Sequence[FinishedPart]) -> str:
    """What the parts become, before anybody looks at them: an ETag of theirs is the MD5 of bytes. Raises InvalidPart where one is none."""
    for part in finished:
        if not _MD5.fullmatch(part.etag):
            raise InvalidPart(part.part_number)
    return multipart_etag([part.etag for part in finished])


async def _claim(context: Context, upload_id: str, etag: str) -> Upload:
    try:
        return await context.metadata.begin_complete(upload_id, context.instance, context.clock(), etag)
    except OutcomeUnknown:
        _release_later(context, upload_id)  # The claim may stand, and nobody else could complete the upload while we live.
        raise


async def _completed_before(context: Context, operation: CompleteMultipartUpload, etag: str) -> UploadCompleted:
    """A client that lost our answer asks again (AWS: Complete is idempotent). An upload's id is the write id of its object."""
    found = await context.metadata.find_object(operation.bucket, operation.key)
    if found is None or found.write_id != operation.upload_id or found.etag != etag:
        raise NoSuchUpload(operation.upload_id)
    return UploadCompleted(found.bucket, found.key, found.etag, found.digests)


async def _stored_parts(context: Context, upload: Upload) -> dict[int, Part]:
    parts, _ = await context.metadata.list_parts(upload.upload_id, 0, 10_000)
    return {part.part_number: part for part in parts}


async def _check_early(context: Context, operation: CompleteMultipartUpload) -> None:
    """Refuse what is already known to fail while the upload can still be kept; the commit decides again, finally."""
    if operation.conditions:
        found = await context.metadata.find_object(operation.bucket, operation.key)
        refused = refusal(operation.bucket, operation.key, found.etag if found else None, operation.conditions)
        if refused is not None:
            raise refused


async def _join(context: Context, upload: Upload, parts: Sequence[Part], size_bytes: int) -> None:
    backend = context.backends.get(upload.backend)
    bucket = backend.bucket
    try:
        await backend.complete_multipart(
            upload.storage_key, upload.backend_upload_id, [(part.part_number, part.backend_etag) for part in parts]
        )
    except BackendNotFound:
        await require_there(context, upload.backend, bucket)
        if upload.state != "completing":
            raise NoSuchUpload(upload.upload_id) from None
        await _find_joined(backend, upload, size_bytes)
    except BackendRejected as error:
        if error.code in ("InvalidPart", "InvalidPartOrder"):
            raise InvalidPart(parts[0].part_number) from error
        raise


async def _find_joined(backend: Backend, upload: Upload, size_bytes: int) -> None:
    """An earlier attempt joined these very parts and died before its commit: the object must be there, whole."""
    try:
        found = await backend.head(upload.storage_key)
    except BackendNotFound:
        raise NoSuchUpload(upload.upload_id) from None
    if found.size_bytes != size_bytes:
        raise InvalidPart(1)


def _certainly_not_joined(error: BaseException) -> bool:
    return isinstance(error, InvalidPart) or certainly_not_landed(error, None)


def _joined(upload: Upload, size_bytes: int) -> Intent:
    """The object that was joined of an upload, as bytes that nobody committed."""
    return Intent(
        write_id=upload.write_id,
        bucket=upload.bucket,
        key=upload.key,
        backend=upload.backend,
        storage_key=upload.storage_key,
        size_bytes=size_bytes,
        owner="",
        created_ms=upload.initiated_ms,
    )


async def _refuse(context: Context, upload: Upload, *, joined: bool) -> None:
    """A condition does not hold. The upload survives where its parts were not joined yet; afterwards there is nothing to keep."""
    if joined:
        await end_upload(context, upload.upload_id, "upload_precondition_failed")
    else:
        await _release(context, upload, may_be_complete=False)


async def _release(context: Context, upload: Upload, *, may_be_complete: bool) -> None:
    """Let others try. If the commit's outcome is unknown and it happened, there is no upload left to release."""
    try:
        may_be_complete = may_be_complete or upload.state == "completing"
        await context.metadata.end_complete(upload.upload_id, context.instance, may_be_complete=may_be_complete)
    except MetadataError:
        _release_later(context, upload.upload_id)
    except NoSuchUpload:
        return


def _release_later(context: Context, upload_id: str) -> None:
    async def settle() -> None:
        try:
            await context.metadata.end_complete(upload_id, context.instance, may_be_complete=True)
        except NoSuchUpload:
            return

    context.forsaken.add(upload_id, settle)


def _new_object(context: Context, upload: Upload, parts: Sequence[Part], etag: str, operation: CompleteMultipartUpload) -> NewObject:
    size_bytes = sum(part.size_bytes for part in parts)
    if operation.object_size_bytes is not None and operation.object_size_bytes != size_bytes:
        raise S3Error(
            "InvalidRequest", f"The parts have {size_bytes} bytes together, x-amz-mp-object-size says {operation.object_size_bytes}."
        )
    backend = context.snapshot.backend(upload.backend)
    limit = context.snapshot.server.max_object_size_bytes
    if backend is not None and backend.max_object_size_bytes is not None:
        limit = min(limit, backend.max_object_size_bytes)  # Its parts lie there already: no other backend can take them.
    if size_bytes > limit:
        raise S3Error("EntityTooLarge", f"The parts have {size_bytes} bytes together; an object may have {limit}.")
    return NewObject(
        bucket=upload.bucket,
        key=upload.key,
        write_id=upload.write_id,
        size_bytes=size_bytes,
        etag=etag,
        modified_ms=context.clock(),
        description=upload.description,
        digests=_digests(upload, parts, operation),
        part_sizes=tuple(part.size_bytes for part in parts),
    )


def _digests(upload: Upload, parts: Sequence[Part], operation: CompleteMultipartUpload) -> Digests:
    """The object's checksums out of its parts'. Raises BadDigest where the client promised another value, InvalidRequest where he promised
    one of an algorithm or a type that this upload has none of: what cannot be held against the bytes must not look as if it had been."""
    content_hash = combine_full_object("CRC64NVME", [(part.digests.content_hash, part.size_bytes) for part in parts])
    algorithm = upload.checksum_algorithm or "CRC64NVME"
    kind: ChecksumType = upload.checksum_type if upload.checksum_algorithm else "FULL_OBJECT"
    if algorithm == "CRC64NVME":
        value = content_hash
    elif kind == "FULL_OBJECT":
        value = combine_full_object(algorithm, [(part.digests.checksums[algorithm], part.size_bytes) for part in parts])
    else:
        value = composite(algorithm, [part.digests.checksums[algorithm] for part in parts])
    if operation.checksum_type not in (None, kind):
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {kind} checksum mode. The complete request must use the same checksum mode.",
        )
    for name, expected in operation.checksums.items():
        if name != algorithm:
            raise S3Error(
                "InvalidRequest",
                f"The upload has a checksum by {algorithm.lower()}. The complete request cannot promise one by {name.lower()}.",
            )
        if expected not in (value, value.rpartition("-")[0]):
            raise BadDigest(f"x-amz-checksum-{name.lower()}")
    return Digests(content_hash, {algorithm: value}, kind)
