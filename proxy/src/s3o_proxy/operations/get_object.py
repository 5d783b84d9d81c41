"""GetObject and HeadObject: everything but the bytes comes from the ledger, so conditions and ranges cost no egress."""

from __future__ import annotations

from s3o_proxy.domain.errors import BackendNotFound, NoCopyReadable, NoSuchKey, PreconditionFailed
from s3o_proxy.domain.model import StoredObject
from s3o_proxy.domain.ranges import part_range, resolve
from s3o_proxy.domain.read_conditions import Reading, evaluate
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.read import open_copy
from s3o_proxy.operations.whereabouts import bucket_here, looked_for_elsewhere
from s3o_proxy.s3.operation import GetObject, HeadObject, NotModified, ObjectRead


async def get_object(context: Context, operation: GetObject) -> ObjectRead | NotModified:
    context.require_bucket(operation.bucket)
    found, answer = await _look(context, operation, context.snapshot.server.location_max_age_ms)
    if isinstance(answer, NotModified) or isinstance(operation, HeadObject):
        return answer
    try:
        return await _opened(context, found, answer)
    except (BackendNotFound, NoCopyReadable) as error:
        # The object may have been replaced since we looked, and its old bytes cleaned up, or lie where nobody answers: look once more.
        again, answer = await _look(context, operation, 0)
        if isinstance(answer, NotModified):
            return answer
        if (again.write_id, again.copies) == (found.write_id, found.copies):
            if isinstance(error, NoCopyReadable):
                raise
            raise await _not_there(context, found) from None
    try:
        return await _opened(context, again, answer)
    except BackendNotFound:
        raise await _not_there(context, again) from None


async def _not_there(context: Context, found: StoredObject) -> NoCopyReadable:
    asked = {copy.backend: bucket_here(context, copy.backend) for copy in found.copies}
    return NoCopyReadable(dict.fromkeys(asked, "404") | await looked_for_elsewhere(context, asked))


async def _look(context: Context, operation: GetObject, max_age_ms: int) -> tuple[StoredObject, ObjectRead | NotModified]:
    most = context.snapshot.server.max_locations
    found = await context.metadata.locate_object(operation.bucket, operation.key, max_age_ms=max_age_ms, most=most)
    if found is None:
        raise NoSuchKey(operation.bucket, operation.key)
    if evaluate(operation.conditions, found.etag, found.modified_ms) is Reading.NOT_MODIFIED:
        return found, NotModified(found)
    byte_range, parts_count = _wanted_range(operation, found)
    return found, ObjectRead(found, byte_range, None, parts_count)


async def _opened(context: Context, found: StoredObject, answer: ObjectRead) -> ObjectRead:
    return ObjectRead(found, answer.byte_range, await open_copy(context, found, answer.byte_range), answer.parts_count)


def _wanted_range(operation: GetObject, found: StoredObject) -> tuple[tuple[int, int] | None, int | None]:
    if operation.part_number is not None:
        count = len(found.part_sizes) or None
        return part_range(found.part_sizes, operation.part_number, found.size_bytes), count
    if operation.range is not None and _range_applies(operation, found):
        return resolve(operation.range, found.size_bytes), None
    return None, None


def _range_applies(operation: GetObject, found: StoredObject) -> bool:
    """If-Range (RFC 9110 §13.1.5): of an object that is another one by now, the client needs the whole."""
    try:
        evaluate(operation.range_conditions, found.etag, found.modified_ms)
    except PreconditionFailed:
        return False
    return True
