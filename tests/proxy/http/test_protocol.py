"""A connection: requests in order, what is no HTTP, and clients that go away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from tests.support.edge import HOST, HandlerEdge, WireClient, answer_ok, connected, echo, serving

from s3o_proxy.domain.errors import ClientDisconnected
from s3o_proxy.http.exchange import Exchange


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
        answer_ok(exchange, exchange.head.target)

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
        answer_ok(exchange, b"")

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


@pytest.mark.parametrize("cut", [1, 100, 8_192, 65_483, 65_535, 73_000])
async def test_a_large_head_is_refused_however_it_was_cut(client: WireClient, cut: int) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + b"x-a: " + b"a" * 66_000 + b"\r\nx-b: " + b"b" * 7_000 + b"\r\n\r\n"
    client.send(head[:cut])
    await asyncio.sleep(0.05)
    client.send(head[cut:])
    assert (await client.response()).body == b"RequestHeaderSectionTooLarge"


async def test_a_head_just_below_the_limit_is_served(client: WireClient) -> None:
    assert (await client.ask(b"GET /a HTTP/1.1\r\n" + HOST + b"x-a: " + b"a" * 65_400 + b"\r\n\r\n")).body == b"GET /a "


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
        await asyncio.wait_for(cancelled.wait(), 8)


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
        assert isinstance(await asyncio.wait_for(outcome, 8), ClientDisconnected)


async def test_a_bad_request_behind_one_that_failed_is_answered_too() -> None:
    """It is parsed while the first one's error is still being handled."""

    async def fails(exchange: Exchange) -> None:
        try:
            raise ValueError
        except ValueError:
            answer_ok(exchange, exchange.refusal.code.encode() if exchange.refusal is not None else b"failed")

    async with serving(HandlerEdge(fails)) as served, connected(served.port) as client:
        client.send(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nGET /" + b"x" * 70_000 + b" HTTP/1.1\r\n")
        assert [(await client.response()).body, (await client.response()).body] == [b"failed", b"RequestURITooLong"]
