"""Operation → story. The table is the list of what this proxy serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from s3o_proxy.operations import buckets, multipart
from s3o_proxy.operations.complete_upload import complete_multipart_upload
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.copy_object import copy_object, upload_part_copy
from s3o_proxy.operations.delete_object import delete_object, delete_objects
from s3o_proxy.operations.get_object import get_object
from s3o_proxy.operations.list_objects import list_objects
from s3o_proxy.operations.put_object import put_object
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.errors import S3Error

Story = Callable[[Context, Any], Awaitable[ops.Result]]

STORIES: dict[type[ops.Operation], Story] = {
    ops.GetObject: get_object,
    ops.HeadObject: get_object,
    ops.PutObject: put_object,
    ops.CopyObject: copy_object,
    ops.DeleteObject: delete_object,
    ops.DeleteObjects: delete_objects,
    ops.ListObjects: list_objects,
    ops.ListObjectsV2: list_objects,
    ops.CreateMultipartUpload: multipart.create_multipart_upload,
    ops.UploadPart: multipart.upload_part,
    ops.UploadPartCopy: upload_part_copy,
    ops.CompleteMultipartUpload: complete_multipart_upload,
    ops.AbortMultipartUpload: multipart.abort_multipart_upload,
    ops.ListParts: multipart.list_parts,
    ops.ListMultipartUploads: multipart.list_multipart_uploads,
    ops.ListBuckets: buckets.list_buckets,
    ops.CreateBucket: buckets.create_bucket,
    ops.HeadBucket: buckets.head_bucket,
    ops.GetBucketLocation: buckets.get_bucket_location,
    ops.GetUnconfigured: buckets.get_unconfigured,
}


async def perform(context: Context, operation: ops.Operation) -> ops.Result:
    """Raises DomainError subclasses and S3Error; 501 NotImplemented for what S3 has and this proxy has not."""
    if isinstance(operation, ops.Unsupported):
        raise S3Error("NotImplemented", f"{operation.operation} is not implemented.")
    return await STORIES[type(operation)](context, operation)
