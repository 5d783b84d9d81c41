"""boto3 with its default settings: keys are bytes, whatever they look like to a path, a URL, an XML parser or a file system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.fleet import Fleet
from tests.support.s3 import keys_below, refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "photos"

AWKWARD = [
    "/",
    "//",
    "/leading",
    "a//b",
    "a///",
    "trailing/",
    ".",
    "..",
    "./a",
    "../a",
    "a/../b",
    "a/./b",
    "a/..",
    " ",
    " a ",
    "a b",
    "a+b",
    "a%b",
    "a%20b",
    "a%2Fb",
    "a%25b",
    "%",
    "%zz",
    "~",
    "a~b",
    "a#b",
    "a?b",
    "a?b=c&d",
    "a&b;c=d,e",
    "a'b\"c`d",
    "<a>&amp;</a>",
    "]]>",
    "a\\b",
    "a:b|c*d^e",
    "{a}[b](c)!$@",
    "ünïcödé/日本語/🦆",
    "e\u0301",
    "é",
    "a\tb\nc",
    "a\rb",
    "\x7f",
    "case",
    "CASE",
    "acl",
    "health",
    "a?uploads",
    "é" * 512,
    "k" * 1024,
    "/".join(["s"] * 512),
]


def test_every_awkward_key_is_a_key_of_its_own(fleet: Fleet, s3: S3Client) -> None:
    for key in AWKWARD:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    assert keys_below(s3, BUCKET) == sorted(AWKWARD, key=lambda key: key.encode())
    for key in AWKWARD:
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode(), f"another object answers to {key!r}"
        assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == len(key.encode())

    for key in AWKWARD:
        s3.copy_object(Bucket="archive", Key=key, CopySource={"Bucket": BUCKET, "Key": key})
    assert keys_below(s3, "archive") == keys_below(s3, BUCKET)

    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in AWKWARD if "\r" not in key]})
    assert "Errors" not in answer
    # An XML parser reads a carriage return as a line feed, and boto3 sends it bare: such a key is deleted by its URL.
    assert keys_below(s3, BUCKET) == ["a\rb"]
    s3.delete_object(Bucket=BUCKET, Key="a\rb")
    assert keys_below(s3, BUCKET) == []
    assert fleet.audit() == []


@pytest.mark.parametrize("key", ["k" * 1025, "é" * 513])
def test_a_key_above_1024_bytes_is_too_long(s3: S3Client, key: str) -> None:
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")


@pytest.mark.parametrize("key", ["+ %2F é//..", "k" * 1024])
def test_awkward_keys_by_multipart(s3: S3Client, key: str) -> None:
    upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    etag = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"part"
