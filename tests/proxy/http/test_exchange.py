"""One request and its answer, at the pace of the slower side; and answers that come early, or break off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.edge import HOST, HandlerEdge, answer_ok, connected, send_all, serving

from s3o_proxy.http.exchange import Exchange

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
        answer_ok(exchange, str(total).encode())

    async with serving(HandlerEdge(slow)) as served, connected(served.port) as client:
        size = 64 * 1024 * 1024
        client.send(b"PUT /a HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (HOST, size))
        sending = asyncio.create_task(send_all(client, size))
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        release.set()
        assert (await client.response()).body == str(size).encode()
        await sending
    assert held[0] < 1024 * 1024


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
        await send_all(client, size)
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (403, "close")


async def test_expect_continue_is_answered_when_the_body_is_wanted() -> None:
    wanted = asyncio.Event()

    async def later(exchange: Exchange) -> None:
        await wanted.wait()
        answer_ok(exchange, await exchange.receive())

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
