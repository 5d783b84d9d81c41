"""May this credential do this? A credential has everything in its own buckets and nothing outside; nobody learns what exists elsewhere."""

from __future__ import annotations

from s3o_proxy.config.snapshot import Credential
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import CopyObject, Operation, UploadPartCopy


def authorize(credential: Credential, operation: Operation) -> None:
    """Raises AccessDenied, the same for a bucket of others and for one that does not exist."""
    if operation.bucket and operation.bucket not in credential.buckets:
        raise S3Error("AccessDenied")
    if isinstance(operation, (CopyObject, UploadPartCopy)) and operation.source.bucket not in credential.buckets:
        raise S3Error("AccessDenied")
