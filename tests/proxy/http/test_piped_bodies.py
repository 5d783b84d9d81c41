"""Large bodies go from socket to socket through a pipe, and every promise of those that pass through Python holds for them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.certificates import self_signed
from tests.support.edge import HandlerEdge, WireClient, connected, serving
from tests.support.relay import CONTENT, Relay, get, head_of, open_descriptors, pass_on, relayed, stores
from tests.support.tcp import Handler, Peer

from s3o_proxy.backends.guarded import Guarded
from s3o_proxy.domain.errors import BackendTimeout, BackendUnavailable, ClientDisconnected
from s3o_proxy.domain.model import Copy, Description, Digests, StoredObject
from s3o_proxy.http.exchange import Exchange
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.read import open_copy
from s3o_proxy.sockets.descriptor import Descriptor
from s3o_proxy.sockets.pipe import MAX_PIPES, PIPES, WORTH_BYTES, Pipe, Pipes

SIZE = len(CONTENT)


@dataclass
class Stores:
    """Of the context of an operation, what reading a copy asks for: backends, and where the object lies by now."""

    by_name: dict[str, Guarded]
    moved: StoredObject

    @property
    def backends(self) -> Stores:
        return self

    @property
    def metadata(self) -> Stores:
        return self

    def get(self, name: str) -> Guarded:
        return self.by_name[name]

    async def find_object(self, bucket: str, key: str) -> StoredObject:
        assert (bucket, key) == (self.moved.bucket, self.moved.key)
        return self.moved


class Meter:
    """Bytes that went through a pipe."""

    piped_bytes = 0


@pytest.fixture(autouse=True)
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    meter, fill = Meter(), Pipe.fill

    def counted(pipe: Pipe, source: Descriptor, limit_bytes: int) -> int:
        moved = fill(pipe, source, limit_bytes)
        meter.piped_bytes += moved
        return moved

    monkeypatch.setattr(Pipe, "fill", counted)
    yield meter
    PIPES.close()


async def fetch(relay: Relay, path: str = "/key") -> bytes:
    async with connected(relay.port) as client:
        return (await client.ask(get(path))).body


async def ended(relay: Relay) -> None:
    """The request is over, and what it held was let go."""
    await asyncio.wait_for(relay.over.wait(), 5)
    await asyncio.sleep(0.02)


# --- what arrives ---------------------------------------------------------------------------------------------------------


async def test_the_bytes_are_the_same_and_nearly_all_of_them_go_through_the_pipe(meter: Meter) -> None:
    async with relayed(stores(CONTENT)) as relay, connected(relay.port) as client:
        for _ in range(3):
            assert (await client.ask(get())).body == CONTENT
        assert relay.upstream.connections == 1, "the backend's connection serves again"
    assert meter.piped_bytes > 3 * (SIZE - 1024 * 1024)
    assert [(call.status, call.received_bytes) for call in relay.calls] == [("success", SIZE)] * 3
    assert [exchange.sent_bytes for exchange in relay.exchanges] == [SIZE] * 3


@pytest.mark.parametrize("size", [0, 1, WORTH_BYTES - 1])
async def test_small_ones_take_the_ordinary_way(size: int, meter: Meter) -> None:
    async with relayed(stores(CONTENT[:size])) as relay:
        assert await fetch(relay) == CONTENT[:size]
    assert (meter.piped_bytes, PIPES.idle) == (0, [])


def cut_at(*cuts: int) -> Handler:
    """Sends the object named by its size, with a pause at each cut."""

    async def send(peer: Peer) -> None:
        while True:
            size = int((await peer.head()).target.rpartition("/")[2])
            answer = head_of(size) + CONTENT[:size]
            for start, end in pairwise(sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})):
                peer.writer.write(answer[start:end])
                await peer.writer.drain()
                await asyncio.sleep(0.002)

    return send


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, SIZE) | st.sampled_from([WORTH_BYTES - 1, WORTH_BYTES, WORTH_BYTES + 1, SIZE]), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, SIZE), max_size=4),
)
async def test_whatever_their_size_and_however_they_are_cut(sizes: list[int], cuts: list[int]) -> None:
    async with relayed(cut_at(*cuts)) as relay, connected(relay.port) as client:
        for size in sizes:
            client.send(get(f"/{size}"))  # All at once: each but the first is asked for while another is answered.
        for size in sizes:
            assert (await client.response()).body == CONTENT[:size]
        assert relay.upstream.connections == 1
    assert [call.received_bytes for call in relay.calls] == sizes


# --- at the client's pace -------------------------------------------------------------------------------------------------


async def test_a_client_that_takes_its_time_holds_back_the_backend_whose_clock_stands() -> None:
    sent = 0

    async def endless(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        peer.writer.write(head_of(100 * SIZE))
        for _ in range(100):
            peer.writer.write(CONTENT)
            await peer.writer.drain()
            sent += SIZE

    async with relayed(endless, backend_stall_ms=100) as relay, connected(relay.port, receive_buffer_bytes=65536) as client:
        client.send(get())
        await client.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.4)
        assert sent < 8 * SIZE
        assert not relay.over.is_set(), "the backend is not late"
        assert await client.reader.readexactly(2 * SIZE) == CONTENT * 2


async def test_a_client_that_takes_nothing_is_cut_and_the_backend_s_connection_with_it() -> None:
    async with relayed(stores(CONTENT * 8), stall_timeout_ms=150) as relay, connected(relay.port, receive_buffer_bytes=65536) as client:
        client.send(get())
        await ended(relay)
        assert isinstance(relay.errors[0], ClientDisconnected)
        assert relay.calls[0].status == "aborted"
        assert len(await until_cut(client)) < 8 * SIZE
        async with connected(relay.port) as another:
            another.send(get())
            assert (await another.reader.readexactly(SIZE))[-1000:] in CONTENT
        assert relay.upstream.connections == 2


async def test_a_client_that_takes_it_slowly_but_steadily_gets_it_whole() -> None:
    """It is slower than the system's buffers are emptied to be filled again: only by them can its progress be seen."""
    loop = asyncio.get_running_loop()
    async with relayed(stores(CONTENT), stall_timeout_ms=200) as relay:
        with socket.create_connection(("127.0.0.1", relay.port)) as connection:
            connection.setblocking(False)
            await loop.sock_sendall(connection, get())
            received = bytearray()
            while not received.endswith(CONTENT[-1000:]):
                piece = await loop.sock_recv(connection, 64 * 1024)
                assert piece
                received += piece
                await asyncio.sleep(0.005)
        assert received.endswith(CONTENT)


