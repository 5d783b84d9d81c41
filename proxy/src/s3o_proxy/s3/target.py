"""Which bucket and key a request names: path style, and virtual-host style below one domain."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.names import check_bucket_name, check_key
from s3o_proxy.s3.request import RequestFacts

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(r":\d*$")


def locate(facts: RequestFacts, virtual_host_domain: str = "") -> tuple[str, str]:
    """Bucket and key, decoded; "" where the request names none. Raises InvalidURI, InvalidBucketName, KeyTooLongError."""
    path = facts.raw_path
    if not path.startswith(b"/") or (b"%" in path and _BAD_ESCAPE.search(path)):
        raise S3Error("InvalidURI")
    bucket = virtual_host_bucket(facts.host, virtual_host_domain)
    if bucket:
        raw_key = path[1:]
    else:
        # Split before decoding: %2F in a bucket's place is a bad bucket name, never a separator.
        raw_bucket, _, raw_key = path[1:].partition(b"/")
        bucket = _decode(raw_bucket)
        if not bucket:
            if raw_key:
                raise S3Error("InvalidBucketName", extra={"BucketName": ""})
            return "", ""
    check_bucket_name(bucket)
    key = _decode(raw_key)
    check_key(key)
    return bucket, key


def virtual_host_bucket(host: str, domain: str) -> str:
    """The bucket in `bucket.domain[:port]`, or ""."""
    if not domain or not host:
        return ""
    name = _PORT.sub("", host).rstrip(".").lower()
    suffix = "." + domain.lower()
    return name[: -len(suffix)] if name.endswith(suffix) else ""


def decode_copy_source(value: str) -> tuple[str, str, str]:
    """Bucket, key and version ("" for none) of an x-amz-copy-source: `[/]bucket/key[?versionId=…]`, percent-encoded.

    Raises InvalidArgument, InvalidURI, InvalidBucketName, KeyTooLongError.
    """
    path, _, version = value.encode("latin-1").partition(b"?versionId=")
    raw_bucket, slash, raw_key = path.removeprefix(b"/").partition(b"/")
    if not slash and b"%2f" in path.lower():  # Some clients encode the whole path, slashes included.
        raw_bucket, slash, raw_key = unquote_to_bytes(path).removeprefix(b"/").partition(b"/")
        bucket, key = _text(raw_bucket), _text(raw_key)
    else:
        bucket, key = _decode(raw_bucket), _decode(raw_key)
    if not bucket or not key:
        raise S3Error(
            "InvalidArgument",
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            extra={"ArgumentName": "x-amz-copy-source", "ArgumentValue": value},
        )
    check_bucket_name(bucket)
    check_key(key)
    return bucket, key, _decode(version)


def _decode(raw: bytes) -> str:
    return _text(unquote_to_bytes(raw)) if b"%" in raw else _text(raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None
