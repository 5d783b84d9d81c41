"""An unconfigured bucket answers as S3's would; boto3 reads these answers as it reads S3's."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest
from tests.support.wire import as_botocore_reads, refusal_of

from s3o_proxy.s3.unconfigured import DOCUMENTS, REFUSALS, answer


@pytest.mark.parametrize(
    ("subresource", "operation", "meaning"),
    [
        ("versioning", "GetBucketVersioning", {}),
        ("object-tagging", "GetObjectTagging", {"TagSet": []}),
        ("accelerate", "GetBucketAccelerateConfiguration", {}),
        ("logging", "GetBucketLogging", {}),
        ("notification", "GetBucketNotificationConfiguration", {}),
        ("requestPayment", "GetBucketRequestPayment", {"Payer": "BucketOwner"}),
    ],
)
def test_documents(subresource: str, operation: str, meaning: dict[str, object]) -> None:
    assert as_botocore_reads(operation, answer(subresource)) == meaning


@pytest.mark.parametrize(("subresource", "operation"), [("acl", "GetBucketAcl"), ("object-acl", "GetObjectAcl")])
def test_the_owner_alone_has_every_right(subresource: str, operation: str) -> None:
    parsed = as_botocore_reads(operation, answer(subresource))
    owner, grants = parsed["Owner"], parsed["Grants"]
    assert isinstance(owner, dict)
    assert grants == [{"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]


@pytest.mark.parametrize(
    ("subresource", "code", "status"),
    [
        ("policy", "NoSuchBucketPolicy", 404),
        ("cors", "NoSuchCORSConfiguration", 404),
        ("lifecycle", "NoSuchLifecycleConfiguration", 404),
        ("tagging", "NoSuchTagSet", 404),
        ("website", "NoSuchWebsiteConfiguration", 404),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError", 404),
        ("object-lock", "ObjectLockConfigurationNotFoundError", 404),
        ("object-retention", "InvalidRequest", 400),
    ],
)
def test_refusals(subresource: str, code: str, status: int) -> None:
    assert refusal_of(code, answer, subresource).status == status


def test_each_question_has_one_answer() -> None:
    assert not DOCUMENTS.keys() & REFUSALS.keys()
    for subresource in DOCUMENTS:
        fromstring(answer(subresource))
    for subresource, (code, _) in REFUSALS.items():
        refusal_of(code, answer, subresource)