@pytest.mark.parametrize("waits_for", ["the client", "the backend"])
async def test_a_client_that_goes_away_costs_the_backend_s_connection_and_nothing_else(waits_for: str) -> None:
    async def half(peer: Peer) -> None:
        await peer.head()
        peer.writer.write(head_of(2 * SIZE) + CONTENT)
        await peer.read_to_end()

    async with relayed(stores(CONTENT * 8) if waits_for == "the client" else half) as relay:
        before = open_descriptors()
        async with connected(relay.port) as client:
            client.send(get())
            await client.reader.readexactly(SIZE)
        await ended(relay)
        assert relay.calls[0].status == "aborted"
        relay.over.clear()
        async with connected(relay.port) as client:
            client.send(get())
            await client.reader.readexactly(SIZE)
        await ended(relay)
        assert relay.upstream.connections == 2
        await relay.upstream.finished() if waits_for == "the backend" else None
        assert open_descriptors() <= before + 2, "one pipe is kept"


# --- a backend that misbehaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_bytes", [0, 1024 * 1024, SIZE - 64 * 1024, SIZE - 1])
async def test_a_backend_that_ends_too_early_cuts_the_answer(sent_bytes: int) -> None:
    async def short(peer: Peer) -> None:
        await peer.head()
        peer.writer.write(head_of(SIZE) + CONTENT[:sent_bytes])
        await peer.writer.drain()

    async with relayed(short) as relay, connected(relay.port) as client:
        client.send(get())
        received = await until_cut(client)
        await ended(relay)
        assert isinstance(relay.errors[0], BackendUnavailable)
        assert relay.calls[0].status == "unavailable"
        assert CONTENT.startswith(received.partition(b"\r\n\r\n")[2])
        assert relay.calls[0].received_bytes == relay.exchanges[0].sent_bytes == sent_bytes


async def test_a_backend_that_stalls_in_the_middle_is_late() -> None:
    async def half(peer: Peer) -> None:
        await peer.head()
        peer.writer.write(head_of(2 * SIZE) + CONTENT)
        await peer.read_to_end()

    async with relayed(half, backend_stall_ms=200) as relay, connected(relay.port) as client:
        client.send(get())
        received = await until_cut(client)
        await ended(relay)
        assert isinstance(relay.errors[0], BackendTimeout)
        assert received.partition(b"\r\n\r\n")[2] == CONTENT
        await relay.upstream.finished()


