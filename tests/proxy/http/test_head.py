"""Heads that are refused before anybody looks at what they ask for; the wire forms that the parser refuses are in test_protocol."""

from __future__ import annotations

import pytest

from s3o_proxy.http.head import Head, read_head
from s3o_proxy.s3.errors import S3Error

HOST = (b"host", b"s3.example.com")


def read(
    *headers: tuple[bytes, bytes], method: str = "GET", target: bytes = b"/bucket/key", version: str = "1.1", upgrade: bool = False
) -> tuple[Head, S3Error | None]:
    return read_head(method, target, list(headers), version, keep_alive=True, upgrade=upgrade)


def test_a_plain_head_is_taken_as_it_is() -> None:
    head, refusal = read(HOST, (b"content-length", b"5"), (b"expect", b"100-Continue"), method="PUT")
    assert refusal is None
    assert (head.host, head.content_length, head.chunked) == ("s3.example.com", 5, False)
    assert (head.expects_continue, head.keep_alive) == (True, True)


def test_http_1_0_is_served_once_and_expects_nothing() -> None:
    head, refusal = read((b"expect", b"100-continue"), version="1.0")
    assert refusal is None
    assert (head.keep_alive, head.expects_continue, head.host) == (False, False, "")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://other.example.com:80/bucket/key?a=b", b"/bucket/key?a=b"),
        (b"HTTPS://other.example.com:80", b"/"),
    ],
)
def test_the_absolute_form_names_path_and_host(target: bytes, path: bytes) -> None:
    head, refusal = read(HOST, target=target)
    assert refusal is None
    assert (head.target, head.host) == (path, "other.example.com:80")


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (read()[1], "BadRequest"),
        (read(HOST, HOST)[1], "BadRequest"),
        (read(HOST, HOST, version="1.0")[1], "BadRequest"),
        (read(HOST, version="2.0")[1], "BadRequest"),
        (read(HOST, (b"transfer-encoding", b"gzip, chunked"))[1], "NotImplemented"),
        (read(HOST, (b"transfer-encoding", b"chunked"), version="1.0")[1], "BadRequest"),
        (read(HOST, (b"content-length", b"5"), upgrade=True)[1], "BadRequest"),
        (read(HOST, method="CONNECT", target=b"s3.example.com:80")[1], "MethodNotAllowed"),
        (read(HOST, method="OPTIONS", target=b"*")[1], "MethodNotAllowed"),
        (read(HOST, target=b"ftp://other.example.com/key")[1], "MethodNotAllowed"),
    ],
)
def test_what_is_refused(refusal: S3Error | None, code: str) -> None:
    assert refusal is not None
    assert refusal.code == code
