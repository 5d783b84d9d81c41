"""An upload is whole or it is nothing; a failure says whether the call may have happened all the same."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from tests.support.s3_client import EndlessBody, Opener, body, never_pulled
from tests.support.tcp import Head, Peer, serving

from s3o_proxy.domain.errors import (
    BackendNotFound,
    BackendRejected,
    BackendThrottled,
    BackendTimeout,
    BackendUnavailable,
    ClientDisconnected,
)

MIB = 1024 * 1024


async def test_with_unsigned_payload_off_small_bodies_are_signed(opened: Opener) -> None:
    seen: list[tuple[Head, bytes]] = []

    async def keep(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.answer("200 OK", ETag='"etag"')

    async with serving(keep) as server, opened(server.url, unsigned_payload=False) as backend:
        await backend.put("small", body(b"four", b"teen bytes"), 14)
        with pytest.raises(BackendRejected, match="unsignedPayload"):
            await backend.put("large", never_pulled(), MIB + 1)
    assert [head.headers["x-amz-content-sha256"] for head, _ in seen] == [hashlib.sha256(b"fourteen bytes").hexdigest()]
    assert "expect" not in seen[0][0].headers


@pytest.mark.parametrize("size_bytes", [10, 4 * MIB])
async def test_a_body_that_fails_never_makes_a_complete_request(opened: Opener, size_bytes: int) -> None:
    received: list[int] = []

    async def count(peer: Peer) -> None:
        await peer.head()
        received.append(await peer.read_to_end())

    async def failing() -> AsyncIterator[bytes]:
        yield bytes(size_bytes - 1)
        yield b"!"
        raise ClientDisconnected

    async with serving(count) as server, opened(server.url) as backend:
        for _ in range(2):
            with pytest.raises(ClientDisconnected):
                await backend.put("key", failing(), size_bytes)
        await server.finished()
        assert server.connections == 2, "the connection of a broken request is not used again"
    assert max(received, default=0) < size_bytes


async def test_a_cancelled_put_leaves_its_body_and_its_connection(opened: Opener) -> None:
    received: list[int] = []

    async def count(peer: Peer) -> None:
        await peer.head()
        received.append(await peer.read_to_end())

    async with serving(count) as server, opened(server.url) as backend:
        source = EndlessBody(bytes(1000))
        put = asyncio.create_task(backend.put("key", source, MIB))
        await source.stuck.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert source.left.is_set()
        await server.finished()
    assert received[0] <= 1000


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("403 Forbidden", "AccessDenied", BackendRejected),
        ("503 Slow Down", "SlowDown", BackendThrottled),
        ("429 Too Many Requests", "TooManyRequests", BackendThrottled),
        ("503 Service Unavailable", "ServiceUnavailable", BackendUnavailable),
        ("400 Bad Request", "RequestTimeout", BackendTimeout),
        ("507 Insufficient Storage", "XMinioStorageFull", BackendRejected),
        ("404 Not Found", "NoSuchBucket", BackendRejected),
        ("404 Not Found", "NoSuchUpload", BackendNotFound),
        ("301 Moved Permanently", "PermanentRedirect", BackendRejected),
    ],
)
async def test_an_answer_before_the_body_has_ended_ends_the_upload(opened: Opener, status: str, code: str, kind: type[Exception]) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.fail(status, code)
        await peer.read_to_end()

    async with serving(refuse) as server, opened(server.url) as backend:
        source = EndlessBody(bytes(1000))
        with pytest.raises(kind, match=code) as failed:
            await backend.put("key", source, MIB)
        assert type(failed.value) is kind
        assert not getattr(failed.value, "ambiguous", None)
        assert source.left.is_set()
        await server.finished()


async def test_success_before_the_body_has_ended_is_not_believed(opened: Opener) -> None:
    async def hurry(peer: Peer) -> None:
        await peer.head()
        await peer.answer("200 OK", ETag='"etag"')
        await peer.read_to_end()

    async with serving(hurry) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="not sent to its end"):
            await backend.put("key", EndlessBody(b"half"), MIB)
        await server.finished()


@pytest.mark.parametrize(("reads", "ambiguous"), [(0, False), (1000, False), (MIB, True)])
async def test_a_connection_that_breaks_is_ambiguous_only_when_everything_was_sent(opened: Opener, reads: int, ambiguous: bool) -> None:
    ready = asyncio.Event()

    async def hang_up(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(reads)
        await ready.wait()

    async def content() -> AsyncIterator[bytes]:
        yield bytes(1000)
        if not ambiguous:
            ready.set()
            await asyncio.Event().wait()
        ready.set()
        yield bytes(MIB - 1000)

    async with serving(hang_up) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable) as failed:
            await backend.put("key", content(), MIB)
        assert failed.value.ambiguous is ambiguous
        assert server.connections == 1, "a body is never sent twice"


async def test_a_call_that_changes_something_is_ambiguous_once_it_was_sent(opened: Opener) -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.request()

    async with serving(hang_up) as server, opened(server.url) as backend:
        for call in (
            backend.delete("key"),
            backend.delete_many(["key"]),
            backend.copy("a", "b"),
            backend.create_multipart("key"),
            backend.complete_multipart("key", "id", [(1, "etag")]),
            backend.abort_multipart("key", "id"),
        ):
            with pytest.raises(BackendUnavailable) as failed:
                await call
            assert failed.value.ambiguous
        with pytest.raises(BackendUnavailable) as failed:
            await backend.head("key")
        assert not failed.value.ambiguous


async def test_nobody_listens(opened: Opener) -> None:
    async with serving(Peer.read_to_end) as server:  # type: ignore[arg-type]  # what it returns does not matter
        url = server.url
    async with opened(url) as backend:
        with pytest.raises(BackendUnavailable) as failed:
            await backend.put("key", never_pulled(), 10)
        assert not failed.value.ambiguous
        with pytest.raises(BackendUnavailable) as failed:
            await backend.delete("key")
        assert not failed.value.ambiguous
