"""A connection: requests in order, limits of size and time, and what is no HTTP."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.edge import HandlerEdge, WireClient, connected, serving
from tests.support.manifests import self_signed_certificate

from s3o_crds.compiled import ServerConfig
from s3o_proxy.domain.errors import ClientDisconnected, ClientTimeout
from s3o_proxy.http.exchange import Exchange

HOST = b"host: localhost\r\n"


def ok(exchange: Exchange, body: bytes) -> None:
    exchange.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body), body)


async def echo(exchange: Exchange) -> None:
    """Answers with the request line and the body; a refused request with its code."""
    if exchange.refusal is not None:
        body = exchange.refusal.code.encode()
        exchange.answer(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n" % (exchange.refusal.status, len(body)), body)
        return
    pieces = [b"%s %b " % (exchange.head.method.encode(), exchange.head.target)]
    while piece := await exchange.receive():
        pieces.append(piece)
    ok(exchange, b"".join(pieces))


@pytest.fixture
async def client() -> AsyncIterator[WireClient]:
    async with serving(HandlerEdge(echo)) as served, connected(served.port) as client:
        yield client


# --- requests, one after the other -----------------------------------------------------------------------------------------------


async def test_a_connection_serves_many_requests(client: WireClient) -> None:
    for number in range(3):
        response = await client.ask(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST))
        assert (response.status, response.body) == (200, b"GET /%d " % number)


async def test_pipelined_requests_are_answered_in_order(client: WireClient) -> None:
    put = b"PUT /put HTTP/1.1\r\n" + HOST + b"content-length: 300000\r\n\r\n" + bytes(300_000)
    chunked = b"PUT /chunked HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    client.send(
        b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST) for number in range(50))
        + put
        + chunked
        + b"GET /z HTTP/1.1\r\n"
        + HOST
        + b"\r\n"
    )
    for number in range(50):
        assert (await client.response()).body == b"GET /%d " % number
    assert (await client.response()).body == b"PUT /put " + bytes(300_000)
    assert (await client.response()).body == b"PUT /chunked abc"
    assert (await client.response()).body == b"GET /z "


async def test_requests_may_be_cut_anywhere(client: WireClient) -> None:
    chance = random.Random(20260320)
    for _ in range(100):
        wire, expected = b"", []
        for number in range(chance.randint(1, 6)):
            body = chance.randbytes(chance.choice([0, 1, 100, 9_000, 70_000, 300_000]))
            target = b"/%d" % number
            framed = chance.random() < 0.5
            wire += b"PUT %b HTTP/1.1\r\n" % target + HOST
            if framed:
                cut = chance.randint(0, len(body))
                wire += b"transfer-encoding: chunked\r\n\r\n"
                wire += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:cut], body[cut:]) if piece) + b"0\r\n\r\n"
            else:
                wire += b"content-length: %d\r\n\r\n" % len(body) + body
            expected.append(b"PUT %b " % target + body)
        cuts = sorted(chance.randint(0, len(wire)) for _ in range(chance.randint(0, 8)))
        for start, end in pairwise([0, *cuts, len(wire)]):
            client.send(wire[start:end])
            await asyncio.sleep(0)
        assert [(await client.response()).body for _ in expected] == expected


async def test_a_request_may_come_byte_by_byte(client: WireClient) -> None:
    for byte in b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 5\r\n\r\nhello":
        client.send(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.response()).body == b"PUT /a hello"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000, 5_000_000])
async def test_bodies_of_any_size_arrive_whole_and_leave_the_connection_in_order(client: WireClient, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for _ in range(2):
        assert (await client.ask(b"PUT /a HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (HOST, size) + body)).body == b"PUT /a " + body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\nGET /second HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
async def test_a_client_that_wants_one_answer_gets_one(client: WireClient, request_bytes: bytes) -> None:
    response = await client.ask(request_bytes)
    assert (response.status, response.body, response.headers["connection"]) == (200, b"GET / ", "close")
    assert await client.is_closed()


async def test_an_upgrade_is_not_taken_and_the_request_answered(client: WireClient) -> None:
    upgrade = b"GET /a HTTP/1.1\r\n" + HOST + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
    client.send(upgrade + b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n")
    assert [(await client.response()).body for _ in range(2)] == [b"GET /a ", b"GET /b "]


async def test_the_absolute_form_names_path_and_host() -> None:
    hosts: list[bytes] = []

    async def keep_host(exchange: Exchange) -> None:
        hosts.extend(value for name, value in exchange.head.headers if name == b"host")
        ok(exchange, exchange.head.target)

    async with serving(HandlerEdge(keep_host)) as served, connected(served.port) as client:
        response = await client.ask(b"GET http://one.example:1/bucket/key?x=1 HTTP/1.1\r\nHost: other\r\n\r\n")
        assert response.body == b"/bucket/key?x=1"
    assert hosts == [b"one.example:1"]


async def test_trailers_of_the_transfer_coding_reach_no_head() -> None:
    heads: list[list[tuple[bytes, bytes]]] = []

    async def keep(exchange: Exchange) -> None:
        while await exchange.receive():
            pass
        heads.append(exchange.head.headers)
        ok(exchange, b"")

    async with serving(HandlerEdge(keep)) as served, connected(served.port) as client:
        put = b"PUT /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nauthorization: forged\r\n\r\n"
        client.send(put + b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.response()
        await client.response()
    assert [dict(head).get(b"authorization") for head in heads] == [None, None]


# --- what is no HTTP, or not this one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 5, 5\r\n\r\nhello", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: -1\r\n\r\nhello", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 0x5\r\n\r\nhello", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length : 5\r\n\r\nhello", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 99999999999999999999999\r\n\r\n", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "NotImplemented"),
        (b"PUT /a HTTP/1.0\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", "BadRequest"),
        (b"PUT /a HTTP/1.1\r\n" + HOST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello", "BadRequest"),
        (b"GET /a HTTP/1.1\r\n\r\n", "BadRequest"),
        (b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n", "BadRequest"),
        (b"GET /a HTTP/1.1\nhost: localhost\n\n", "BadRequest"),
        (b"GET /a HTTP/1.1\r\n" + HOST + b"x-a: b\r\n c\r\n\r\n", "BadRequest"),
        (b"GET /a HTTP/1.1\r\n" + HOST + b"x-a: b\0c\r\n\r\n", "BadRequest"),
        (b"GET /a HTTP/2.0\r\n" + HOST + b"\r\n", "BadRequest"),
        (b"GET /\r\n\r\n", "BadRequest"),
        (b"GET /a\xff HTTP/1.1\r\n" + HOST + b"\r\n", "BadRequest"),
        (b"BREW /a HTTP/1.1\r\n" + HOST + b"\r\n", "BadRequest"),
        (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", "MethodNotAllowed"),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "MethodNotAllowed"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", "RequestURITooLong"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x-a: " + b"a" * 80_000 + b"\r\n\r\n", "RequestHeaderSectionTooLarge"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x-a: b\r\n" * 10_000 + b"\r\n", "RequestHeaderSectionTooLarge"),
    ],
)
async def test_a_head_that_means_two_things_is_refused_and_the_connection_ends(client: WireClient, request_bytes: bytes, code: str) -> None:
    response = await client.ask(request_bytes)
    assert response.body.decode() == code
    assert response.headers["connection"] == "close"


async def test_what_follows_a_good_request_does_not_spoil_its_answer(client: WireClient) -> None:
    client.send(b"GET /good HTTP/1.1\r\n" + HOST + b"\r\nnonsense\r\n\r\n")
    assert (await client.response()).body == b"GET /good "
    assert (await client.response()).body == b"BadRequest"


@pytest.mark.parametrize("endless", [b"0\r\nx-a: " + b"a" * 200_000, b"0\r\n" + b"x-a: b\r\n" * 30_000, b"1;" + b"a" * 200_000])
async def test_framing_without_end_is_refused(client: WireClient, endless: bytes) -> None:
    head = b"PUT /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
    client.send(head + endless)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.response()


async def test_chunks_of_one_byte_are_not_kept_one_by_one() -> None:
    release = asyncio.Event()
    kept: list[int] = []

    async def slow(exchange: Exchange) -> None:
        await release.wait()
        kept.append(len(exchange._pieces))
        await echo(exchange)

    async with serving(HandlerEdge(slow)) as served, connected(served.port) as client:
        client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
        await asyncio.sleep(0.2)
        release.set()
        assert (await client.response()).body == b"PUT /a " + b"a" * 50_000
    assert kept[0] < 20


# --- the body, at the pace of the slower side ------------------------------------------------------------------------------------


async def test_a_body_nobody_reads_stops_the_client() -> None:
    release = asyncio.Event()
    held: list[int] = []

    async def slow(exchange: Exchange) -> None:
        await release.wait()
        held.append(exchange.buffered_bytes)
        total = 0
        while piece := await exchange.receive():
            assert len(piece) <= 256 * 1024
            total += len(piece)
        ok(exchange, str(total).encode())

    async with serving(HandlerEdge(slow)) as served, connected(served.port) as client:
        size = 64 * 1024 * 1024
        client.send(b"PUT /a HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (HOST, size))
        sending = asyncio.create_task(_send_all(client, size))
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        release.set()
        assert (await client.response()).body == str(size).encode()
        await sending
    assert held[0] < 1024 * 1024


async def _send_all(client: WireClient, size: int) -> None:
    piece = bytes(1024 * 1024)
    for _ in range(size // len(piece)):
        client.send(piece)
        await client.writer.drain()


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


# --- time limits -------------------------------------------------------------------------------------------------------------------

QUICK = ServerConfig(header_timeout_ms=150, stall_timeout_ms=150, idle_timeout_ms=300)


async def test_a_head_must_come_in_time() -> None:
    async with serving(HandlerEdge(echo, QUICK)) as served, connected(served.port) as client:
        response = await client.ask(b"GET / HTTP/1.1\r\nhost:")
        assert (response.status, response.body, response.headers["connection"]) == (400, b"RequestTimeout", "close")


async def test_the_head_after_an_answer_must_come_in_time_too() -> None:
    async with serving(HandlerEdge(echo, QUICK)) as served, connected(served.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\n")
        assert (await client.response()).status == 200
        assert (await client.response()).body == b"RequestTimeout"


async def test_an_idle_connection_ends() -> None:
    async with serving(HandlerEdge(echo, QUICK)) as served, connected(served.port) as client:
        await client.ask(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert await client.is_closed()


async def test_a_connection_that_never_asks_ends() -> None:
    async with serving(HandlerEdge(echo, QUICK)) as served, connected(served.port) as client:
        assert await client.is_closed()


async def test_a_client_that_stops_sending_its_body_times_out() -> None:
    errors: list[Exception] = []

    async def read(exchange: Exchange) -> None:
        try:
            while await exchange.receive():
                pass
        except ClientTimeout as error:
            errors.append(error)
            ok(exchange, b"late")

    async with serving(HandlerEdge(read, QUICK)) as served, connected(served.port) as client:
        response = await client.ask(b"PUT / HTTP/1.1\r\n" + HOST + b"content-length: 10\r\n\r\nhalf")
        assert (response.body, response.headers["connection"]) == (b"late", "close")
    assert errors


async def test_a_client_that_sends_slowly_but_steadily_does_not_time_out() -> None:
    async with serving(HandlerEdge(echo, QUICK)) as served, connected(served.port) as client:
        client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 6\r\n\r\n")
        for byte in b"abcdef":
            await asyncio.sleep(0.08)
            client.send(bytes([byte]))
        assert (await client.response()).body == b"PUT /a abcdef"


async def test_a_slow_backend_is_no_stall_of_the_client() -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.receive()
        await asyncio.sleep(0.4)
        while await exchange.receive():
            pass
        ok(exchange, b"done")

    async with serving(HandlerEdge(slow, QUICK)) as served, connected(served.port) as client:
        client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 6\r\n\r\nabc")
        await asyncio.sleep(0.3)
        client.send(b"def")
        assert (await client.response()).body == b"done"


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


# --- disconnects ---------------------------------------------------------------------------------------------------------------------


async def test_a_client_that_goes_away_cancels_its_request() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_: Exchange) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(HandlerEdge(wait)) as served:
        async with connected(served.port) as client:
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await started.wait()
        await asyncio.wait_for(cancelled.wait(), 2)


async def test_a_client_that_goes_away_in_its_body_is_told_to_who_reads_it() -> None:
    outcome: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def read(exchange: Exchange) -> None:
        try:
            while await exchange.receive():
                pass
        except ClientDisconnected as error:
            outcome.set_result(error)

    async with serving(HandlerEdge(read)) as served:
        async with connected(served.port) as client:
            client.send(b"PUT / HTTP/1.1\r\n" + HOST + b"content-length: 10\r\n\r\nhalf")
            await asyncio.sleep(0.05)
        assert isinstance(await asyncio.wait_for(outcome, 2), ClientDisconnected)


# --- answers before the body was read ------------------------------------------------------------------------------------------------


async def refuse(exchange: Exchange) -> None:
    exchange.answer(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n", b"no")


async def test_a_small_body_that_nobody_wants_is_thrown_away_and_the_connection_serves_on() -> None:
    async with serving(HandlerEdge(refuse)) as served, connected(served.port) as client:
        for _ in range(2):
            client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 60000\r\n\r\n")
            response = await client.response()
            assert (response.status, response.headers.get("connection")) == (403, None)
            client.send(bytes(60_000))


async def test_a_large_body_that_nobody_wants_costs_the_connection_but_not_the_answer() -> None:
    """A client that writes all before it reads must still find the answer: so its bytes are taken, and thrown away."""
    async with serving(HandlerEdge(refuse)) as served, connected(served.port) as client:
        size = 16 * 1024 * 1024
        client.send(b"PUT /a HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (HOST, size))
        await _send_all(client, size)
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (403, "close")


async def test_expect_continue_is_answered_when_the_body_is_wanted() -> None:
    wanted = asyncio.Event()

    async def later(exchange: Exchange) -> None:
        await wanted.wait()
        ok(exchange, await exchange.receive())

    async with serving(HandlerEdge(later)) as served, connected(served.port) as client:
        client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 5\r\nExpect: 100-Continue\r\n\r\n")
        reading = asyncio.create_task(client.response())
        done, _ = await asyncio.wait({reading}, timeout=0.1)
        assert not done
        wanted.set()
        assert (await reading).status == 100
        assert (await client.ask(b"hello")).body == b"hello"


async def test_expect_continue_is_answered_without_a_body_too() -> None:
    async with serving(HandlerEdge(refuse)) as served, connected(served.port) as client:
        client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 0\r\nexpect: 100-continue\r\n\r\n")
        assert [(await client.response()).status for _ in range(2)] == [100, 403]


async def test_expect_continue_before_a_refusal_asks_for_a_small_body() -> None:
    """Old botocores break their pooled connection over a final answer without a 100 before it."""
    async with serving(HandlerEdge(refuse)) as served, connected(served.port) as client:
        for _ in range(2):
            client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 5\r\nexpect: 100-continue\r\n\r\n")
            assert [(await client.response()).status for _ in range(2)] == [100, 403]
            client.send(b"hello")


@pytest.mark.parametrize("framing", [b"content-length: 1000000000", b"transfer-encoding: chunked"])
async def test_expect_continue_before_a_refusal_spares_a_large_body(framing: bytes) -> None:
    async with serving(HandlerEdge(refuse)) as served, connected(served.port) as client:
        response = await client.ask(b"PUT /a HTTP/1.1\r\n" + HOST + framing + b"\r\nexpect: 100-continue\r\n\r\n")
        assert (response.status, response.headers["connection"]) == (403, "close")


# --- broken answers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails_with", [None, RuntimeError("backend gone")])
async def test_an_answer_that_breaks_off_never_looks_whole(fails_with: Exception | None, caplog: pytest.LogCaptureFixture) -> None:
    async def short() -> AsyncIterator[bytes]:
        yield b"half"
        if fails_with is not None:
            raise fails_with

    async def broken(exchange: Exchange) -> None:
        await exchange.stream(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n", 8, short())

    async with serving(HandlerEdge(broken)) as served, connected(served.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.response()
    assert "a request was not answered" in caplog.text


async def test_a_stream_that_fails_before_its_first_byte_leaves_room_for_another_answer() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        raise RuntimeError("backend gone")
        yield b""

    async def broken(exchange: Exchange) -> None:
        try:
            await exchange.stream(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n", 8, nothing())
        except RuntimeError:
            await refuse(exchange)

    async with serving(HandlerEdge(broken)) as served, connected(served.port) as client:
        assert (await client.ask(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")).status == 403


async def test_a_handler_that_answers_nothing_loses_the_connection() -> None:
    async def silent(_: Exchange) -> None:
        return

    async with serving(HandlerEdge(silent)) as served, connected(served.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert await client.is_closed()
