"""boto3 with its default settings: single objects, over http and https."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from tests.support.fleet import Fleet
from tests.support.s3 import keys_below, refused
from tests.support.trees import random_bytes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "photos"
DESCRIPTION: Any = {
    "CacheControl": "max-age=60, private",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de-AT",
    "ContentType": "text/x-test; charset=utf-8",
    "WebsiteRedirectLocation": "/elsewhere",
    "Metadata": {"author": "ann", "empty": "", "with-dash_and_underscore": "x  y"},
}


def md5_etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 1_048_577, 7_000_000])
def test_what_was_put_is_what_is_got(s3: S3Client, size_bytes: int) -> None:
    content = random_bytes(size_bytes)
    key = f"round-trip/{size_bytes}"
    put = s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == content
    assert put["ETag"] == got["ETag"] == md5_etag(content)
    assert got["ContentLength"] == size_bytes


def test_the_description_of_an_object_is_kept_as_it_was_given(s3: S3Client) -> None:
    expires = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    s3.put_object(Bucket=BUCKET, Key="described", Body=b"1", Expires=expires, **DESCRIPTION)
    for answer in (s3.head_object(Bucket=BUCKET, Key="described"), s3.get_object(Bucket=BUCKET, Key="described")):
        found: dict[str, Any] = dict(answer)
        assert {name: found[name] for name in DESCRIPTION} == DESCRIPTION
        assert found["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"


def test_an_object_without_a_content_type_has_that_of_s3(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="untyped", Body=b"1")
    assert s3.head_object(Bucket=BUCKET, Key="untyped")["ContentType"] == "binary/octet-stream"


def test_a_second_put_replaces_the_first(fleet: Fleet, s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="twice", Body=b"first", Metadata={"a": "1"})
    s3.put_object(Bucket=BUCKET, Key="twice", Body=b"second one")
    got = s3.get_object(Bucket=BUCKET, Key="twice")
    assert (got["Body"].read(), got["Metadata"]) == (b"second one", {})


def test_what_was_never_put_is_not_there(s3: S3Client) -> None:
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=BUCKET, Key="never")
    with refused("404", 404):
        s3.head_object(Bucket=BUCKET, Key="never")


def test_another_bucket_is_nobodys_business(s3: S3Client) -> None:
    with refused("AccessDenied", 403):
        s3.get_object(Bucket="not-ours", Key="x")


def test_a_deleted_object_is_gone_and_deleting_again_is_a_success(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="brief", Body=b"1")
    for _ in range(2):
        assert s3.delete_object(Bucket=BUCKET, Key="brief")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert keys_below(s3, BUCKET, "brief") == []


# --- ranges and conditions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=3-5", b"345", "bytes 3-5/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_a_range(s3: S3Client, asked: str, expected: bytes, content_range: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    got = s3.get_object(Bucket=BUCKET, Key="digits", Range=asked)
    assert (got["Body"].read(), got["ContentRange"]) == (expected, content_range)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_outside_of_the_object_is_416(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    with refused("InvalidRange", 416):
        s3.get_object(Bucket=BUCKET, Key="digits", Range="bytes=10-")


@pytest.mark.parametrize("asked", ["bytes=5-3", "lines=1-2", "bytes=0-1,4-5"])
def test_a_range_that_nobody_understands_is_ignored(s3: S3Client, asked: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    got = s3.get_object(Bucket=BUCKET, Key="digits", Range=asked)
    assert (got["Body"].read(), got["ResponseMetadata"]["HTTPStatusCode"]) == (b"0123456789", 200)


def test_preconditions_of_a_read(s3: S3Client) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="conditional", Body=b"1")["ETag"]
    past, future = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    holding: list[Any] = [{"IfMatch": etag}, {"IfNoneMatch": '"other"'}, {"IfModifiedSince": past}, {"IfUnmodifiedSince": future}]
    for condition in holding:
        assert s3.get_object(Bucket=BUCKET, Key="conditional", **condition)["Body"].read() == b"1"
    unchanged: list[Any] = [{"IfNoneMatch": etag}, {"IfModifiedSince": datetime.now(UTC)}]
    for condition in unchanged:
        with refused("304", 304):
            s3.get_object(Bucket=BUCKET, Key="conditional", **condition)
    broken: list[Any] = [{"IfMatch": '"other"'}, {"IfUnmodifiedSince": past}]
    for condition in broken:
        with refused("PreconditionFailed", 412):
            s3.get_object(Bucket=BUCKET, Key="conditional", **condition)


def test_a_write_with_a_condition(s3: S3Client) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="once", Body=b"first", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"second", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"second", IfMatch='"other"')
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=BUCKET, Key="nowhere", Body=b"second", IfMatch=etag)
    assert s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"first"
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"second", IfMatch=etag)
    assert s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"second"


def test_response_overrides(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="overridden", Body=b"1", ContentType="text/plain")
    got = s3.get_object(
        Bucket=BUCKET,
        Key="overridden",
        ResponseContentType="application/x-other",
        ResponseContentDisposition='attachment; filename="ü.txt"',
        ResponseCacheControl="no-store",
        ResponseContentLanguage="fr",
        ResponseContentEncoding="identity",
    )
    assert (got["ContentType"], got["CacheControl"], got["ContentLanguage"]) == ("application/x-other", "no-store", "fr")
    assert got["ContentEncoding"] == "identity"
    assert "attachment" in got["ContentDisposition"]


# --- checksums -----------------------------------------------------------------------------------------------------

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_is_verified_kept_and_returned(s3: S3Client, algorithm: Any) -> None:
    content = random_bytes(1_500_000)
    put: dict[str, Any] = dict(s3.put_object(Bucket=BUCKET, Key=f"sum/{algorithm}", Body=content, ChecksumAlgorithm=algorithm))
    head: dict[str, Any] = dict(s3.head_object(Bucket=BUCKET, Key=f"sum/{algorithm}", ChecksumMode="ENABLED"))
    assert put[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]
    assert head["ChecksumType"] == "FULL_OBJECT"
    # boto3 itself compares the checksum of what it reads with the header.
    assert s3.get_object(Bucket=BUCKET, Key=f"sum/{algorithm}", ChecksumMode="ENABLED")["Body"].read() == content


def test_sha256_is_the_one_that_anybody_computes(s3: S3Client) -> None:
    value = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    s3.put_object(Bucket=BUCKET, Key="sum/known", Body=b"abc", ChecksumSHA256=value)
    assert s3.head_object(Bucket=BUCKET, Key="sum/known", ChecksumMode="ENABLED")["ChecksumSHA256"] == value


def test_a_checksum_that_does_not_match_changes_nothing(fleet: Fleet) -> None:
    # boto3 would try again and again, in the hope that the bytes were broken on their way.
    s3 = fleet.client(config=Config(retries={"max_attempts": 0}))
    wrong: list[Any] = [
        {"ChecksumSHA256": base64.b64encode(bytes(32)).decode()},
        {"ChecksumCRC32": base64.b64encode(bytes(4)).decode()},
        {"ContentMD5": base64.b64encode(bytes(16)).decode()},
    ]
    for mismatch in wrong:
        with refused("BadDigest", 400):
            s3.put_object(Bucket=BUCKET, Key="sum/wrong", Body=b"abc", **mismatch)
    assert keys_below(s3, BUCKET, "sum/wrong") == []


def test_a_right_content_md5_is_accepted(s3: S3Client) -> None:
    value = base64.b64encode(hashlib.md5(b"abc").digest()).decode()
    s3.put_object(Bucket=BUCKET, Key="sum/md5", Body=b"abc", ContentMD5=value)
    assert s3.get_object(Bucket=BUCKET, Key="sum/md5")["Body"].read() == b"abc"


# --- copies and many at once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target_bucket", ["photos", "archive"])
def test_a_copy_has_the_bytes_and_the_description_of_its_source(s3: S3Client, target_bucket: str) -> None:
    content = random_bytes(100_000)
    etag = s3.put_object(Bucket=BUCKET, Key="copy/source ü+%20", Body=content, **DESCRIPTION)["ETag"]
    copied = s3.copy_object(Bucket=target_bucket, Key="copy/target", CopySource={"Bucket": BUCKET, "Key": "copy/source ü+%20"})
    assert copied["CopyObjectResult"]["ETag"] == etag
    got = s3.get_object(Bucket=target_bucket, Key="copy/target")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (content, DESCRIPTION["ContentType"], DESCRIPTION["Metadata"])


def test_a_copy_may_bring_its_own_description(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="copy/plain", Body=b"1", **DESCRIPTION)
    source: Any = {"Bucket": BUCKET, "Key": "copy/plain"}
    s3.copy_object(Bucket=BUCKET, Key="copy/plain", CopySource=source, MetadataDirective="REPLACE", ContentType="a/b", Metadata={"n": "1"})
    head = s3.head_object(Bucket=BUCKET, Key="copy/plain")
    assert (head["ContentType"], head["Metadata"]) == ("a/b", {"n": "1"})
    assert "CacheControl" not in head
    assert s3.get_object(Bucket=BUCKET, Key="copy/plain")["Body"].read() == b"1"
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=BUCKET, Key="copy/plain", CopySource=source)


def test_a_copy_with_conditions_on_its_source(s3: S3Client) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="copy/conditional", Body=b"1")["ETag"]
    source: Any = {"Bucket": BUCKET, "Key": "copy/conditional"}
    s3.copy_object(Bucket=BUCKET, Key="copy/yes", CopySource=source, CopySourceIfMatch=etag)
    broken: list[Any] = [{"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": etag}]
    for condition in broken:
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=BUCKET, Key="copy/no", CopySource=source, **condition)
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=BUCKET, Key="copy/no", CopySource={"Bucket": BUCKET, "Key": "copy/absent"})
    assert keys_below(s3, BUCKET, "copy/no") == []


def test_a_thousand_deletes_in_one_request(s3: S3Client) -> None:
    there = [f"many/{number:04}" for number in range(50)]
    for key in there:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
    asked = [{"Key": f"many/{number:04}"} for number in range(1000)]
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": asked})  # type: ignore[typeddict-item]  # the stub wants a TypedDict
    assert [entry["Key"] for entry in answer["Deleted"]] == [entry["Key"] for entry in asked]
    assert "Errors" not in answer
    assert keys_below(s3, BUCKET, "many/") == []


def test_more_than_a_thousand_deletes_are_refused(s3: S3Client) -> None:
    asked: Any = [{"Key": f"k{number}"} for number in range(1001)]
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": asked})


def test_a_quiet_delete_answers_errors_only(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="quiet", Body=b"1")
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "quiet"}], "Quiet": True})
    assert "Deleted" not in answer


def test_rows_bytes_and_counters_agree_after_all_of_this(fleet: Fleet) -> None:
    assert fleet.audit() == []