@pytest.mark.parametrize("surplus", [b"!", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"])
async def test_after_a_byte_too_many_its_connection_is_not_used_again(surplus: bytes) -> None:
    async with relayed(stores(CONTENT, surplus=surplus)) as relay:
        for _ in range(2):
            assert await fetch(relay) == CONTENT
        assert relay.upstream.connections == 2


async def test_a_backend_that_is_closed_while_a_body_is_on_its_way_cuts_it() -> None:
    async def half(peer: Peer) -> None:
        await peer.head()
        peer.writer.write(head_of(2 * SIZE) + CONTENT)
        await peer.read_to_end()

    async with relayed(half) as relay, connected(relay.port) as client:
        client.send(get())
        await client.reader.readexactly(SIZE)
        await relay.guarded.close()
        await until_cut(client)
        await ended(relay)
        assert type(relay.errors[0]) is BackendUnavailable, "at once, not when its time is over"


async def test_a_copy_that_moves_while_it_is_read_is_read_on_where_it_lies_then(meter: Meter) -> None:
    async def dies(peer: Peer) -> None:
        await peer.head()
        peer.writer.write(head_of(SIZE) + CONTENT[: SIZE // 2])
        await peer.writer.drain()

    async def has_it(peer: Peer) -> None:
        first = int((await peer.head()).headers["range"].removeprefix("bytes=").partition("-")[0])
        await peer.answer("206 OK", CONTENT[first:], Content_Range=f"bytes {first}-{SIZE - 1}/{SIZE}")
        await peer.read_to_end()

    async with relayed(dies) as old, relayed(has_it) as new:
        found = StoredObject("photos", "k", "W1", SIZE, "", 0, Description(), Digests(""), (Copy("old", "key", SIZE),))
        stores = Stores({"old": old.guarded, "new": new.guarded}, replace(found, copies=(Copy("new", "key", SIZE),)))

        async def serve(exchange: Exchange) -> None:
            async with await open_copy(cast("Context", stores), found, None) as body:
                await pass_on(exchange, SIZE, body)

        async with serving(HandlerEdge(serve)) as served, connected(served.port) as client:
            assert (await client.ask(get())).body == CONTENT
        assert [call.status for call in (*old.calls, *new.calls)] == ["unavailable", "success"]
        assert old.calls[0].received_bytes + new.calls[0].received_bytes == SIZE
        assert meter.piped_bytes > SIZE - 2 * 1024 * 1024


# --- the end of the process -----------------------------------------------------------------------------------------------


async def test_a_server_that_stops_sends_the_answer_to_its_end() -> None:
    async with relayed(stores(CONTENT * 4)) as relay, connected(relay.port, receive_buffer_bytes=65536) as client:
        client.send(get())
        received = await client.reader.readexactly(SIZE)
        assert not relay.over.is_set()
        relay.stop()
        received += await until_cut(client)
        assert received.partition(b"\r\n\r\n")[2] == CONTENT * 4


# --- where it cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["fill", "empty"])
async def test_where_the_kernel_refuses_the_bytes_take_the_ordinary_way(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(Pipe, refused, refuse)
    async with relayed(stores(CONTENT)) as relay:
        for _ in range(2):
            assert await fetch(relay) == CONTENT
        assert (relay.upstream.connections, PIPES.idle) == (1, [])


@pytest.mark.parametrize("encrypted", ["the client's side", "the backend's side"])
async def test_what_is_encrypted_takes_the_ordinary_way(encrypted: str, tmp_path: Path, meter: Meter) -> None:
    certificate = self_signed(tmp_path, "DNS:localhost", "IP:127.0.0.1")
    if encrypted == "the client's side":
        trusting = ssl.create_default_context(cadata=certificate.pem)
        relay_of = relayed(stores(CONTENT), tls=certificate.server_context())
    else:
        trusting, relay_of = None, relayed(stores(CONTENT), certificate=certificate)
    async with relay_of as relay, connected(relay.port, tls=trusting) as client:
        assert (await client.ask(get())).body == CONTENT
    assert meter.piped_bytes == 0


async def test_where_no_pipe_is_left_too(monkeypatch: pytest.MonkeyPatch, meter: Meter) -> None:
    monkeypatch.setattr(PIPES, "_limit", 0)
    async with relayed(stores(CONTENT)) as relay:
        assert await fetch(relay) == CONTENT
    assert meter.piped_bytes == 0


def test_pipes_are_bounded_and_used_again() -> None:
    before, pipes = open_descriptors(), Pipes(limit=2)
    with pipes.lent() as first, pipes.lent() as second, pipes.lent() as third:
        assert first is not None
        assert (second is None, third is None) == (False, True)
        assert first.capacity_bytes >= 64 * 1024
    with pipes.lent() as again:
        assert again in (first, second)
    assert open_descriptors() == before + 4
    pipes.close()
    assert open_descriptors() == before
    assert MAX_PIPES * 256 * 1024 <= 16 * 1024 * 1024


async def test_many_at_once_leave_nothing_behind() -> None:
    async with relayed(stores(CONTENT)) as relay:
        assert await fetch(relay) == CONTENT
        before = open_descriptors()
        async with asyncio.TaskGroup() as group:
            fetched = [group.create_task(fetch(relay)) for _ in range(8)]
        assert {task.result() for task in fetched} == {CONTENT}
        await asyncio.sleep(0.02)
        kept = 2 * (len(PIPES.idle) - 1) + 2 * (relay.upstream.connections - 1)
        assert open_descriptors() <= before + kept


# --- helpers --------------------------------------------------------------------------------------------------------------


async def until_cut(client: WireClient) -> bytes:
    received = bytearray()
    try:
        while piece := await asyncio.wait_for(client.reader.read(1024 * 1024), 5):
            received += piece
    except ConnectionError:
        pass
    return bytes(received)
