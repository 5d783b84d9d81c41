"""What goes over the wire to an S3 server, and which answers are not believed."""

from __future__ import annotations

import pytest
from tests.support.s3_client import Opener, body
from tests.support.tcp import Head, Peer, serving

from s3o_proxy.domain.errors import (
    BackendRejected,
    BackendUnavailable,
)

MIB = 1024 * 1024


async def test_a_put_has_its_exact_length_and_nothing_that_an_endpoint_could_refuse(opened: Opener) -> None:
    seen: list[tuple[Head, bytes]] = []

    async def keep(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.answer("200 OK", ETag='"etag"')

    async with serving(keep) as server, opened(server.url) as backend:
        await backend.put("a key/+~", body(b"four", b"teen bytes"), 14, content_type="text/plain", metadata={"s3o-key": "x"})
        await backend.put("empty", body(), 0)
        await backend.upload_part("parts", "id", 3, body(b"part"), 4, content_md5="MD5==")
        assert server.connections == 1, "a connection is used again"
    (first, content), (empty, _), (part, _) = seen
    assert (first.method, first.target, content) == ("PUT", "/bucket/a%20key/%2B~", b"fourteen bytes")
    assert first.headers["content-length"] == "14"
    assert first.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert first.headers["content-type"] == "text/plain"
    assert first.headers["x-amz-meta-s3o-key"] == "x"
    assert first.headers["user-agent"] == "s3-orchestrator"
    assert empty.headers["content-length"] == "0"
    path, _, query = part.target.partition("?")
    assert (path, sorted(query.split("&")), part.headers["content-md5"]) == ("/bucket/parts", ["partNumber=3", "uploadId=id"], "MD5==")
    for head, _ in seen:
        assert not {"expect", "transfer-encoding", "content-encoding", "cookie"} & head.headers.keys()
        assert not [name for name in head.headers if name.startswith(("x-amz-checksum", "x-amz-sdk", "x-amz-trailer"))]


async def test_virtual_hosted_buckets_and_a_proxy_from_the_environment(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Head] = []

    async def forward(peer: Peer) -> None:
        seen.append(await peer.head())
        await peer.answer("200 OK", b"content")

    async with serving(forward) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("http_proxy", raising=False)
        async with opened("http://s3.test", force_path_style=False) as backend, backend.get("key") as found:
            assert [piece async for piece in found.body] == [b"content"]
    assert seen[0].target == "http://bucket.s3.test/key"


async def test_leaving_a_get_early_closes_its_connection_instead_of_draining_it(opened: Opener) -> None:
    sent: list[int] = []

    async def flood(peer: Peer) -> None:
        await peer.head()
        await peer.answer("200 OK", length=1024 * MIB)
        try:
            while True:
                peer.writer.write(bytes(MIB))
                await peer.writer.drain()
                sent.append(MIB)
        except ConnectionError:
            return

    async with serving(flood) as server, opened(server.url) as backend:
        async with backend.get("key") as found:
            assert len(await anext(found.body)) <= 256 * 1024
        await server.finished()
    assert sum(sent) < 64 * MIB


async def test_an_idle_connection_that_the_server_closed_costs_a_reader_nothing(opened: Opener) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"content", ETag='"etag"')
        await peer.head()  # The second request of a connection is read, and never answered.

    async with serving(once) as server, opened(server.url) as backend:
        for _ in range(3):
            async with backend.get("key") as found:
                assert [piece async for piece in found.body] == [b"content"]
        assert server.connections == 3
        with pytest.raises(BackendUnavailable):
            await backend.copy("a", "b")


async def test_a_body_that_breaks_off_is_an_error_and_no_end(opened: Opener) -> None:
    async def break_off(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"half", length=8)

    async with serving(break_off) as server, opened(server.url) as backend, backend.get("key") as found:
        with pytest.raises(BackendUnavailable):
            _ = [piece async for piece in found.body]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 what?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<not xml<",
        b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"",
    ],
)
async def test_garbage_is_unavailable(opened: Opener, garbage: bytes) -> None:
    async def babble(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(garbage)
        await peer.writer.drain()

    async with serving(babble) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable):
            _ = [found async for found in backend.list()]


async def test_no_redirect_is_followed(opened: Opener) -> None:
    async def elsewhere(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("307 Temporary Redirect", Location=other.url + "/bucket/key")

    async def trap(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"content")

    async with serving(trap) as other, serving(elsewhere) as server, opened(server.url) as backend:
        with pytest.raises(BackendRejected):
            async with backend.get("key"):
                pass
        with pytest.raises(BackendRejected):
            await backend.put("key", body(b"content"), 7)
        with pytest.raises(BackendRejected):
            await backend.head("key")
        assert other.connections == 0
