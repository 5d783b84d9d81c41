"""What is asked again, what is not, and when a connection is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.support.s3_client import EndlessBody, body, never_pulled
from tests.support.seaweedfs import Endpoint
from tests.support.tcp import Handler, Peer, Server, serving

from s3o_proxy.backends.wire.backend import WireBackend
from s3o_proxy.backends.wire.failures import NotConnectedError
from s3o_proxy.domain.errors import BackendRejected, BackendUnavailable, ClientDisconnected

MIB = 1024 * 1024


@asynccontextmanager
async def at(handler: Handler) -> AsyncIterator[tuple[Server, WireBackend]]:
    async with serving(handler) as server:
        endpoint = Endpoint(server.url, "bucket")
        backend = await WireBackend.open(endpoint.config(), endpoint.secrets)
        try:
            yield server, backend
        finally:
            await backend.close()


def dying(answered: int) -> Handler:
    """A server whose connections answer so often, read one request more, and end."""

    async def die(peer: Peer) -> None:
        for _ in range(answered):
            await peer.request()
            await peer.answer("200 OK", ETag='"etag"')
        await peer.request()

    return die


Verb = Callable[[WireBackend], Awaitable[object]]


@pytest.mark.parametrize("verb", [lambda backend: backend.head("key"), lambda backend: backend.delete("key")], ids=["head", "delete"])
async def test_what_can_be_done_twice_is_asked_again_where_an_idle_connection_was_dead(verb: Verb) -> None:
    async with at(dying(1)) as (server, backend):
        for _ in range(3):
            await verb(backend)
        assert server.connections == 3


@pytest.mark.parametrize("verb", [lambda backend: backend.head("key"), lambda backend: backend.delete("key")], ids=["head", "delete"])
async def test_a_new_connection_that_breaks_is_not_tried_again(verb: Verb) -> None:
    async with at(dying(0)) as (server, backend):
        with pytest.raises(BackendUnavailable):
            await verb(backend)
        assert server.connections == 1


async def test_what_was_sent_once_and_cannot_be_asked_again_may_have_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> None:
        raise NotConnectedError("nobody listens any more")

    async with at(dying(1)) as (server, backend):
        await backend.delete("key")
        monkeypatch.setattr(backend._pool, "_dial", nobody)
        with pytest.raises(BackendUnavailable) as failed:
            await backend.delete("key")
        assert failed.value.ambiguous
        await server.finished()
        with pytest.raises(BackendUnavailable) as failed:
            await backend.delete("key")
        assert not failed.value.ambiguous, "this one was never sent"


async def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    async def break_off(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", ETag='"etag"')
        await peer.request()
        peer.writer.write(b"HTTP/1.1 2")

    async with at(break_off) as (server, backend):
        await backend.head("key")
        with pytest.raises(BackendUnavailable):
            await backend.head("key")
        assert server.connections == 1


@pytest.mark.parametrize("size_bytes", [0, 7, MIB])
async def test_an_upload_is_never_sent_twice(size_bytes: int) -> None:
    async with at(dying(1)) as (server, backend):
        await backend.put("key", body(bytes(size_bytes)), size_bytes)
        with pytest.raises(BackendUnavailable) as failed:
            await backend.put("key", body(bytes(size_bytes)), size_bytes)
        assert failed.value.ambiguous
        assert server.connections == 1


async def test_a_connection_that_goes_while_a_client_takes_its_time_costs_nothing() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", ETag='"etag"')

    async with at(once) as (server, backend):

        async def slowly() -> AsyncIterator[bytes]:
            await server.finished()
            await asyncio.sleep(0.01)
            yield b"content"

        await backend.put("first", body(), 0)
        assert (await backend.put("key", slowly(), 7)).etag == "etag"
        assert server.connections == 2


async def test_a_small_body_goes_out_when_it_is_whole_in_one_piece_with_its_head() -> None:
    pieces: list[bytes] = []

    async def first_read(peer: Peer) -> None:
        pieces.append(await peer.reader.read(100_000))
        await peer.answer("200 OK", ETag='"etag"')

    async with at(first_read) as (_, backend):
        await backend.put("key", body(b"con", b"", b"tent"), 7)
    assert pieces[0].endswith(b"\r\n\r\ncontent")


@pytest.mark.parametrize("size_bytes", [8, MIB])
async def test_a_source_that_fails_is_heard_and_its_connection_ends(size_bytes: int) -> None:
    broken = ClientDisconnected("gone")

    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise broken

    async with at(dying(1)) as (server, backend):
        with pytest.raises(ClientDisconnected) as failed:
            await backend.put("key", failing(), size_bytes)
        assert failed.value is broken
        await server.finished()


async def test_a_cancelled_small_upload_leaves_its_body_and_its_connection() -> None:
    async with at(dying(1)) as (server, backend):
        source = EndlessBody(b"half")
        putting = asyncio.create_task(backend.put("key", source, 8))
        await source.stuck.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert source.left.is_set()
        await server.finished()


@pytest.mark.parametrize("sends_at_once", [True, False])
async def test_a_502_to_a_body_that_was_handed_over_whole_may_have_happened(sends_at_once: bool) -> None:
    """Whether its end had left when the answer came is nothing that can be told for certain."""

    async def bad_gateway(peer: Peer) -> None:
        await (peer.head() if sends_at_once else peer.request())
        await peer.answer("502 Bad Gateway")
        await peer.read_to_end()

    async with at(bad_gateway) as (_, backend):
        ended = False

        async def source() -> AsyncIterator[bytes]:
            nonlocal ended
            for _ in range(16):
                yield bytes(MIB // 16)
            ended = True  # Asked for before the last piece is handed on.

        with pytest.raises(BackendUnavailable) as failed:
            await backend.put("key", source(), MIB)
        assert failed.value.ambiguous == ended


@pytest.mark.parametrize("document", [b"<Error><Code>InternalError</Code></Error>", b"half of an ans", b"<Error><Code>Int"])
async def test_an_error_hidden_in_a_200_is_an_error_that_may_have_happened(document: bytes) -> None:
    async def change_its_mind(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("200 OK", document, ETag='"etag"')

    async with at(change_its_mind) as (_, backend):
        for call in (backend.put("key", body(b"content"), 7), backend.put("key", body(bytes(MIB)), MIB), backend.delete("key")):
            with pytest.raises(BackendUnavailable) as failed:
                await call
            assert failed.value.ambiguous


async def test_a_200_with_another_document_is_a_success() -> None:
    async def talk(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("200 OK", b"<PutObjectResult/>", ETag='"etag"')

    async with at(talk) as (_, backend):
        assert (await backend.put("key", body(b"content"), 7)).etag == "etag"


async def test_a_long_refusal_is_told_by_its_status() -> None:
    async def ramble(peer: Peer) -> None:
        await peer.request()
        await peer.answer("403 Forbidden", b"<Error><Code>AccessDenied</Code><Message>" + bytes(10 * MIB))

    async with at(ramble) as (_, backend):
        with pytest.raises(BackendRejected, match="403 403: Forbidden"):
            async with backend.get("key"):
                pass


async def test_metadata_that_is_not_ascii_is_refused_before_anything_is_sent() -> None:
    async with at(dying(1)) as (server, backend):
        with pytest.raises(BackendRejected, match="ASCII"):
            await backend.put("key", never_pulled(), 7, metadata={"name": "ü"})
        assert server.connections == 0
