"""Bytes that are no HTTP, or HTTP that may mean two things: refused before anybody asks who sent them."""

from __future__ import annotations

import random

from tests.probe.malformed.case import KEPT, Ask, Build, Case, named, raw

_SEED = 9112
"""RFC 9112, which says what a message is."""

_PUT = "PUT /{bucket}/{key} HTTP/1.1\nHost: {host}\n"
_GET = "GET /{bucket}/{key} HTTP/1.1\nHost: {host}\n"


def cases() -> list[Case]:
    return [
        *named("request line", [Case(name, raw(text), status, code) for name, (text, status, code) in _REQUEST_LINES.items()]),
        *named("header", [Case(line.replace("\n", "|")[:40], raw(_GET + line), 400, "BadRequest") for line in _HEADERS]),
        *named("host", [Case(repr(lines), raw(f"GET /{{bucket}} HTTP/1.1\n{lines}"), 400, "BadRequest") for lines in _HOSTS]),
        *named("length", [Case(lines.replace("\n", "|"), raw(_PUT + lines, b"hello"), 400, "BadRequest") for lines in _LENGTHS]),
        *named(
            "transfer coding",
            [Case(coding, raw(f"{_PUT}Transfer-Encoding: {coding}", b"0\r\n\r\n"), *answer) for coding, answer in _CODINGS.items()],
        ),
        *named("too much", _too_much()),
        *named("garbage", _garbage()),
        *named("gone", _gone()),
    ]


_REQUEST_LINES = {
    "no version": ("GET /{bucket}/{key}\nHost: {host}", 400, "BadRequest"),
    "HTTP/0.9": ("GET /{bucket}/{key} HTTP/0.9\nHost: {host}", 400, "BadRequest"),
    "HTTP/1.2": ("GET /{bucket}/{key} HTTP/1.2\nHost: {host}", 400, "BadRequest"),
    "HTTP/2.0": ("GET /{bucket}/{key} HTTP/2.0\nHost: {host}", 400, "BadRequest"),
    "the preface of HTTP/2": ("PRI * HTTP/2.0\n\nSM", 400, "BadRequest"),
    "another protocol": ("GET /{bucket}/{key} HTTX/1.1\nHost: {host}", 400, "BadRequest"),
    "a method nobody knows": ("FROB /{bucket}/{key} HTTP/1.1\nHost: {host}", 400, "BadRequest"),
    "a method in small letters": ("put /{bucket}/{key} HTTP/1.1\nHost: {host}", 400, "BadRequest"),
    "a space in the target": ("GET /{bucket}/a b HTTP/1.1\nHost: {host}", 400, "BadRequest"),
    "a tab in the target": ("GET /{bucket}/a\tb HTTP/1.1\nHost: {host}", 400, "BadRequest"),
    "no target": ("GET HTTP/1.1\nHost: {host}", 400, "BadRequest"),
    "no slash": ("GET {bucket}/{key} HTTP/1.1\nHost: {host}", 400, "BadRequest"),
    "the whole server": ("OPTIONS * HTTP/1.1\nHost: {host}", 405, "MethodNotAllowed"),
    "a tunnel": ("CONNECT {host} HTTP/1.1\nHost: {host}", 405, "MethodNotAllowed"),
    "another scheme": ("GET ftp://{host}/{bucket} HTTP/1.1\nHost: {host}", 405, "MethodNotAllowed"),
}

_HEADERS = (
    "no colon",
    ": no name",
    "a space : before the colon",
    "na(me: value",
    "n\u00e4me: value",
    "name: a\x00b",
    "name: a\x01b",
    "name: a\x7fb",
    "name: folded\n  onto the next line",
    " starts: with a space",
    "Connection: upgrade\nUpgrade: h2c\nContent-Length: 5",
)

_HOSTS = ("X-None: 1", "Host: {host}\nHost: {host}", "Host: {host}\nHost: elsewhere")

_LENGTHS = (
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: 5x",
    "Content-Length: 5 5",
    "Content-Length: 5, 5",
    "Content-Length: 5.0",
    "Content-Length: ",
    "Content-Length: 99999999999999999999",
    "Content-Length: 5\nContent-Length: 5",
    "Content-Length: 5\nContent-Length: 6",
    "Content-Length: 5\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\nContent-Length: 5",
)

_CODINGS = {
    "gzip": (501, "NotImplemented"),
    "identity": (501, "NotImplemented"),
    "xchunked": (501, "NotImplemented"),
    "chunked, gzip": (400, "BadRequest"),
    "chunked, chunked": (400, "BadRequest"),
    "\x0bchunked": (400, "BadRequest"),
}
"""RFC 9112 §6.1: a coding that is not understood is 501; one behind `chunked` leaves the end of the body open."""


def _too_much() -> list[Case]:
    return [
        Case("one long header", raw(f"{_GET}X-Long: {'x' * 80_000}"), 400, "RequestHeaderSectionTooLarge"),
        Case(
            "many headers", raw(_GET + "\n".join(f"X-{number}: {'x' * 60}" for number in range(1200))), 400, "RequestHeaderSectionTooLarge"
        ),
        Case("one long name", raw(f"{_GET}{'x' * 80_000}: 1"), 400, "RequestHeaderSectionTooLarge"),
        Case("a long path", raw(f"GET /{{bucket}}/{'x' * 17_000} HTTP/1.1\nHost: {{host}}"), 414, "RequestURITooLong"),
        Case("a long query", raw(f"GET /{{bucket}}?prefix={'x' * 17_000} HTTP/1.1\nHost: {{host}}"), 414, "RequestURITooLong"),
    ]


def _garbage() -> list[Case]:
    """Bytes that no method begins with, so that the first one tells."""
    chance = random.Random(_SEED)
    found = [Case("a TLS handshake", lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32), 400, "BadRequest")]
    for number in range(12):
        data = bytes([chance.randrange(128, 256)]) + chance.randbytes(chance.randrange(1, 200))
        found.append(Case(f"{number}, {data[:4].hex()}…", _constant(data), 400, "BadRequest"))
    return found


def _constant(data: bytes) -> Build:
    return lambda _: data


def _gone() -> list[Case]:
    """Good requests whose sender goes away before the last byte, and hears nothing."""
    body = b"overwritten" * 20_000
    put, framed = (
        Ask("PUT", KEPT, body=body),
        Ask("PUT", KEPT, length="", payload="UNSIGNED-PAYLOAD", behind={"Transfer-Encoding": "chunked"}),
    )
    delete = "<Delete><Object><Key>{key}</Key></Object></Delete>"
    asks: dict[str, tuple[Build, int]] = {
        "in its request line": (put, 9),
        "in its head": (put, 200),
        "behind its head": (put, -len(body)),
        "in its body": (put, -len(body) // 2),
        "before its last byte": (put, -1),
        "between chunks": (lambda scene: framed(scene) + b"5\r\nhello\r\n0\r\n\r\n", -5),
        "in a document": (Ask("POST", "/{bucket}?delete", {"x-amz-checksum-crc32": "AAAAAA=="}, delete), -1),
        "in a part": (Ask("PUT", "/{bucket}/{slow}?partNumber=1&uploadId={upload}", body=body), -1),
    }
    return [Case(name, _cut(build, size), 0) for name, (build, size) in asks.items()]


def _cut(build: Build, size: int) -> Build:
    return lambda scene: build(scene)[:size]
