"""Waiting for a backend is bounded, and nothing else is; every call is told of."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from tests.support.s3_client import Opener
from tests.support.tcp import Peer, serving

from s3o_proxy.backends.guarded import Call, Guarded
from s3o_proxy.backends.memory import MemoryBackend, Moment
from s3o_proxy.backends.port import Unguarded
from s3o_proxy.domain.errors import BackendNotFound, BackendTimeout, BackendUnavailable, ClientDisconnected

MIB = 1024 * 1024
SHORT_MS, LONG_MS = 150, 60_000


@dataclass
class Told:
    """Every call that ended, as (operation, status, sent, received)."""

    calls: list[Call] = field(default_factory=list)

    @property
    def short(self) -> list[tuple[str, str, int, int]]:
        return [(call.operation, call.status, call.sent_bytes, call.received_bytes) for call in self.calls]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def memory() -> MemoryBackend:
    return MemoryBackend("m1")


def guard(backend: Unguarded, told: Told, *, request_ms: int = SHORT_MS, stall_ms: int = SHORT_MS) -> Guarded:
    return Guarded(backend, request_timeout_ms=request_ms, stall_timeout_ms=stall_ms, on_call=told.calls.append)


class OverHTTP(Protocol):
    def __call__(
        self, url: str, told: Told, *, name: str = "b1", request_ms: int = SHORT_MS, stall_ms: int = SHORT_MS
    ) -> AbstractAsyncContextManager[Guarded]: ...


@pytest.fixture
def over_http(opened: Opener) -> OverHTTP:
    @asynccontextmanager
    async def over_http(
        url: str, told: Told, *, name: str = "b1", request_ms: int = SHORT_MS, stall_ms: int = SHORT_MS
    ) -> AsyncIterator[Guarded]:
        async with opened(url, name=name) as backend:
            guarded = guard(backend, told, request_ms=request_ms, stall_ms=stall_ms)
            yield guarded
            await guarded.close()

    return over_http


async def body(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def slowly(*content: bytes) -> AsyncIterator[bytes]:
    """A client that takes longer for each piece than any time-out allows a backend."""
    for piece in content:
        await asyncio.sleep(2 * SHORT_MS / 1000)
        yield piece
    await asyncio.sleep(2 * SHORT_MS / 1000)


# --- what is bounded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["received", "done"])
async def test_an_answer_that_does_not_come_is_ambiguous_for_what_changes_something(
    memory: MemoryBackend, told: Told, moment: Moment
) -> None:
    guarded = guard(memory, told)
    for verb, call in (
        ("put", guarded.put("key", body(b"content"), 7)),
        ("delete", guarded.delete("key")),
        ("delete_many", guarded.delete_many(["key"])),
        ("create_multipart", guarded.create_multipart("key")),
        ("abort_multipart", guarded.abort_multipart("key", "id")),
    ):
        memory.stall(verb, at=moment)
        with pytest.raises(BackendTimeout) as failed:
            await call
        assert failed.value.ambiguous, verb
    assert {call.status for call in told.calls} == {"timeout"}


async def test_a_reader_that_gets_no_answer_is_told_so(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told)
    for verb in ("head", "get", "list"):
        memory.stall(verb)
    with pytest.raises(BackendTimeout) as failed:
        await guarded.head("key")
    assert not failed.value.ambiguous
    with pytest.raises(BackendTimeout):
        async with guarded.get("key"):
            pass
    with pytest.raises(BackendTimeout):
        _ = [found async for found in guarded.list()]


async def test_joining_parts_may_take_longer_than_other_answers(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told)
    upload_id = await guarded.create_multipart("key")
    etag = (await guarded.upload_part("key", upload_id, 1, body(b"part"), 4)).etag
    fault = memory.stall("complete_multipart", at="received")
    completing = asyncio.create_task(guarded.complete_multipart("key", upload_id, [(1, etag)]))
    await fault.reached.wait()
    await asyncio.sleep(2 * SHORT_MS / 1000)
    fault.release()
    await completing


async def single_delete(peer: Peer) -> str:
    """The next key, by a provider that does not delete in bulk."""
    while True:
        head, _ = await peer.request()
        if head.method != "POST":
            return head.target.removeprefix("/bucket/")
        await peer.fail("501 Not Implemented", "NotImplemented")


async def test_keys_that_are_deleted_one_by_one_have_a_deadline_each(over_http: OverHTTP, told: Told) -> None:
    """A thousand of them fit into no time-out of one request."""
    deleted: list[str] = []

    async def delete(peer: Peer) -> None:
        while True:
            key = await single_delete(peer)
            if key == "stuck":
                await peer.read_to_end()
                return
            await asyncio.sleep(SHORT_MS / 3000)
            deleted.append(key)
            await peer.answer("204 No Content")

    names = [f"key-{number}" for number in range(50)]
    async with serving(delete) as server, over_http(server.url, told) as guarded:
        failed = await guarded.delete_many([*names[:7], "stuck", *names[7:]])
    assert list(failed) == ["stuck"]
    assert sorted(deleted) == sorted(names)
    statuses = Counter((call.operation, call.status) for call in told.calls)
    assert statuses == {("DeleteObjects", "rejected"): 1, ("DeleteObject", "success"): 50, ("DeleteObject", "timeout"): 1}


async def test_single_deletions_do_not_follow_a_backend_that_is_exchanged_meanwhile(over_http: OverHTTP, told: Told) -> None:
    """It may lie in another bucket, where what is not there would count as deleted."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def delete(peer: Peer) -> None:
        while True:
            await single_delete(peer)
            arrived.set()
            await go_on.wait()
            await peer.answer("204 No Content")

    other = MemoryBackend("b1")
    async with serving(delete) as server, over_http(server.url, told, request_ms=LONG_MS) as guarded:
        deleting = asyncio.create_task(guarded.delete_many([f"key-{number}" for number in range(30)]))
        await arrived.wait()
        leaving = asyncio.create_task(guarded.replace(other, request_timeout_ms=LONG_MS, stall_timeout_ms=LONG_MS))
        await asyncio.sleep(0)
        go_on.set()
        failed = await deleting
        await leaving
    assert len(failed) == 20
    assert other.calls == []


