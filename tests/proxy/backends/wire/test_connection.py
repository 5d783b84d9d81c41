"""A connection carries one whole request and one whole answer after the other, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.pooled import OK, REQUEST, ask, pooled, sends
from tests.support.s3_client import EndlessBody, body
from tests.support.tcp import Handler, Peer

from s3o_proxy.backends.wire.connection import HEAD_LIMIT_BYTES
from s3o_proxy.backends.wire.failures import ConnectionBrokeError, NotConnectedError, NotHTTPError


async def connections_of_two_requests(
    handler: Handler, expected: tuple[int, bytes], *, asks_for_head: bool = False, pause_s: float = 0.005
) -> int:
    async with pooled(handler) as (server, pool):
        for _ in range(2):
            assert await ask(pool, asks_for_head=asks_for_head) == expected
            await asyncio.sleep(pause_s)  # What the server sends too much may come a moment later.
        return server.connections


# --- a connection serves again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, (200, b"ok")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTrailer: x\r\n\r\n", (200, b"ok")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n" + OK, (200, b"ok")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000), (200, bytes(100_000))),
        (b"\r\n" + OK, (200, b"ok")),
    ],
)
async def test_after_a_whole_answer_however_it_is_cut(answer: bytes, expected: tuple[int, bytes]) -> None:
    assert await connections_of_two_requests(sends(answer), expected) == 1
    for cut in (1, 9, 17, 20, len(answer) // 2, len(answer) - 1):
        assert await connections_of_two_requests(sends(answer[:cut], answer[cut:]), expected) == 1, cut


async def test_after_an_answer_to_head_which_has_the_length_of_a_body_and_none() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n"
    assert await connections_of_two_requests(sends(head), (200, b""), asks_for_head=True) == 1


async def test_after_a_body_that_was_sent_and_answered() -> None:
    received: list[bytes] = []

    async def store(peer: Peer) -> None:
        while True:
            received.append((await peer.request())[1])
            peer.writer.write(OK)

    async with pooled(store) as (server, pool):
        for _ in range(2):
            head = b"PUT / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n"
            answer = await (await pool.take()).ask_with_body(head, body(bytes(1_000_000), bytes(1_000_000)))
            assert (answer.early, await answer.read(10)) == (False, b"ok")
        assert server.connections == 1
    assert received == [bytes(2_000_000)] * 2


# --- and where it does not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([OK + b"HTTP/1.1 200 OK\r\n\r\n"], (200, b"ok"), id="a second answer behind the first"),
        pytest.param([OK, OK], (200, b"ok"), id="an answer that nobody asked for"),
        pytest.param([OK + b"x"], (200, b"ok"), id="a byte too many"),
        pytest.param([b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"], (204, b""), id="a body where there can be none"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n", bytes(30_001)], (200, bytes(30_000)), id="a byte too many of many"
        ),
        pytest.param([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"], (200, b"ok"), id="Connection: close"),
        pytest.param([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], (200, b"ok"), id="HTTP/1.0"),
        pytest.param([b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"], (200, b"ok"), id="HTTP/1.0 that stays"),
    ],
)
async def test_it_is_closed_after(pieces: list[bytes], expected: tuple[int, bytes]) -> None:
    # Long enough for a machine that is busy: who asks before a byte too many has come cannot know of it.
    assert await connections_of_two_requests(sends(*pieces), expected, pause_s=0.05) == 2


@pytest.mark.parametrize(
    "surplus", [b"body", b"Content-Length: 4\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["a body", "no HTTP", "an answer"]
)
async def test_it_is_closed_after_an_answer_to_head_with(surplus: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    assert await connections_of_two_requests(sends(head + surplus), (200, b""), asks_for_head=True) == 2
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert await connections_of_two_requests(sends(chunked + b"0\r\n\r\n"), (200, b""), asks_for_head=True) == 2


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    answer = sends(b"HTTP/1.1 200 OK\r\n\r\nto the ", b"end", closes=True)
    assert await connections_of_two_requests(answer, (200, b"to the end")) == 2


async def test_a_body_that_nobody_reads_to_its_end_ends_its_connection() -> None:
    async with pooled(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")) as (server, pool):
        for _ in range(2):
            answer = await (await pool.take()).ask(REQUEST)
            assert await answer.receive() == b"half"
            answer.leave()
        assert server.connections == 2


async def test_a_server_that_hangs_up_while_nobody_asks_is_noticed() -> None:
    async with pooled(sends(OK, closes=True)) as (server, pool):
        for _ in range(3):
            assert await ask(pool) == (200, b"ok")
            await server.finished()
            await asyncio.sleep(0.01)
        assert server.connections == 3


@pytest.mark.parametrize("moment", ["before the answer", "when the answer is there", "in the body"])
async def test_who_is_cancelled_leaves_no_connection_behind(moment: str) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def answer(peer: Peer) -> None:
        await peer.request()
        asked.set()
        if moment != "before the answer":
            peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await answers.wait()
        peer.writer.write(b"lf")
        await peer.read_to_end()

    async with pooled(answer) as (server, pool):
        asking = asyncio.create_task(ask(pool))
        await asked.wait()
        await asyncio.sleep(0.01 if moment == "in the body" else 0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        answers.set()
        await server.finished()
        assert server.connections == 1


async def test_a_cancellation_that_comes_with_the_answer_does_not_touch_the_next_request() -> None:
    """In one turn of the loop the answer comes, the connection goes to somebody else, and the first who asked is cancelled."""
    async with pooled(sends(OK)) as (server, pool):
        assert await ask(pool) == (200, b"ok")
        connection = await pool.take()
        first = asyncio.create_task(connection.ask(REQUEST))
        await asyncio.sleep(0)
        connection.data_received(OK)
        first.cancel()
        again = await pool.take()
        assert again is connection
        second = asyncio.create_task(again.ask(REQUEST))
        with pytest.raises(asyncio.CancelledError):
            await first
        answer = await second
        assert (answer.status, server.connections) == (200, 1)


async def test_an_answer_that_comes_after_a_cancellation_serves_nobody() -> None:
    async with pooled(sends(OK)) as (_, pool):
        connection = await pool.take()
        first = asyncio.create_task(connection.ask(REQUEST))
        await asyncio.sleep(0)
        first.cancel()
        connection.data_received(OK)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not connection.usable
        assert await pool.take() is not connection


# --- what is no answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"what?\r\n\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", id="a list of lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="a length and chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", id="chunks and a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="another coding"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks of HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", id="a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", id="a length beyond all"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", id="a folded header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", id="a space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", id="bare line feeds"),
        pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="another version"),
        pytest.param(b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok", id="no status"),
        pytest.param(b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", id="no status below 100"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2 * HEAD_LIMIT_BYTES + b"\r\n\r\n", id="a header beyond all"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (HEAD_LIMIT_BYTES // 3) + b"\r\n", id="headers beyond all"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_LIMIT_BYTES // 12), id="interim answers without end"),
        pytest.param(b"\r\n" * HEAD_LIMIT_BYTES, id="blank lines without end"),
    ],
)
async def test_nonsense_is_no_answer_and_ends_the_connection(nonsense: bytes) -> None:
    for pieces in ([nonsense], [nonsense[:20], nonsense[20:]]):
        async with pooled(sends(*pieces)) as (_, pool):
            connection = await pool.take()
            with pytest.raises(NotHTTPError):
                await connection.ask(REQUEST)
            assert not connection.usable


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\n", b"2\r\nok!\r\n", b"ffffffffffffffffff\r\n", b"1;" + b"e" * 2 * HEAD_LIMIT_BYTES],
    ids=["no size", "more than its size", "a size beyond all", "an extension beyond all"],
)
async def test_a_chunked_body_that_is_none_breaks_off(chunks: bytes) -> None:
    async with pooled(sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as (_, pool):
        with pytest.raises(NotHTTPError):
            await ask(pool)


@pytest.mark.parametrize(
    ("answer", "unanswered"),
    [(b"", True), (b"HTTP/1.1 2", False), (b"HTTP/1.1 100 Continue\r\n\r\n", False)],
    ids=["nothing", "a bit", "100"],
)
async def test_a_server_that_hangs_up_before_its_answer_is_whole(answer: bytes, unanswered: bool) -> None:
    async with pooled(sends(answer, closes=True)) as (_, pool):
        with pytest.raises(ConnectionBrokeError) as failed:
            await ask(pool)
        assert failed.value.unanswered is unanswered


async def test_a_body_that_breaks_off_is_read_up_to_there() -> None:
    async with pooled(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", closes=True)) as (_, pool):
        answer = await (await pool.take()).ask(REQUEST)
        assert await answer.receive() == b"half"
        with pytest.raises(ConnectionBrokeError):
            await answer.receive()
        assert not answer.complete


async def test_a_connection_that_ended_takes_no_request() -> None:
    async with pooled(sends(OK)) as (_, pool):
        connection = await pool.take()
        connection.abort()
        with pytest.raises(NotConnectedError):
            await connection.ask(REQUEST)


# --- an answer in the middle of a body --------------------------------------------------------------------------------------


async def test_an_answer_in_the_middle_of_a_body_is_heard_at_once_and_stops_it() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.answer("403 Forbidden", b"no")
        await peer.read_to_end()

    async with pooled(refuse) as (server, pool):
        source = EndlessBody(b"half")
        connection = await pool.take()
        answer = await connection.ask_with_body(b"PUT / HTTP/1.1\r\nContent-Length: 8\r\n\r\n", source)
        assert (answer.status, answer.early, await answer.read(10)) == (403, True, b"no")
        assert source.left.is_set()
        assert not connection.usable
        await server.finished()


async def test_a_connection_that_breaks_in_the_middle_of_a_body_stops_it() -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.head()

    async with pooled(hang_up) as (_, pool):
        source = EndlessBody(b"half")
        with pytest.raises(ConnectionBrokeError):
            await (await pool.take()).ask_with_body(b"PUT / HTTP/1.1\r\nContent-Length: 8\r\n\r\n", source)
        assert source.left.is_set()


async def test_what_a_body_raises_is_raised_and_ends_the_connection() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError("lost")

    async with pooled(sends(OK)) as (server, pool):
        connection = await pool.take()
        with pytest.raises(LookupError):
            await connection.ask_with_body(b"PUT / HTTP/1.1\r\nContent-Length: 8\r\n\r\n", failing())
        assert not connection.usable
        await server.finished()


async def test_a_body_that_is_cancelled_from_within_ends_the_request() -> None:
    async def cancelled() -> AsyncIterator[bytes]:
        yield b"half"
        raise asyncio.CancelledError

    async with pooled(sends(OK)) as (_, pool):
        connection = await pool.take()
        with pytest.raises(asyncio.CancelledError):
            await connection.ask_with_body(b"PUT / HTTP/1.1\r\nContent-Length: 8\r\n\r\n", cancelled())
        assert not connection.usable
