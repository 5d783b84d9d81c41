"""The canonical form of a request, which SigV4 signs: always of the wire's bytes, never of what they decode to.

Clients differ in what they encode on the wire and in what they sign (`(`, `+`, lower-case escapes). So there are up to four forms: path and
query each as sent and each encoded anew. All of them decode to the same bucket, key and parameters, so none lets a signature stand for
another request. The form as sent comes first and is the one that nearly every client signs.
Source: AWS, "Create a signed AWS API request", canonical request; for S3 the path is neither normalised nor encoded twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, unquote_to_bytes

from s3o_proxy.s3.request import RequestFacts

_SPACES = re.compile(" {2,}")
_SAFE_QUERY = re.compile(rb"(?:[A-Za-z0-9\-._~&=]|%[0-9A-F]{2})*")
_SAFE_PATH = re.compile(rb"(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*")

HIDDEN = (b"X-Amz-Signature",)
"""The parameter that carries the signature itself is no part of what it signs."""


def canonical_requests(
    facts: RequestFacts, signed_headers: Sequence[str], payload_hash: str, *, presigned: bool = False
) -> Iterator[bytes]:
    """The forms that may have been signed, the likeliest first."""
    tail = f"\n{canonical_headers(facts.headers, signed_headers)}\n{';'.join(signed_headers)}\n{payload_hash}"
    pairs = _query_pairs(facts.raw_query, presigned=presigned)
    as_sent = facts.raw_path.decode("latin-1"), _joined(pairs)
    yield f"{facts.method}\n{as_sent[0]}\n{as_sent[1]}{tail}".encode("latin-1")
    for path in _path_forms(facts.raw_path):
        for query in _query_forms(facts.raw_query, pairs):
            if (path, query) != as_sent:
                yield f"{facts.method}\n{path}\n{query}{tail}".encode("latin-1")


def canonical_headers(headers: Mapping[str, str], signed_headers: Sequence[str]) -> str:
    """`name:value\\n` for each, trimmed, runs of spaces made one. A header that was not sent has no value."""
    lines = []
    for name in signed_headers:
        value = headers.get(name, "").strip(" \t")
        lines.append(f"{name}:{_SPACES.sub(' ', value) if '  ' in value else value}\n")
    return "".join(lines)


def _path_forms(raw_path: bytes) -> Iterator[str]:
    yield raw_path.decode("latin-1")
    if not _SAFE_PATH.fullmatch(raw_path):
        yield quote(unquote_to_bytes(raw_path), safe="/-_.~")


def _query_pairs(raw_query: bytes, *, presigned: bool) -> list[tuple[bytes, bytes]]:
    if not raw_query:
        return []
    pairs = [(name, value) for name, _, value in (piece.partition(b"=") for piece in raw_query.split(b"&")) if name]
    if presigned:
        pairs = [pair for pair in pairs if pair[0] not in HIDDEN]
    pairs.sort()
    return pairs


def _joined(pairs: list[tuple[bytes, bytes]]) -> str:
    return b"&".join([name + b"=" + value for name, value in pairs]).decode("latin-1") if pairs else ""


def _query_forms(raw_query: bytes, pairs: list[tuple[bytes, bytes]]) -> Iterator[str]:
    yield _joined(pairs)
    if not _SAFE_QUERY.fullmatch(raw_query):
        encoded = sorted((_encode(name), _encode(value)) for name, value in pairs)
        yield "&".join([f"{name}={value}" for name, value in encoded])


def _encode(piece: bytes) -> str:
    return quote(unquote_to_bytes(piece.replace(b"+", b" ")), safe="-_.~")
