"""The time limits of a connection: whose turn it is, and who is too slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.support.edge import HOST, HandlerEdge, answer_ok, connected, echo, serving

from s3o_crds.compiled import ServerConfig
from s3o_proxy.domain.errors import ClientTimeout
from s3o_proxy.http.deadline import Deadline
from s3o_proxy.http.exchange import Exchange

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
            answer_ok(exchange, b"late")

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
        answer_ok(exchange, b"done")

    async with serving(HandlerEdge(slow, QUICK)) as served, connected(served.port) as client:
        client.send(b"PUT /a HTTP/1.1\r\n" + HOST + b"content-length: 6\r\n\r\nabc")
        await asyncio.sleep(0.3)
        client.send(b"def")
        assert (await client.response()).body == b"done"


# --- the timer itself ----------------------------------------------------------------------------------------------------------------


async def test_a_limit_passes_once_and_not_before_its_time() -> None:
    loop = asyncio.get_running_loop()
    passed: asyncio.Future[float] = loop.create_future()
    started = loop.time()
    Deadline(loop).set(50, lambda: passed.set_result(loop.time()))  # A second call would raise InvalidStateError.
    assert await asyncio.wait_for(passed, 8) - started > 0.045
    await asyncio.sleep(0.1)


@pytest.mark.parametrize(("first_ms", "then_ms"), [(20, 80), (5_000, 80)])
async def test_the_last_limit_set_is_the_one_that_counts(first_ms: int, then_ms: int) -> None:
    loop = asyncio.get_running_loop()
    passed: list[str] = []
    over = asyncio.Event()
    deadline = Deadline(loop)
    started = loop.time()
    deadline.set(first_ms, lambda: passed.append("first"))
    deadline.set(then_ms, over.set)
    await asyncio.wait_for(over.wait(), 8)
    assert 0.07 < loop.time() - started < 4
    assert not passed


@pytest.mark.parametrize("end", [Deadline.clear, Deadline.close])
async def test_a_limit_that_was_taken_back_never_passes(end: Callable[[Deadline], None]) -> None:
    deadline = Deadline(asyncio.get_running_loop())
    passed: list[str] = []
    deadline.set(10, lambda: passed.append("late"))
    end(deadline)
    await asyncio.sleep(0.05)
    assert not passed
