"""The sending side of a connection: clients that read slowly, steadily, or not at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.edge import HOST, HandlerEdge, answer_ok, connected, serving
from tests.support.manifests import self_signed_certificate

from s3o_crds.compiled import ServerConfig
from s3o_proxy.domain.errors import ClientDisconnected
from s3o_proxy.http.exchange import Exchange

QUICK = ServerConfig(header_timeout_ms=150, stall_timeout_ms=150, idle_timeout_ms=300)


async def test_a_client_that_takes_its_time_reading_holds_back_the_answer() -> None:
    produced: list[int] = [0]

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            produced[0] += 1
            yield bytes(256 * 1024)

    async def big(exchange: Exchange) -> None:
        size = 200 * 256 * 1024
        await exchange.stream(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % size, size, pieces(200))

    async with serving(HandlerEdge(big)) as served, connected(served.port, receive_buffer_bytes=65536) as client:
        client.send(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.reader.readexactly(10)
        await asyncio.sleep(0.3)
        assert produced[0] < 150
        await client.reader.readuntil(b"\r\n\r\n")
        assert len(await client.reader.readexactly(200 * 256 * 1024)) == 200 * 256 * 1024


async def test_a_client_that_asks_and_does_not_listen_is_not_served_on_and_then_cut() -> None:
    served_requests: list[int] = [0]
    request, asked = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n", 3000

    async def small(exchange: Exchange) -> None:
        served_requests[0] += 1
        answer_ok(exchange, bytes(64 * 1024))

    async with serving(HandlerEdge(small, QUICK)) as served, connected(served.port, receive_buffer_bytes=65536) as client:
        client.send(request * asked)
        await asyncio.sleep(4 * QUICK.stall_timeout_ms / 1000)
        while await client.reader.read(1024 * 1024):
            pass
        assert 0 < served_requests[0] < asked / 10


async def test_a_client_that_asks_much_before_it_listens_gets_all_answers() -> None:
    async def small(exchange: Exchange) -> None:
        answer_ok(exchange, exchange.head.target[1:] * 10_000)

    async with serving(HandlerEdge(small)) as served, connected(served.port, receive_buffer_bytes=65536) as client:
        for number in range(100):
            client.send(b"GET /%03d HTTP/1.1\r\n" % number + HOST + b"\r\n")
        for number in range(100):
            assert (await client.response()).body == b"%03d" % number * 10_000


@pytest.mark.parametrize("over_tls", [False, True])
async def test_a_client_that_takes_nothing_of_its_answer_is_cut(over_tls: bool, tmp_path: Path) -> None:
    outcome: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(256 * 1024)

    async def big(exchange: Exchange) -> None:
        try:
            await exchange.stream(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % 10**12, 10**12, endless())
        except ClientDisconnected as error:
            outcome.set_result(error)

    ours, theirs = contexts(tmp_path) if over_tls else (None, None)
    async with serving(HandlerEdge(big, QUICK), ours) as served, connected(served.port, receive_buffer_bytes=65536, tls=theirs) as client:
        client.send(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
        assert isinstance(await asyncio.wait_for(outcome, 5), ClientDisconnected)


async def test_a_client_that_takes_its_answer_slowly_but_steadily_gets_it_whole() -> None:
    """It is slower than the system's buffers are emptied to be filled again: only by them can its progress be seen."""
    size = 8 * 1024 * 1024

    async def whole() -> AsyncIterator[bytes]:
        for _ in range(size // 65536):
            yield bytes(65536)

    async def big(exchange: Exchange) -> None:
        await exchange.stream(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % size, size, whole())

    async with serving(HandlerEdge(big, QUICK)) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
            received = 0
            while received < size:
                taken = len(await loop.sock_recv(connection, 64 * 1024))
                assert taken
                received += taken
                await asyncio.sleep(0.01)


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    certificate, key = self_signed_certificate(folder)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    return ours, ssl.create_default_context(cafile=str(certificate))
