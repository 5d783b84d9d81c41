"""What a request's headers promise about its body. Whoever reads the body holds it against this.

Source: AWS, S3 API Reference, "Authenticating Requests: Using the Authorization Header", "Signature Calculations … Transferring Payload in
Multiple Chunks" (aws-chunked), and S3 User Guide, "Checking object integrity".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.s3.checksum_headers import asked_algorithm, checksum_values, trailer_algorithm
from s3o_proxy.s3.checksums import from_base64
from s3o_proxy.s3.errors import S3Error, header_not_implemented, invalid_argument
from s3o_proxy.s3.operation import (
    CompleteMultipartUpload,
    CreateBucket,
    DeleteObject,
    DeleteObjects,
    GetObject,
    HeadBucket,
    ListObjects,
    ListObjectsV2,
    Operation,
    PutObject,
    UploadPart,
)
from s3o_proxy.s3.query import effective_headers
from s3o_proxy.s3.request import RequestFacts

MAX_SINGLE_PUT_BYTES = 5 * 1024**3
"""AWS: "up to 5 GB in a single operation", for PutObject and for each part."""

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_SHA256_HEX = re.compile(r"[0-9A-Fa-f]{64}")


class Framing(Enum):
    """How the body travels: as it is, or as aws-chunked in one of its three forms."""

    PLAIN = "plain"
    UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_CHUNKS_AND_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


_CHUNKED = {framing.value: framing for framing in Framing if framing is not Framing.PLAIN}
_NO_HASH = frozenset({"", UNSIGNED_PAYLOAD, *_CHUNKED})


@frozen
class BodyPromises:
    """`size_bytes` counts decoded bytes.

    `content_sha256`: lower-case hex, or "" where nothing was promised. `content_md5`: base64, or "". `checksums`: algorithm → base64, at
    most one. `trailer_algorithm`: a trailer `x-amz-checksum-…` of this algorithm must follow the last chunk; "" for none.
    `requested_algorithm`: to be computed and kept although no value was sent; "" for none.
    """

    size_bytes: int = 0
    framing: Framing = Framing.PLAIN
    content_sha256: str = ""
    content_md5: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    trailer_algorithm: str = ""
    requested_algorithm: str = ""


NO_PROMISES = BodyPromises()


def body_promises(facts: RequestFacts, operation: Operation, max_size_bytes: int = MAX_SINGLE_PUT_BYTES) -> BodyPromises:
    """Raises MissingContentLength, EntityTooLarge, InvalidDigest, InvalidRequest, InvalidArgument, MalformedTrailerError,
    NotImplemented."""
    if isinstance(operation, _WITHOUT_BODY):
        return NO_PROMISES
    headers = effective_headers(facts)
    mode = payload_mode(headers)
    framing = _framing(mode, headers)
    size_bytes = _length(headers, framing, needed=isinstance(operation, _WITH_BODY))
    if size_bytes > max_size_bytes and isinstance(operation, (PutObject, UploadPart)):
        raise S3Error("EntityTooLarge", extra={"ProposedSize": str(size_bytes), "MaxSizeAllowed": str(max_size_bytes)})
    content_md5 = _content_md5(headers)
    checksums, trailer, requested = _checksums(headers, operation, framing, has_md5=bool(content_md5))
    if isinstance(operation, DeleteObjects) and not (content_md5 or checksums or trailer):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    return BodyPromises(
        size_bytes=size_bytes,
        framing=framing,
        content_sha256="" if mode in _NO_HASH else mode.lower(),
        content_md5=content_md5,
        checksums=checksums,
        trailer_algorithm=trailer,
        requested_algorithm=requested,
    )


def payload_mode(headers: Mapping[str, str]) -> str:
    """x-amz-content-sha256 as signed: a hex digest, UNSIGNED-PAYLOAD or a STREAMING-… form; "" where it is absent.

    Raises InvalidArgument for anything else, NotImplemented for the asymmetric (ECDSA) forms.
    """
    value = headers.get("x-amz-content-sha256", "")
    if not value or value == UNSIGNED_PAYLOAD or value in _CHUNKED or _SHA256_HEX.fullmatch(value):
        return value
    if value.startswith("STREAMING-AWS4-ECDSA-"):
        raise header_not_implemented("x-amz-content-sha256")
    raise invalid_argument(
        "x-amz-content-sha256",
        value,
        f"x-amz-content-sha256 must be {UNSIGNED_PAYLOAD}, " + ", ".join(_CHUNKED) + ", or a valid sha256 value.",
    )


_WITH_BODY = (PutObject, UploadPart, DeleteObjects, CompleteMultipartUpload)
_WITHOUT_BODY = (GetObject, DeleteObject, ListObjects, ListObjectsV2, HeadBucket)
"""The commonest of those whose body, should there be one, nobody reads: whatever is promised of it is promised to nobody."""
_OF_THE_OBJECT = (CompleteMultipartUpload,)
"""Operations whose x-amz-checksum-* headers speak of the object that they make, not of the document they send."""


def _framing(mode: str, headers: Mapping[str, str]) -> Framing:
    framing = _CHUNKED.get(mode, Framing.PLAIN)
    if framing is Framing.PLAIN and "aws-chunked" in headers.get("content-encoding", "").lower():
        # Storing the body as it comes would put the framing inside the object.
        raise S3Error("InvalidRequest", "aws-chunked content needs x-amz-content-sha256 to be one of " + ", ".join(_CHUNKED))
    return framing


def _length(headers: Mapping[str, str], framing: Framing, *, needed: bool) -> int:
    """In decoded bytes."""
    chunked_by_http = "chunked" in headers.get("transfer-encoding", "").lower()
    wire = None if chunked_by_http else _wire_length(headers)
    decoded = _decoded_length(headers)
    if framing is Framing.PLAIN and not chunked_by_http:
        if wire is None and needed:
            raise S3Error("MissingContentLength")
        return wire or 0
    if decoded is None:
        if needed:
            raise S3Error("MissingContentLength", "You must provide the X-Amz-Decoded-Content-Length HTTP header." if wire else "")
        return 0
    if wire is None and not chunked_by_http:
        raise S3Error("MissingContentLength")
    return decoded


def _wire_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is not None and not _is_length(text):
        raise invalid_argument("content-length", text, "The content-length header must be a number of bytes")
    return None if text is None else int(text)


def _decoded_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("x-amz-decoded-content-length")
    if text is not None and not _is_length(text):
        raise S3Error("MissingContentLength", "The X-Amz-Decoded-Content-Length HTTP header must be a number of bytes.")
    return None if text is None else int(text)


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _content_md5(headers: Mapping[str, str]) -> str:
    value = headers.get("content-md5")
    if value is None:
        return ""
    if from_base64(value, 16) is None:
        raise S3Error("InvalidDigest", extra={"Content-MD5": value})
    return value


def _checksums(headers: Mapping[str, str], operation: Operation, framing: Framing, *, has_md5: bool) -> tuple[dict[str, str], str, str]:
    """The promised value, else the trailer that will bring it, else the algorithm that is asked for without one."""
    values = {} if isinstance(operation, _OF_THE_OBJECT) else checksum_values(headers)
    trailer = trailer_algorithm(headers)
    if trailer and framing not in (Framing.UNSIGNED_CHUNKS, Framing.SIGNED_CHUNKS_AND_TRAILER):
        raise S3Error("MalformedTrailerError", "x-amz-trailer needs x-amz-content-sha256 to be one of the STREAMING-…-TRAILER forms")
    if trailer and values:
        raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    named = asked_algorithm(headers, "x-amz-sdk-checksum-algorithm")
    if not named or not isinstance(operation, (*_WITH_BODY, CreateBucket)) or isinstance(operation, _OF_THE_OBJECT):
        return values, trailer, ""
    promised = next(iter(values), trailer)
    if promised and promised != named:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if not promised and not has_md5:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
        )
    return values, trailer, "" if promised else named