async def test_a_server_that_never_answers(over_http: OverHTTP, told: Told) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.read_to_end()

    async with serving(silent) as server, over_http(server.url, told) as guarded:
        with pytest.raises(BackendTimeout) as failed:
            await guarded.put("key", body(b"content"), 7)
        assert failed.value.ambiguous
        with pytest.raises(BackendTimeout) as failed:
            await guarded.delete("key")
        assert failed.value.ambiguous
        await server.finished()
        assert server.connections == 2, "a connection that was given up is not used again"


async def test_a_server_that_stops_reading_fails_the_put_and_nothing_was_stored(over_http: OverHTTP, told: Told) -> None:
    async def full(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    async with serving(full) as server, over_http(server.url, told, request_ms=LONG_MS) as guarded:
        with pytest.raises(BackendTimeout) as failed:
            await guarded.put("key", body(*[bytes(MIB)] * 64), 64 * MIB)
        assert not failed.value.ambiguous


async def test_a_server_that_stops_sending_fails_the_get_where_it_is_read(over_http: OverHTTP, told: Told) -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"half", length=8)
        await peer.read_to_end()

    async with serving(half) as server, over_http(server.url, told, request_ms=LONG_MS) as guarded:
        async with guarded.get("key") as found:
            assert await anext(found.body) == b"half"
            with pytest.raises(BackendTimeout):
                await anext(found.body)
        await server.finished()


async def test_a_source_backend_that_stalls_is_blamed_in_the_copy_to_another(
    over_http: OverHTTP, memory: MemoryBackend, told: Told
) -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"half", length=8)
        await peer.read_to_end()

    async def sink(peer: Peer) -> None:
        await peer.head()
        await peer.read_to_end()

    async with (
        serving(half) as source_server,
        serving(sink) as target_server,
        over_http(source_server.url, Told(), name="source") as source,
        over_http(target_server.url, told, name="target") as target,
        source.get("key") as found,
    ):
        with pytest.raises(BackendTimeout, match="source: GetObject"):
            await target.put("copy", found.body, 8)
    assert told.short == [("PutObject", "aborted", 4, 0)]


# --- what is not -----------------------------------------------------------------------------------------------------


