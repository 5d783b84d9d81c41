"""boto3 with its default settings: multipart uploads, over http and https."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fleet import Fleet
from tests.support.s3 import keys_below, refused
from tests.support.trees import random_bytes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "photos"
MIB = 1024**2
PART = random_bytes(5 * MIB)
LAST = random_bytes(1000, 2)


def begin(s3: S3Client, key: str, **described: Any) -> str:
    return s3.create_multipart_upload(Bucket=BUCKET, Key=key, **described)["UploadId"]


def upload_part(s3: S3Client, key: str, upload_id: str, number: int, content: bytes) -> Any:
    etag = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=number, Body=content)["ETag"]
    return {"PartNumber": number, "ETag": etag}


def complete(s3: S3Client, key: str, upload_id: str, *parts: Any, **more: Any) -> str:
    answer = s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": list(parts)}, **more)
    return answer["ETag"]


def multipart_etag(*parts: bytes) -> str:
    return f'"{hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"'


def test_upload_fileobj_and_download_fileobj(s3: S3Client) -> None:
    content = random_bytes(20 * MIB + 1)
    s3.upload_fileobj(io.BytesIO(content), BUCKET, "transfer", ExtraArgs={"Metadata": {"a": "1"}, "ContentType": "a/b"})
    target = io.BytesIO()
    s3.download_fileobj(BUCKET, "transfer", target)
    assert target.getvalue() == content
    head = s3.head_object(Bucket=BUCKET, Key="transfer")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (len(content), "a/b", {"a": "1"})
    assert head["ETag"] == multipart_etag(content[: 8 * MIB], content[8 * MIB : 16 * MIB], content[16 * MIB :])


def test_parts_in_any_order_and_with_gaps_become_one_object(s3: S3Client) -> None:
    upload_id = begin(s3, "parts/gaps")
    ninth = upload_part(s3, "parts/gaps", upload_id, 9, LAST)
    second = upload_part(s3, "parts/gaps", upload_id, 2, PART)
    assert second["ETag"] == f'"{hashlib.md5(PART).hexdigest()}"'
    etag = complete(s3, "parts/gaps", upload_id, second, ninth)
    got = s3.get_object(Bucket=BUCKET, Key="parts/gaps")
    assert got["Body"].read() == PART + LAST
    assert got["ETag"] == etag == multipart_etag(PART, LAST)


def test_a_range_across_parts_and_a_part_by_its_number(s3: S3Client) -> None:
    upload_id = begin(s3, "parts/range")
    complete(
        s3,
        "parts/range",
        upload_id,
        upload_part(s3, "parts/range", upload_id, 1, PART),
        upload_part(s3, "parts/range", upload_id, 2, LAST),
    )
    border = len(PART)
    got = s3.get_object(Bucket=BUCKET, Key="parts/range", Range=f"bytes={border - 10}-{border + 9}")
    assert got["Body"].read() == PART[-10:] + LAST[:10]
    part = s3.get_object(Bucket=BUCKET, Key="parts/range", PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (LAST, 2)
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_part_sent_again_replaces_the_first(s3: S3Client) -> None:
    upload_id = begin(s3, "parts/again")
    upload_part(s3, "parts/again", upload_id, 1, b"wrong")
    part = upload_part(s3, "parts/again", upload_id, 1, LAST)
    complete(s3, "parts/again", upload_id, part)
    assert s3.get_object(Bucket=BUCKET, Key="parts/again")["Body"].read() == LAST


def test_parts_and_uploads_are_listed_page_by_page(s3: S3Client) -> None:
    uploads = [begin(s3, f"listed/{number}") for number in range(3)]
    for number in range(1, 6):
        upload_part(s3, "listed/0", uploads[0], number, bytes(number))
    pages = list(
        s3.get_paginator("list_parts").paginate(Bucket=BUCKET, Key="listed/0", UploadId=uploads[0], PaginationConfig={"PageSize": 2})
    )
    assert len(pages) == 3
    assert [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]] == [(number, number) for number in range(1, 6)]

    found = s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET, Prefix="listed/", PaginationConfig={"PageSize": 2})
    assert [(upload["Key"], upload["UploadId"]) for page in found for upload in page["Uploads"]] == [
        (f"listed/{number}", upload_id) for number, upload_id in enumerate(uploads)
    ]
    for number, upload_id in enumerate(uploads):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=f"listed/{number}", UploadId=upload_id)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET, Prefix="listed/")


def test_an_aborted_upload_is_gone(s3: S3Client) -> None:
    upload_id = begin(s3, "parts/aborted")
    part = upload_part(s3, "parts/aborted", upload_id, 1, LAST)
    s3.abort_multipart_upload(Bucket=BUCKET, Key="parts/aborted", UploadId=upload_id)
    with refused("NoSuchUpload", 404):
        upload_part(s3, "parts/aborted", upload_id, 2, LAST)
    with refused("NoSuchUpload", 404):
        complete(s3, "parts/aborted", upload_id, part)
    assert keys_below(s3, BUCKET, "parts/aborted") == []


def test_a_complete_that_names_other_parts_than_there_are_is_refused_and_may_be_tried_again(s3: S3Client) -> None:
    upload_id = begin(s3, "parts/wrong")
    first = upload_part(s3, "parts/wrong", upload_id, 1, PART)
    second = upload_part(s3, "parts/wrong", upload_id, 2, LAST)
    with refused("InvalidPart", 400):
        complete(s3, "parts/wrong", upload_id, first, {"PartNumber": 3, "ETag": second["ETag"]})
    with refused("InvalidPart", 400):
        complete(s3, "parts/wrong", upload_id, {"PartNumber": 1, "ETag": second["ETag"]})
    with refused("InvalidPartOrder", 400):
        complete(s3, "parts/wrong", upload_id, second, first)
    complete(s3, "parts/wrong", upload_id, first, second)
    assert s3.head_object(Bucket=BUCKET, Key="parts/wrong")["ContentLength"] == len(PART) + len(LAST)


def test_a_part_below_5_mib_may_only_be_the_last(s3: S3Client) -> None:
    upload_id = begin(s3, "parts/small")
    small, last = (upload_part(s3, "parts/small", upload_id, number, LAST) for number in (1, 2))
    with refused("EntityTooSmall", 400):
        complete(s3, "parts/small", upload_id, small, last)
    s3.abort_multipart_upload(Bucket=BUCKET, Key="parts/small", UploadId=upload_id)


def test_a_complete_with_a_condition(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="parts/once", Body=b"first")
    upload_id = begin(s3, "parts/once")
    part = upload_part(s3, "parts/once", upload_id, 1, LAST)
    with refused("PreconditionFailed", 412):
        complete(s3, "parts/once", upload_id, part, IfNoneMatch="*")
    assert s3.get_object(Bucket=BUCKET, Key="parts/once")["Body"].read() == b"first"


def test_parts_copied_from_other_objects(s3: S3Client) -> None:
    content = random_bytes(12 * MIB)
    s3.put_object(Bucket=BUCKET, Key="parts/source", Body=content)
    upload_id = begin(s3, "parts/copied")
    copied = s3.upload_part_copy(
        Bucket=BUCKET,
        Key="parts/copied",
        UploadId=upload_id,
        PartNumber=1,
        CopySource={"Bucket": BUCKET, "Key": "parts/source"},
        CopySourceRange=f"bytes={MIB}-{7 * MIB - 1}",
    )
    first = {"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}
    complete(s3, "parts/copied", upload_id, first, upload_part(s3, "parts/copied", upload_id, 2, LAST))
    assert s3.get_object(Bucket=BUCKET, Key="parts/copied")["Body"].read() == content[MIB : 7 * MIB] + LAST


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_parts_become_one_of_the_object(s3: S3Client, algorithm: Any, kind: Any) -> None:
    key, field = f"sum/{algorithm}-{kind}", f"Checksum{algorithm}"
    upload_id = begin(s3, key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    parts: list[Any] = []
    for number, content in ((1, PART), (2, LAST)):
        sent: dict[str, Any] = dict(
            s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=number, Body=content, ChecksumAlgorithm=algorithm)
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"], field: sent[field]})
    complete(s3, key, upload_id, *parts)
    head: dict[str, Any] = dict(s3.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED"))
    assert head["ChecksumType"] == kind
    assert head[field].endswith("-2") == (kind == "COMPOSITE")
    # For a full-object checksum boto3 compares while it reads.
    assert s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")["Body"].read() == PART + LAST


def test_parts_lie_where_the_object_will_be(fleet: Fleet, s3: S3Client) -> None:
    upload_id = begin(s3, "placed")
    complete(s3, "placed", upload_id, upload_part(s3, "placed", upload_id, 1, LAST))
    assert list(fleet.stored("first", "placed").values()) == [len(LAST)]
    assert fleet.stored("second") == {}


def test_rows_bytes_and_counters_agree_after_all_of_this(fleet: Fleet) -> None:
    assert fleet.audit() == []
