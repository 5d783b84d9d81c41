"""Large bodies are read from the socket itself, and every promise of those that come by the transport holds for them."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.certificates import self_signed
from tests.support.edge import HOST, HandlerEdge, WireClient, answer_ok, connected, echo, serving
from tests.support.relay import CONTENT, open_descriptors

from s3o_crds.compiled import ServerConfig
from s3o_proxy.domain.errors import ClientDisconnected, ClientTimeout
from s3o_proxy.http.exchange import HIGH_WATER_BYTES, PIECE_BYTES, Exchange
from s3o_proxy.http.incoming import WORTH_BYTES
from s3o_proxy.sockets.watch import Watch

SIZE = len(CONTENT)


def put(size: int = SIZE, target: bytes = b"/key") -> bytes:
    return b"PUT %b HTTP/1.1\r\n" % target + HOST + b"content-length: %d\r\n\r\n" % size


class Meter:
    """Bytes that were read from the socket itself."""

    read_bytes = 0


@pytest.fixture(autouse=True)
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    meter = Meter()

    opened, init, read = list[Watch](), Watch.__init__, Watch.read

    def noted(watch: Watch, number: int, readable: Callable[[], None]) -> None:
        opened.append(watch)
        init(watch, number, readable)

    def counted(watch: Watch, limit_bytes: int) -> bytes:
        data = read(watch, limit_bytes)
        meter.read_bytes += len(data)
        return data

    monkeypatch.setattr(Watch, "__init__", noted)
    monkeypatch.setattr(Watch, "read", counted)
    yield meter
    assert all(watch.closed for watch in opened), "no watch outlives its body"


async def raises_of(client: WireClient, errors: asyncio.Queue[BaseException]) -> BaseException:
    client.send(put() + CONTENT[: SIZE // 2])
    return await asyncio.wait_for(errors.get(), 20)


def keeping(errors: asyncio.Queue[BaseException], taken: asyncio.Event | None = None, *, stall_timeout_ms: int = 30_000) -> HandlerEdge:
    """Takes a body; what it hears instead of its end goes into `errors`. `taken`: set when half of one is here."""

    async def take(exchange: Exchange) -> None:
        size = 0
        try:
            while piece := await exchange.receive():
                size += len(piece)
                if taken is not None and size >= SIZE // 2:
                    taken.set()
        except BaseException as error:
            errors.put_nowait(error)
            exchange.give_up()
            raise
        answer_ok(exchange, b"")

    return HandlerEdge(take, ServerConfig(stall_timeout_ms=stall_timeout_ms))


# --- what arrives ---------------------------------------------------------------------------------------------------------


async def test_the_bytes_are_the_same_and_nearly_all_of_them_are_read_from_the_socket(meter: Meter) -> None:
    async with serving(HandlerEdge(echo)) as served, connected(served.port) as client:
        before = open_descriptors()
        for _ in range(3):
            assert (await client.ask(put() + CONTENT)).body == b"PUT /key " + CONTENT
        assert open_descriptors() == before
    assert meter.read_bytes > 3 * (SIZE - WORTH_BYTES)


@pytest.mark.parametrize("size", [0, 1, WORTH_BYTES - 1])
async def test_small_ones_come_by_the_transport(size: int, meter: Meter) -> None:
    async with serving(HandlerEdge(echo)) as served, connected(served.port) as client:
        assert (await client.ask(put(size) + CONTENT[:size])).body == b"PUT /key " + CONTENT[:size]
    assert meter.read_bytes == 0


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, SIZE) | st.sampled_from([WORTH_BYTES, WORTH_BYTES + 65536, SIZE]), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
async def test_whatever_their_size_and_however_they_are_cut(sizes: list[int], seed: int) -> None:
    chance = Random(seed)
    wire = b"".join(put(size, b"/%d" % number) + CONTENT[:size] for number, size in enumerate(sizes))
    cuts = sorted(chance.randint(0, len(wire)) for _ in range(chance.randint(0, 6)))
    async with serving(HandlerEdge(echo)) as served, connected(served.port) as client:

        async def send() -> None:
            for start, end in pairwise([0, *cuts, len(wire)]):
                client.send(wire[start:end])
                await client.writer.drain()
                await asyncio.sleep(0.001)

        sending = asyncio.create_task(send())
        for number, size in enumerate(sizes):
            assert (await client.response()).body == b"PUT /%d " % number + CONTENT[:size]
        await sending


async def test_tls_comes_by_the_transport(tmp_path: Path, meter: Meter) -> None:
    certificate = self_signed(tmp_path, "DNS:localhost", "IP:127.0.0.1")
    trusting = ssl.create_default_context(cadata=certificate.pem)
    async with serving(HandlerEdge(echo), certificate.server_context()) as served, connected(served.port, tls=trusting) as client:
        assert (await client.ask(put() + CONTENT)).body == b"PUT /key " + CONTENT
    assert meter.read_bytes == 0


async def test_without_a_descriptor_they_come_by_the_transport(monkeypatch: pytest.MonkeyPatch, meter: Meter) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(Watch, "__init__", refuse)
    async with serving(HandlerEdge(echo)) as served, connected(served.port) as client:
        assert (await client.ask(put() + CONTENT)).body == b"PUT /key " + CONTENT
    assert meter.read_bytes == 0


async def test_what_the_kernel_refuses_to_read_comes_by_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = 0

    def refuse(_watch: Watch, _limit_bytes: int) -> bytes:
        nonlocal refused
        refused += 1
        raise OSError("no")

    monkeypatch.setattr(Watch, "read", refuse)
    async with serving(HandlerEdge(echo)) as served, connected(served.port) as client:
        for _ in range(2):
            assert (await client.ask(put() + CONTENT)).body == b"PUT /key " + CONTENT
    assert refused == 1, "it is not asked again"


# --- at the pace of whoever takes it --------------------------------------------------------------------------------------


async def test_no_more_is_read_than_is_taken() -> None:
    go, read = asyncio.Event(), asyncio.Event()
    kept: list[Exchange] = []

    async def dawdle(exchange: Exchange) -> None:
        kept.append(exchange)
        first = await exchange.receive()
        read.set()
        await go.wait()
        pieces = [first]
        while piece := await exchange.receive():
            pieces.append(piece)
        answer_ok(exchange, b"".join(pieces))

    async with serving(HandlerEdge(dawdle)) as served, connected(served.port) as client:
        client.send(put(4 * SIZE) + CONTENT * 4)
        await read.wait()
        for _ in range(200):
            await asyncio.sleep(0.001)
            assert kept[0].buffered_bytes < HIGH_WATER_BYTES + PIECE_BYTES
        assert kept[0].buffered_bytes >= HIGH_WATER_BYTES, "it was stopped, not slow"
        go.set()
        assert (await client.response()).body == CONTENT * 4


async def test_two_fast_sides_leave_others_their_turn() -> None:
    turns = 0

    async def count(exchange: Exchange) -> None:
        nonlocal turns
        began = turns
        while await exchange.receive():
            pass
        answer_ok(exchange, b"%d" % (turns - began))

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(HandlerEdge(count)) as served, connected(served.port) as client:
        turning = asyncio.create_task(turn())
        assert int((await client.ask(put(4 * SIZE) + CONTENT * 4)).body) >= 4 * SIZE // PIECE_BYTES - 4
        turning.cancel()


# --- clients that do not send it to its end -------------------------------------------------------------------------------


async def test_a_client_that_stalls_is_too_slow() -> None:
    errors = asyncio.Queue[BaseException]()
    async with serving(keeping(errors, stall_timeout_ms=200)) as served, connected(served.port) as client:
        assert isinstance(await raises_of(client, errors), ClientTimeout)


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_who_takes_the_body_hears_that_the_client_is_gone(how: str) -> None:
    errors, taken = asyncio.Queue[BaseException](), asyncio.Event()
    async with serving(keeping(errors, taken)) as served, connected(served.port) as client:
        client.send(put() + CONTENT[: SIZE // 2 + 1])
        await taken.wait()
        if how == "resets":
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        assert isinstance(await asyncio.wait_for(errors.get(), 20), ClientDisconnected)


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_is_gone_is_noticed_before_its_last_bytes_are_read(how: str) -> None:
    """They and the end are there when the loop looks, as after a client that sends and is killed."""
    errors, taken = asyncio.Queue[BaseException](), asyncio.Event()
    async with serving(keeping(errors, taken)) as served:
        for _ in range(5):
            taken.clear()
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                await asyncio.to_thread(client.sendall, put() + CONTENT[: SIZE // 2])
                await taken.wait()
                client.sendall(b"x" * 50_000)
                if how == "resets":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert isinstance(await asyncio.wait_for(errors.get(), 5), ClientDisconnected)


async def test_an_answer_in_the_middle_of_a_body_arrives_and_ends_the_connection() -> None:
    async def refuse(exchange: Exchange) -> None:
        for _ in range(4):
            await exchange.receive()
        answer_ok(exchange, b"no")

    async with serving(HandlerEdge(refuse)) as served, connected(served.port) as client:
        client.send(put(4 * SIZE) + CONTENT * 4)
        response = await client.response()
        assert (response.body, response.headers["connection"]) == (b"no", "close")
        client.writer.write_eof()
        assert await client.is_closed()


async def test_a_handler_that_fails_in_the_middle_of_a_body_ends_the_connection() -> None:
    async def fail(exchange: Exchange) -> None:
        for _ in range(4):
            await exchange.receive()
        raise ZeroDivisionError

    async with serving(HandlerEdge(fail)) as served, connected(served.port) as client:
        client.send(put(4 * SIZE) + CONTENT * 4)
        assert await client.is_closed()
