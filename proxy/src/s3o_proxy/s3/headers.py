"""What a client says about an object in headers, and the headers whose promise this proxy refuses to pretend.

Decisions, each one the exact S3 error or the honest 501, never silence:

* Server-side encryption headers (SSE-S3, SSE-KMS, SSE-C) are 501: no code here encrypts, so no header may be taken to say so.
* `x-amz-acl: private` and `bucket-owner-full-control` mean what holds anyway and are accepted; any other canned ACL, and any grant, is
  AccessControlListNotSupported, as on a bucket with ACLs disabled (the default of AWS since 2023).
* `Content-Range` of a body is 501: it is a piece of an object, and would be stored as the whole of it.
* Tags and object locks are 501; an empty `x-amz-tagging` is no tag, `x-amz-bucket-object-lock-enabled: false` no lock.
* `x-amz-expected-bucket-owner`, `x-amz-request-payer`, `x-amz-mfa` and `x-amz-bypass-governance-retention` name things that do not exist
  here; they are accepted and change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from s3o_proxy.domain.model import Description
from s3o_proxy.s3.errors import S3Error, header_not_implemented, invalid_argument
from s3o_proxy.s3.request import wire_text

DEFAULT_CONTENT_TYPE = "binary/octet-stream"
MAX_USER_METADATA_BYTES = 2048
USER_METADATA_PREFIX = "x-amz-meta-"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_DESCRIBING = ("cache-control", "content-disposition", "content-language", "expires")
_REFUSED = frozenset({"x-amz-write-offset-bytes", "x-amz-if-match-size", "x-amz-if-match-last-modified-time", "x-amz-rename-source"})
_REFUSED_PREFIXES = (
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock-",
)
_HARMLESS_ACLS = frozenset({"private", "bucket-owner-full-control"})
_CANNED_ACLS = _HARMLESS_ACLS | {
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "log-delivery-write",
}


def is_header_name(name: str) -> bool:
    """Whether a header may be called so: a token of RFC 9110 §5.6.2."""
    return _TOKEN.fullmatch(name) is not None


def description(headers: Mapping[str, str]) -> Description:
    """What to keep of `headers` with the object. Raises MetadataTooLarge, InvalidRedirectLocation."""
    kept = {"content-type": wire_text(headers.get("content-type", "")) or DEFAULT_CONTENT_TYPE}
    for name in _DESCRIBING:
        if headers.get(name):
            kept[name] = wire_text(headers[name])
    encoding = content_encoding(headers)
    if encoding:
        kept["content-encoding"] = encoding
    redirect = wire_text(headers.get("x-amz-website-redirect-location", ""))
    if redirect:
        if not redirect.startswith(("/", "http://", "https://")):
            raise S3Error("InvalidRedirectLocation")
        kept["x-amz-website-redirect-location"] = redirect
    return Description(kept, user_metadata(headers))


def content_encoding(headers: Mapping[str, str]) -> str:
    """Content-Encoding without `aws-chunked`, which says how the body travels and nothing of the object."""
    value = wire_text(headers.get("content-encoding", ""))
    if "aws-chunked" not in value.lower():
        return value
    return ",".join([coding.strip() for coding in value.split(",") if coding.strip().lower() not in ("aws-chunked", "")])


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The x-amz-meta-* headers. Raises MetadataTooLarge above 2 KB, counted as S3 does: UTF-8 bytes of names and values."""
    found = {name[len(USER_METADATA_PREFIX) :]: wire_text(headers[name]) for name in headers if name.startswith(USER_METADATA_PREFIX)}
    size = sum([len(name.encode()) + len(value.encode()) for name, value in found.items()])
    if size > MAX_USER_METADATA_BYTES:
        raise S3Error("MetadataTooLarge", extra={"Size": str(size), "MaxSizeAllowed": str(MAX_USER_METADATA_BYTES)})
    return found


def refuse_what_nobody_keeps(headers: Mapping[str, str]) -> None:
    """Raises NotImplemented, AccessControlListNotSupported, InvalidArgument or InvalidStorageClass; see the head of this file."""
    if not headers:
        return
    for name in headers:
        if not name.startswith("x-amz-"):
            continue
        if name.startswith(_REFUSED_PREFIXES) or name in _REFUSED or _asks_for_more(name, headers[name]):
            raise header_not_implemented(name)
        if name.startswith("x-amz-grant-"):
            raise S3Error("AccessControlListNotSupported")
    _check_acl(headers)
    _check_storage_class(headers)


def refuse_a_piece(headers: Mapping[str, str]) -> None:
    """Raises NotImplemented for a body that says to be a piece of an object, as `curl -C` sends it (RFC 9110 §14.5)."""
    if "content-range" in headers:
        raise header_not_implemented("Content-Range")


def _asks_for_more(name: str, value: str) -> bool:
    """Headers that some values of ask for nothing: rclone creates its bucket with an object lock of `false`."""
    if name == "x-amz-bucket-object-lock-enabled":
        return value.lower() != "false"
    return name == "x-amz-tagging" and bool(value)


def _check_acl(headers: Mapping[str, str]) -> None:
    acl = headers.get("x-amz-acl")
    if not acl or acl in _HARMLESS_ACLS:
        return
    if acl in _CANNED_ACLS:
        raise S3Error("AccessControlListNotSupported")
    raise invalid_argument("x-amz-acl", acl, "The canned ACL is not one that S3 knows")


def _check_storage_class(headers: Mapping[str, str]) -> None:
    storage_class = headers.get("x-amz-storage-class")
    if storage_class and storage_class != "STANDARD":
        raise S3Error("InvalidStorageClass", extra={"StorageClassRequested": storage_class})
