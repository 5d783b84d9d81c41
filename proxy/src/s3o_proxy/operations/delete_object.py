"""DeleteObject and DeleteObjects: rows first. The bytes become cleanup rows in the same transaction, and the cleanup deletes them."""

from __future__ import annotations

import asyncio

from s3o_proxy.domain.errors import DomainError
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.document import read_document
from s3o_proxy.operations.finish import finish
from s3o_proxy.s3.errors import S3Error, to_s3_error
from s3o_proxy.s3.operation import Deleted, DeleteFailure, DeleteObject, DeleteObjects, KeyToDelete, ObjectsDeleted
from s3o_proxy.s3.xml import parse_delete

DELETE_BODY_BYTES = 4 * 1024**2
"""1,000 keys of 1,024 bytes, each byte written as a character reference of three, and their elements."""


async def delete_object(context: Context, operation: DeleteObject) -> Deleted:
    context.require_bucket(operation.bucket)
    deletion = await finish(context.metadata.delete_object(operation.bucket, operation.key, context.clock(), operation.conditions))
    if deletion.existed:
        context.wake_cleanup()
    return Deleted()


async def delete_objects(context: Context, operation: DeleteObjects) -> ObjectsDeleted:
    """Each key is deleted or refused by itself; one key's trouble is no other's."""
    context.require_bucket(operation.bucket)
    request = await read_document(context.body, DELETE_BODY_BYTES, parse_delete)
    async with asyncio.TaskGroup() as group:
        outcomes = [group.create_task(_delete_one(context, operation.bucket, each)) for each in request.keys]
    failed = tuple(failure for failure in (outcome.result() for outcome in outcomes) if failure is not None)
    refused = {failure.key for failure in failed}
    deleted = () if request.quiet else tuple(each.key for each in request.keys if each.key not in refused)
    return ObjectsDeleted(deleted, failed)


async def _delete_one(context: Context, bucket: str, target: KeyToDelete) -> DeleteFailure | None:
    if target.version_id not in ("", "null"):  # Without versioning an object has one version, and `null` is its name.
        missing = S3Error("NoSuchVersion")
        return DeleteFailure(target.key, missing.code, missing.message)
    try:
        await delete_object(context, DeleteObject(bucket, target.key, target.conditions))
    except DomainError as error:
        answer = to_s3_error(error)
        return DeleteFailure(target.key, answer.code, answer.message)
    return None
