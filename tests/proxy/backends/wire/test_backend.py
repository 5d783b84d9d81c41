"""What the verbs believe of an answer, and which client a backend gets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.s3_client import body
from tests.support.seaweedfs import Endpoint
from tests.support.tcp import Head, Peer, serving

from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.backends.wire.backend import WireBackend, open_backend
from s3o_proxy.domain.errors import BackendUnavailable


async def got(answer: bytes, byte_range: tuple[int, int] | None) -> bytes:
    """What a GET makes of this answer."""

    async def send(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.writer.write(answer)

    async with serving(send) as server:
        endpoint = Endpoint(server.url, "bucket")
        backend = await WireBackend.open(endpoint.config(), endpoint.secrets)
        try:
            async with backend.get("key", byte_range) as found:
                content = b"".join([piece async for piece in found.body])
                assert len(content) == found.size_bytes
                return content
        finally:
            await backend.close()


def partial(content_range: str, content: bytes) -> bytes:
    line = f"Content-Range: {content_range}\r\n" if content_range else ""
    return f"HTTP/1.1 206 Partial Content\r\n{line}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def test_the_bytes_of_a_range_are_those_that_the_answer_names() -> None:
    assert await got(partial("bytes 2-5/10", b"2345"), (2, 5)) == b"2345"
    assert await got(partial("bytes 2-5/*", b"2345"), (2, 5)) == b"2345"
    assert await got(partial("bytes 8-9/10", b"89"), (8, 20)) == b"89", "the object ends before the range does"


@pytest.mark.parametrize(
    ("content_range", "content", "asked"),
    [
        ("bytes 3-6/10", b"3456", (2, 5)),
        ("bytes 2-6/10", b"23456", (2, 5)),
        ("bytes 2-5/10", b"234", (2, 5)),
        ("bytes 5-2/10", b"", (2, 5)),
        ("", b"2345", (2, 5)),
        ("2-5", b"2345", (2, 5)),
        ("bytes 2-5/10, bytes 2-5/10", b"2345", (2, 5)),
        ("bytes 0-3/10", b"0123", None),
    ],
)
async def test_bytes_of_another_range_do_not_pass(content_range: str, content: bytes, asked: tuple[int, int] | None) -> None:
    with pytest.raises(BackendUnavailable, match="was asked for"):
        await got(partial(content_range, content), asked)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
    ],
)
async def test_an_object_without_a_length_is_none(answer: bytes) -> None:
    with pytest.raises(BackendUnavailable, match="Content-Length"):
        await got(answer, None)


async def test_what_a_put_says_of_the_object_is_said_in_its_headers() -> None:
    seen: list[Head] = []

    async def store(peer: Peer) -> None:
        while True:
            seen.append((await peer.request())[0])
            await peer.answer("200 OK", ETag='"etag"', X_Amz_Meta_One="1", x_amz_meta_TWO="ü")

    async with serving(store) as server:
        endpoint = Endpoint(server.url, "bucket")
        backend = await WireBackend.open(endpoint.config(), endpoint.secrets)
        await backend.put("key", body(b"content"), 7, content_type="text/plain", metadata={"Name": "two  words"}, content_md5="MD5==")
        found = await backend.head("key")
        await backend.close()
    asked = seen[0].headers
    assert {name: asked[name] for name in ("content-type", "content-md5", "x-amz-meta-name", "accept-encoding")} == {
        "content-type": "text/plain",
        "content-md5": "MD5==",
        "x-amz-meta-name": "two  words",
        "accept-encoding": "identity",
    }
    assert dict(found.metadata) == {"one": "1", "two": "ü"}


@pytest.mark.parametrize(("environment", "kind"), [({}, WireBackend), ({"http_proxy": "http://127.0.0.1:1"}, S3Backend)])
async def test_behind_a_proxy_of_the_environment_a_backend_is_left_to_aiobotocore(
    environment: dict[str, str], kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    endpoint = Endpoint("http://s3.test", "bucket")
    backend = await open_backend(endpoint.config(), endpoint.secrets)
    assert type(backend) is kind
    await backend.close()
