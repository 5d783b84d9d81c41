"""Results and errors in HTTP: status, headers, document. What moves the bytes is `exchange`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from urllib.parse import unquote

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Digests, StoredObject
from s3o_proxy.http.head import Head
from s3o_proxy.http.status import status_line
from s3o_proxy.s3.checksum_headers import checksum_header
from s3o_proxy.s3.conditions import quote_etag
from s3o_proxy.s3.dates import http_date
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.headers import USER_METADATA_PREFIX, is_header_name
from s3o_proxy.s3.operation import (
    BucketExists,
    Deleted,
    GetObject,
    HeadBucket,
    NotModified,
    ObjectRead,
    ObjectWritten,
    Operation,
    PartWritten,
    Result,
    UploadCreated,
)
from s3o_proxy.s3.xml import render, render_error

_SERVER = "s3-orchestrator"
_VALIDATORS_OF_304 = ("cache-control", "expires")
"""Besides ETag and Last-Modified (RFC 9110 §15.4.5)."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Answer:
    """`body` is the whole body, or `stream` opens `size_bytes` of it. `size_bytes` is None where no Content-Length is due."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    size_bytes: int | None = 0
    stream: AbstractAsyncContextManager[AsyncIterable[bytes]] | None = None


@frozen
class Asked:
    """What an answer needs to know of its question."""

    head: Head
    region: str
    request_id: str
    host_id: str

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def resource(self) -> str:
        """The path, decoded."""
        return unquote(self.head.path)

    @property
    def base_url(self) -> str:
        """As the client reached us."""
        return ("https://" if self.head.secure else "http://") + self.head.host


def answer_result(result: Result, operation: Operation, asked: Asked) -> Answer:
    """Raises S3Error where S3's answer to an unconfigured bucket is one."""
    match result:
        case ObjectRead():
            assert isinstance(operation, GetObject)  # noqa: S101  # nothing else is answered so; for the type checker
            return _object_read(result, operation)
        case NotModified():
            return _not_modified(result.object)
        case ObjectWritten():
            return Answer(200, [("etag", quote_etag(result.etag)), *_checksums(result.digests), *_checksum_type(result.digests)])
        case PartWritten():
            return Answer(200, [("etag", quote_etag(result.etag)), *_checksums(result.digests)])
        case BucketExists():
            return _bucket_exists(operation, asked)
        case Deleted():
            return Answer(204, size_bytes=None)
        case _:
            return _document(200, render(result, base_url=asked.base_url), _headers_beside_document(result))


def answer_error(error: S3Error, asked: Asked) -> Answer:
    headers = list(error.headers.items())
    if asked.method == "HEAD":
        return Answer(error.status, headers, size_bytes=None)  # The document's length would be all that is left of it.
    return _document(error.status, render_error(error, asked.resource, asked.request_id, asked.host_id), headers)


def head_bytes(answer: Answer, asked: Asked, now_ms: int) -> bytes:
    """The head of an answer, up to the CRLF of its last header."""
    lines = [
        f"x-amz-id-2: {asked.host_id}\r\nx-amz-request-id: {asked.request_id}\r\ndate: {http_date(now_ms)}\r\nserver: {_SERVER}\r\n",
        *[f"{name}: {_one_line(value)}\r\n" for name, value in answer.headers],
    ]
    if answer.size_bytes is not None:
        lines.append(f"content-length: {answer.size_bytes}\r\n")
    return status_line(answer.status) + "".join(lines).encode("utf-8", "replace")


# --- objects -------------------------------------------------------------------------------------------------------------------------


def _object_read(read: ObjectRead, operation: GetObject) -> Answer:
    found = read.object
    headers = [("last-modified", http_date(found.modified_ms)), ("etag", quote_etag(found.etag)), ("accept-ranges", "bytes")]
    headers += _described(found, operation.response_headers)
    if read.parts_count is not None:
        headers.append(("x-amz-mp-parts-count", str(read.parts_count)))
    if read.byte_range is None:
        if operation.checksum_mode:
            # Of the whole object: a client that got a part of it would hold the wrong bytes against it.
            headers += [*_checksums(found.digests), *_checksum_type(found.digests)]
        return Answer(200, headers, size_bytes=found.size_bytes, stream=read.body)
    first, last = read.byte_range
    if first <= last:  # Content-Range has no words for an empty part.
        headers.append(("content-range", f"bytes {first}-{last}/{found.size_bytes}"))
    return Answer(206, headers, size_bytes=last - first + 1, stream=read.body)


def _not_modified(found: StoredObject) -> Answer:
    headers = [("last-modified", http_date(found.modified_ms)), ("etag", quote_etag(found.etag))]
    kept = found.description.headers
    headers += [(name, kept[name]) for name in _VALIDATORS_OF_304 if name in kept]
    return Answer(304, headers, size_bytes=None)


def _described(found: StoredObject, overrides: Mapping[str, str]) -> Headers:
    description = found.description
    standard = {**description.headers, **overrides} if overrides else description.headers
    return [*standard.items(), *_user_metadata(description.user_metadata)]


def _user_metadata(metadata: Mapping[str, str]) -> Headers:
    """A name that no header can have is counted and not sent (AWS, GetObject: x-amz-missing-meta); it could write headers of its own."""
    sent = [(USER_METADATA_PREFIX + name, value) for name, value in metadata.items() if is_header_name(name)]
    missing = len(metadata) - len(sent)
    return [*sent, ("x-amz-missing-meta", str(missing))] if missing else sent


def _checksums(digests: Digests) -> Iterable[tuple[str, str]]:
    return [(checksum_header(algorithm), value) for algorithm, value in digests.checksums.items()]


def _checksum_type(digests: Digests) -> Iterable[tuple[str, str]]:
    return [("x-amz-checksum-type", digests.checksum_type)] if digests.checksums else []


# --- the rest ------------------------------------------------------------------------------------------------------------------------


def _bucket_exists(operation: Operation, asked: Asked) -> Answer:
    if isinstance(operation, HeadBucket):
        return Answer(200, [("x-amz-bucket-region", asked.region), ("content-type", "application/xml")])
    return Answer(200, [("location", f"/{operation.bucket}")])


def _headers_beside_document(result: Result) -> Headers:
    if isinstance(result, UploadCreated) and result.upload.checksum_algorithm:
        upload = result.upload
        return [("x-amz-checksum-algorithm", upload.checksum_algorithm), ("x-amz-checksum-type", upload.checksum_type)]
    return []


def _document(status: int, body: bytes, headers: Headers) -> Answer:
    return Answer(status, [*headers, ("content-type", "application/xml")], body, len(body))


def _one_line(value: str) -> str:
    """A value may have come in a presigned query, where a line break can be encoded: it must not become one here."""
    return value if value.isprintable() else _CONTROL.sub(" ", value)
