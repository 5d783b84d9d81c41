"""ListObjects (v1 and v2): the ledger alone answers."""

from __future__ import annotations

from s3o_proxy.domain.model import ListQuery
from s3o_proxy.operations.context import Context
from s3o_proxy.s3.operation import ListObjects, ListObjectsV2, ObjectsListed


async def list_objects(context: Context, operation: ListObjects | ListObjectsV2) -> ObjectsListed:
    context.require_bucket(operation.bucket)
    page = await context.metadata.list_objects(
        ListQuery(operation.bucket, operation.prefix, operation.delimiter, operation.after, operation.max_keys)
    )
    return ObjectsListed(operation, page.objects, page.prefixes, page.last if page.truncated else None)
