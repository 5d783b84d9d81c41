"""What S3 takes as a bucket's name and as a key.

Sources: AWS, S3 User Guide, "Bucket naming rules" and "Naming Amazon S3 objects".
"""

from __future__ import annotations

import re
from functools import lru_cache

from s3o_proxy.s3.errors import S3Error

MAX_KEY_BYTES = 1024

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


def is_bucket_name(name: str) -> bool:
    """S3's grammar. The prefixes and suffixes that AWS keeps for itself are ordinary names here."""
    return 3 <= len(name) <= 63 and _is_bucket_name(name)


@lru_cache(maxsize=4096)
def _is_bucket_name(name: str) -> bool:
    return _BUCKET.fullmatch(name) is not None and _IPV4.fullmatch(name) is None


def check_bucket_name(name: str) -> None:
    """Raises InvalidBucketName."""
    if not is_bucket_name(name):
        raise S3Error("InvalidBucketName", extra={"BucketName": name})


def check_key(key: str) -> None:
    """Raises KeyTooLongError; InvalidURI for a NUL, which no key may hold here (databases and backends disagree on it)."""
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", extra={"Size": str(len(key.encode())), "MaxSizeAllowed": str(MAX_KEY_BYTES)})
    if "\0" in key:
        raise S3Error("InvalidURI")
