"""boto3 with its default settings: listings, page by page, over http and https."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fleet import Fleet
from tests.support.s3 import refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "photos"
# In the order of their bytes, which is not the order of any language.
KEYS = ["A", "B/1", "a/b/c", "a/b/d", "a/e", "a0", "a~", "b", "c/", "c/+", "c/%2F", "c/ü & é", "z", "ä", "日", "😀"]
KEYS.sort(key=lambda key: key.encode())


@pytest.fixture(scope="module")
def s3(fleet: Fleet) -> S3Client:
    client = fleet.client()
    for number, key in enumerate(KEYS):
        client.put_object(Bucket=BUCKET, Key=key, Body=bytes(number))
    return client


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("page_size", [1, 3, 5, 1000])
def test_every_key_once_and_in_byte_order(s3: S3Client, operation: Any, page_size: int) -> None:
    pages = list(s3.get_paginator(operation).paginate(Bucket=BUCKET, PaginationConfig={"PageSize": page_size}))
    assert [(entry["Key"], entry["Size"]) for page in pages for entry in page["Contents"]] == [(key, KEYS.index(key)) for key in KEYS]
    assert len(pages) == -(-len(KEYS) // page_size)
    assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_a_delimiter_rolls_up_what_lies_below(s3: S3Client, operation: Any, page_size: int) -> None:
    pages = list(s3.get_paginator(operation).paginate(Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": page_size}))
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == [key for key in KEYS if "/" not in key]
    assert [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])] == ["B/", "a/", "c/"]


def test_a_prefix_and_a_delimiter_show_one_level(s3: S3Client) -> None:
    page = s3.list_objects_v2(Bucket=BUCKET, Prefix="a/", Delimiter="/")
    assert [entry["Key"] for entry in page["Contents"]] == ["a/e"]
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/b/"]
    assert (page["KeyCount"], page["Prefix"], page["Delimiter"]) == (2, "a/", "/")


def test_a_prefix_is_bytes_and_no_pattern(s3: S3Client) -> None:
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="_")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="c/%")["Contents"]] == ["c/%2F"]


def test_start_after_and_marker(s3: S3Client) -> None:
    for after in ("a/b/c", "a/b/cc", "zzz", "😀"):
        expected = [key for key in KEYS if key.encode() > after.encode()]
        assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, StartAfter=after).get("Contents", [])] == expected
        assert [entry["Key"] for entry in s3.list_objects(Bucket=BUCKET, Marker=after).get("Contents", [])] == expected


def test_entries_tell_etag_time_size_and_class(s3: S3Client) -> None:
    entry = s3.list_objects_v2(Bucket=BUCKET, Prefix="b")["Contents"][0]
    head = s3.head_object(Bucket=BUCKET, Key="b")
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (head["ETag"], head["ContentLength"], "STANDARD")
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]


def test_no_keys_asked_for_is_no_keys_and_no_more_to_come(s3: S3Client) -> None:
    page = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_a_token_that_we_never_gave_is_refused(s3: S3Client) -> None:
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=BUCKET, ContinuationToken="nonsense")


def test_an_empty_bucket_lists_nothing(s3: S3Client) -> None:
    page = s3.list_objects_v2(Bucket="archive")
    assert (page["KeyCount"], page["IsTruncated"], page["Name"]) == (0, False, "archive")


def test_buckets_of_the_credential(s3: S3Client) -> None:
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["archive", "photos"]
    assert s3.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPStatusCode"] == 200
    # us-east-1 has no location constraint.
    assert s3.get_bucket_location(Bucket=BUCKET).get("LocationConstraint") is None


def test_what_is_not_configured_is_answered_so(s3: S3Client) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    assert s3.get_object_tagging(Bucket=BUCKET, Key="b")["TagSet"] == []
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=BUCKET)
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=BUCKET)


def test_what_is_not_served_is_not_implemented_and_changes_nothing(s3: S3Client) -> None:
    with refused("NotImplemented", 501):
        s3.put_object_tagging(Bucket=BUCKET, Key="b", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    with refused("NotImplemented", 501):
        s3.put_bucket_policy(Bucket=BUCKET, Policy="{}")
    assert s3.head_object(Bucket=BUCKET, Key="b")["ContentLength"] == KEYS.index("b")
