"""A credential has all of its own buckets and nothing of any other."""

from __future__ import annotations

import pytest
from tests.support.wire import credential, refusal_of

from s3o_proxy.auth.authorize import authorize
from s3o_proxy.s3.operation import (
    CopyObject,
    CopySource,
    CreateBucket,
    DeleteObjects,
    GetObject,
    ListBuckets,
    Operation,
    PutObject,
    Unsupported,
    UploadPartCopy,
)

ME = credential("photos", "archive")


@pytest.mark.parametrize(
    "operation",
    [
        ListBuckets(),
        GetObject("photos", "k"),
        PutObject("archive", "k"),
        CreateBucket("photos"),
        CopyObject("archive", "k", CopySource("photos", "k")),
        UploadPartCopy("photos", "k", "u", 1, CopySource("archive", "k")),
        Unsupported("photos", operation="PutBucketPolicy"),
        Unsupported(operation="?nonsense"),
    ],
)
def test_ones_own(operation: Operation) -> None:
    authorize(ME, operation)


@pytest.mark.parametrize(
    "operation",
    [
        GetObject("others", "k"),
        CreateBucket("others"),
        DeleteObjects("others"),
        CopyObject("photos", "k", CopySource("others", "k")),
        CopyObject("others", "k", CopySource("photos", "k")),
        UploadPartCopy("photos", "k", "u", 1, CopySource("others", "k")),
        Unsupported("others", operation="PutBucketPolicy"),
    ],
)
def test_others(operation: Operation) -> None:
    assert refusal_of("AccessDenied", authorize, ME, operation).status == 403
