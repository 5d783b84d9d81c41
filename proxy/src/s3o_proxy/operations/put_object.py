"""PutObject."""

from __future__ import annotations

from s3o_proxy.operations.context import Context
from s3o_proxy.operations.write import Draft, write_object
from s3o_proxy.s3.operation import ObjectWritten, PutObject


async def put_object(context: Context, operation: PutObject) -> ObjectWritten:
    context.require_bucket(operation.bucket)
    draft = Draft(operation.bucket, operation.key, operation.description, operation.conditions)
    return await write_object(context, draft, context.body)
