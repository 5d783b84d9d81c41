"""What tests ask of boto3 again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class Refusal:
    """What a refused request was answered, known after the block."""

    code: str = ""
    status: int = 0
    message: str = ""


@contextmanager
def refused(code: str, status: int) -> Iterator[Refusal]:
    """The block must be refused with exactly this S3 code and HTTP status."""
    refusal = Refusal()
    with pytest.raises(ClientError) as caught:
        yield refusal
    error, meta = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    refusal.code, refusal.message, refusal.status = error["Code"], error.get("Message", ""), meta["HTTPStatusCode"]
    assert (refusal.code, refusal.status) == (code, status), refusal.message


def keys_below(client: S3Client, bucket: str, prefix: str = "") -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]