async def test_a_slow_client_is_not_blamed_on_the_backend_it_writes_to(over_http: OverHTTP, told: Told) -> None:
    async def store(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", ETag='"etag"')

    async with serving(store) as server, over_http(server.url, told) as guarded:
        await guarded.put("key", slowly(b"one", b"two", b"three"), 11)
    assert told.short == [("PutObject", "success", 11, 0)]
    assert told.calls[0].duration_s < 4 * SHORT_MS / 1000, "the client's time is not the backend's"


async def test_a_slow_reader_is_not_blamed_on_the_backend_it_reads_from(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told)
    await memory.put("key", body(bytes(MIB)), MIB)
    async with guarded.get("key") as found:
        async for _ in found.body:
            await asyncio.sleep(2 * SHORT_MS / 1000)
    assert told.short == [("GetObject", "success", 0, MIB)]


async def test_a_long_transfer_lives_as_long_as_it_moves(over_http: OverHTTP, told: Told) -> None:
    async def drip(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", length=20)
        for _ in range(20):
            await asyncio.sleep(SHORT_MS / 1000 / 4)
            peer.writer.write(b".")

    async with serving(drip) as server, over_http(server.url, told, request_ms=LONG_MS) as guarded, guarded.get("key") as found:
        assert b"".join([piece async for piece in found.body]) == b"." * 20
    assert told.calls[0].duration_s > 2 * SHORT_MS / 1000


async def test_a_server_that_takes_a_body_slowly_but_steadily_gets_it_whole(over_http: OverHTTP, told: Told) -> None:
    """Both limits are shorter than what the system's buffers hold takes to leave: only by these can progress be seen."""

    async def slow(peer: Peer) -> None:
        # Else the system takes the whole body in its place.
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        head = await peer.head()
        left = int(head.headers["content-length"])
        while left:
            left -= len(await peer.reader.read(128 * 1024))
            await asyncio.sleep(0.01)
        await peer.answer("200 OK", ETag='"etag"')

    async with serving(slow) as server, over_http(server.url, told) as guarded:
        await guarded.put("key", body(*[bytes(MIB)] * 8), 8 * MIB)
    assert told.short == [("PutObject", "success", 8 * MIB, 0)]
    assert told.calls[0].duration_s > 4 * SHORT_MS / 1000


async def test_a_time_out_does_not_touch_what_the_task_does_next(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told)
    memory.stall("head")
    with pytest.raises(BackendTimeout):
        await guarded.head("key")
    await asyncio.sleep(2 * SHORT_MS / 1000)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_is_no_time_out(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told, request_ms=LONG_MS)
    fault = memory.stall("head")
    asking = asyncio.create_task(guarded.head("key"))
    await fault.reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert told.short == [("HeadObject", "aborted", 0, 0)]


# --- what is told ----------------------------------------------------------------------------------------------------


async def test_every_call_is_told_with_its_bytes_and_its_status(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told, request_ms=LONG_MS)

    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientDisconnected

    await guarded.put("key", body(b"con", b"tent"), 7)
    async with guarded.get("key") as found:
        _ = [piece async for piece in found.body]
    with pytest.raises(BackendNotFound):
        await guarded.head("missing")
    with pytest.raises(ClientDisconnected):
        await guarded.put("other", failing(), 8)
    memory.fail("delete")
    with pytest.raises(BackendUnavailable):
        await guarded.delete("key")
    _ = [found async for found in guarded.list()]
    assert told.short == [
        ("PutObject", "success", 7, 0),
        ("GetObject", "success", 0, 7),
        ("HeadObject", "not_found", 0, 0),
        ("PutObject", "aborted", 4, 0),
        ("DeleteObject", "unavailable", 0, 0),
        ("ListObjectsV2", "success", 0, 0),
    ]
    assert {call.backend for call in told.calls} == {"m1"}


# --- being exchanged -------------------------------------------------------------------------------------------------


async def test_a_backend_is_exchanged_under_calls_in_flight(memory: MemoryBackend, told: Told) -> None:
    guarded, newer = guard(memory, told, request_ms=LONG_MS), MemoryBackend("m1")
    fault = memory.stall("put", at="received")
    putting = asyncio.create_task(guarded.put("key", body(b"content"), 7))
    await fault.reached.wait()
    closing = asyncio.create_task(guarded.replace(newer, request_timeout_ms=LONG_MS, stall_timeout_ms=LONG_MS))
    await guarded.put("new", body(b"content"), 7)
    assert not memory.closed
    fault.release()
    await putting
    await closing
    assert memory.closed
    assert (list(memory.objects), list(newer.objects)) == (["key"], ["new"])


async def test_a_retired_backend_refuses_and_finishes_what_is_in_flight(memory: MemoryBackend, told: Told) -> None:
    guarded = guard(memory, told)
    await memory.put("key", body(b"content"), 7)
    async with guarded.get("key") as found:
        closing = asyncio.create_task(guarded.retire())
        await asyncio.sleep(0)
        with pytest.raises(BackendUnavailable, match="not configured"):
            await guarded.head("key")
        assert [piece async for piece in found.body] == [b"content"]
        assert not memory.closed
    await closing
    assert memory.closed
