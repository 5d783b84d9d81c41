"""Targets that are single words of S3: signatures, chunked bodies, documents, ranges and conditions. Each input is text of lines."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from xml.sax.saxutils import escape

from tests.support.chunks import frame
from tests.support.wire import HOST, Keys, credential, signed_by_botocore

from s3o_proxy.auth.authenticate import Authenticator
from s3o_proxy.backends.wire.refusal import code_and_message
from s3o_proxy.domain.errors import BodyError, PreconditionFailed, RangeNotSatisfiable
from s3o_proxy.domain.ranges import RangeSpec, resolve
from s3o_proxy.domain.read_conditions import evaluate
from s3o_proxy.http.chunked import ChunkedDecoder
from s3o_proxy.s3.conditions import (
    parse_copy_range,
    parse_etags,
    parse_range,
    range_conditions,
    read_conditions,
    write_conditions,
)
from s3o_proxy.s3.dates import http_date, parse_http_date
from s3o_proxy.s3.documents import parse_complete_multipart_upload, parse_create_bucket, parse_delete
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.request import RequestFacts

NOW_MS = 1_774_026_585_000
_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "HEAD"})
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))
_OF_THE_SIGNER = ("authorization", "host", "x-amz-", "date", "expect", "user-agent", "transfer-encoding", "x-proxy-token", "connection")
"""What botocore sets itself, or leaves out of what it signs."""


def _lines(data: bytes) -> tuple[str, dict[str, str]]:
    """`METHOD /target`, then `name: value` lines."""
    first, *rest = data.decode("latin-1").split("\n")
    pairs = [line.partition(": ") for line in rest]
    return first, {name.lower(): value for name, separator, value in pairs if separator and name and set(name.lower()) <= _TOKEN}


# --- signatures ----------------------------------------------------------------------------------------------------------------------


def signature(data: bytes) -> None:
    """What botocore signs is taken, by header and by query, and the same proof for another path, method or header is not."""
    first, headers = _lines(data)
    method, _, target = first.partition(" ")
    path, _, query = target.partition("?")
    named = all(piece.partition("=")[0] for piece in query.split("&")) if query else True
    if method not in _METHODS or not path.startswith("/") or not set(target) <= _VISIBLE - {"#"} or not named or "amz" in query.lower():
        return
    signed = {
        name: value
        for name, value in headers.items()
        if not name.startswith(_OF_THE_SIGNER) and all(" " <= letter <= "~" for letter in value)
    }
    for presigned in (False, True):
        if presigned and ("awsaccesskeyid" in query.lower() or "%" in query):
            continue  # botocore would decode and encode what stands in a query that it adds to
        request = signed_by_botocore(method, f"http://{HOST}{target}", signed, at_ms=NOW_MS, presigned=presigned)
        _refused_or_taken(request, taken=True)
        _refused_or_taken(replace(request, raw_path=request.raw_path + b"x"), taken=False)
        _refused_or_taken(replace(request, method="PUT" if method != "PUT" else "GET"), taken=False)
        _refused_or_taken(replace(request, headers={**request.headers, "x-amz-meta-more": "1"}), taken=False)
        _refused_or_taken(replace(request, raw_query=request.raw_query + b"&more=1"), taken=False)


def _refused_or_taken(request: RequestFacts, *, taken: bool) -> None:
    try:
        Authenticator().authenticate(request, Keys(credential()), NOW_MS, allow_sig_v2=False)
    except S3Error:
        if taken:
            raise
        return
    assert taken, "a proof of something else"


_UNKNOWN = credential(secret=secrets.token_hex(20))


def proof(data: bytes) -> None:
    """No claim of somebody who does not know the secret is taken, and each is refused by an error of S3."""
    first, headers = _lines(data)
    method, _, target = first.partition(" ")
    path, _, query = target.partition("?")
    request = RequestFacts(method, path.encode("latin-1"), query.encode("latin-1"), {"host": HOST, **headers}, HOST)
    try:
        Authenticator().authenticate(request, Keys(_UNKNOWN), NOW_MS, allow_sig_v2=True)
    except S3Error:
        return
    raise AssertionError("taken without the secret")


# --- chunked bodies ------------------------------------------------------------------------------------------------------------------


class _Believer:
    """A verifier of chunks that takes every signature, and remembers of what."""

    def __init__(self) -> None:
        self.checked: list[tuple[bytes, str]] = []
        self._chunk = b""

    def update(self, data: bytes | memoryview) -> None:
        self._chunk += data

    def check_chunk(self, signature: str) -> None:
        self.checked.append((self._chunk, signature))
        self._chunk = b""

    def check_trailer(self, trailer: bytes, signature: str) -> None:
        self.checked.append((trailer, signature))


def chunks(data: bytes) -> None:
    """`SIZE[ signed|signed-trailer][ announced,…]`, then the body: fed whole or cut anywhere it decodes to the same, or fails alike; what
    decodes has the promised size, and its trailers are those announced. Any bytes, framed as a client would, come out again."""
    first, _, wire = data.partition(b"\n")
    framed = frame([piece for piece in (first, wire) if piece])
    assert _decode(len(first + wire), "", frozenset(), [framed]) == (first + wire, {}, [])
    size, _, rest = first.decode("latin-1").partition(" ")
    mode, _, names = rest.partition(" ")
    if not (size.isascii() and size.isdigit()) or len(size) > 6:
        return
    announced = frozenset(names.lower().split(",")) if names else frozenset[str]()
    whole = _decode(int(size), mode, announced, [wire])
    half, at = len(wire) // 2, sum(wire[:64]) % (len(wire) + 1)
    ways = [[wire[:half], wire[half:]], [wire[:at], wire[at : at + 1], wire[at + 1 :]]]
    for pieces in [*ways, [wire[one : one + 1] for one in range(len(wire))]]:
        assert _decode(int(size), mode, announced, pieces) == whole, "where it is cut makes a difference"
    if not isinstance(whole, type):
        payload, trailers, checked = whole
        assert len(payload) == int(size)
        assert trailers.keys() == announced
        if mode:
            chunk_count = len(checked) - (mode == "signed-trailer")
            assert b"".join(chunk for chunk, _ in checked[:chunk_count]) == payload, "bytes that no signature covers"


_Decoded = tuple[bytes, dict[str, str], list[tuple[bytes, str]]]


def _decode(size_bytes: int, mode: str, announced: frozenset[str], pieces: list[bytes]) -> _Decoded | type[BodyError]:
    verifier = _Believer() if mode else None
    decoder = ChunkedDecoder(size_bytes, announced, verifier, signed_trailer=mode == "signed-trailer")
    payload = b""
    try:
        for piece in pieces:
            payload += b"".join(decoder.feed(piece))
        decoder.finish()
    except BodyError as error:
        return type(error)
    return payload, decoder.trailers, verifier.checked if verifier else []


# --- documents -----------------------------------------------------------------------------------------------------------------------


def document(data: bytes) -> None:
    """Each reader gives an error of S3 or a value, which written out as a document again is read as the same value."""
    with suppress(S3Error):
        asked = parse_delete(data)
        objects = "".join(
            f"<Object><Key>{_text(one.key)}</Key><VersionId>{_text(one.version_id)}</VersionId>"
            + (f'<ETag>"{_text(one.conditions.if_match)}"</ETag>' if one.conditions.if_match is not None else "")
            + "</Object>"
            for one in asked.keys
        )
        assert parse_delete(f"<Delete>{objects}<Quiet>{str(asked.quiet).lower()}</Quiet></Delete>".encode()) == asked
    with suppress(S3Error):
        parts = parse_complete_multipart_upload(data)
        listed = "".join(
            f'<Part><PartNumber>{one.part_number}</PartNumber><ETag>"{_text(one.etag)}"</ETag>'
            + "".join(f"<Checksum{name}>{_text(value)}</Checksum{name}>" for name, value in one.checksums.items())
            + "</Part>"
            for one in parts
        )
        again = parse_complete_multipart_upload(f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
        assert again == parts
    with suppress(S3Error):
        place = parse_create_bucket(data)
        written = f"<CreateBucketConfiguration><LocationConstraint>{_text(place)}</LocationConstraint></CreateBucketConfiguration>"
        assert parse_create_bucket(written.encode()) == place
    with suppress(ValueError):
        said = code_and_message(data)
        assert said is None or all(isinstance(word, str) for word in said)


def _text(text: str) -> str:
    return escape(text, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


# --- ranges and conditions -----------------------------------------------------------------------------------------------------------


def conditions(data: bytes) -> None:
    """Lines of headers: each is read as what it says or not at all, a range lies within what is there, no condition of a write is lost."""
    _, headers = _lines(b"\n" + data)
    spec = parse_range(headers.get("range"))
    if spec is not None:
        again = f"bytes={'' if spec.first is None else spec.first}-{'' if spec.last is None else spec.last}"
        assert parse_range(again) == spec
        for size_bytes in (0, 1, 10, 10**12):
            _resolves(spec, size_bytes)
    with suppress(S3Error):
        copied = parse_copy_range(headers.get("x-amz-copy-source-range"))
        assert copied is None or 0 <= copied[0] <= copied[1]
    for prefix in ("", "x-amz-copy-source-"):
        reading = read_conditions(headers, prefix)
        for name, etags in (("if-match", reading.if_match), ("if-none-match", reading.if_none_match)):
            assert bool(etags) == (prefix + name in headers), "a condition that is ignored"
            assert not etags or parse_etags(", ".join(f'"{etag}"' for etag in etags)) == etags
        for at_ms in (reading.if_modified_since_ms, reading.if_unmodified_since_ms):
            assert at_ms is None or parse_http_date(http_date(at_ms)) == at_ms
        with suppress(PreconditionFailed):
            evaluate(reading, "etag", NOW_MS)
    with suppress(PreconditionFailed):
        evaluate(range_conditions(headers), "etag", NOW_MS)
    with suppress(S3Error):
        writing = write_conditions(headers)
        assert writing.if_none_match in (None, "*")
        assert bool(writing) == ("if-match" in headers or "if-none-match" in headers), "a condition that is ignored"


def _resolves(spec: RangeSpec, size_bytes: int) -> None:
    try:
        first, last = resolve(spec, size_bytes)
    except RangeNotSatisfiable:
        return
    assert 0 <= first <= last < size_bytes
    assert spec.first is None or first == spec.first
    assert spec.first is not None or last == size_bytes - 1
