"""Whatever a server sends, however it is cut: an answer, or an error of the backend; never a hang, and no second request after nonsense.

Without a network: the bytes are given to the connection as its transport would, so that every cut is exactly where it was drawn.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from s3o_proxy.backends.errors import FAILURES
from s3o_proxy.backends.wire.connection import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Transport(asyncio.Transport):
    """Remembers that it was aborted; a protocol whose transport was closed hears so in the next turn of the loop."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.closed = False
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def deliver(self, *pieces: bytes) -> None:
        for piece in pieces:
            if piece and not self.closed:
                self._protocol.data_received(piece)

    def end(self) -> None:
        if not self.closed:
            self._protocol.eof_received()
            self.abort()


class Owner:
    def __init__(self) -> None:
        self.given_back: list[Connection] = []
        self.lost_ones: list[Connection] = []

    def give_back(self, connection: Connection) -> None:
        self.given_back.append(connection)

    def lost(self, connection: Connection) -> None:
        self.lost_ones.append(connection)


class Outcome:
    """Of one request: the answer's status and body, or what was raised."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.failure: Exception | None = None
        self.reusable = False


async def exchange(pieces: list[bytes], *, asks_for_head: bool) -> Outcome:
    owner, outcome = Owner(), Outcome()
    connection = Connection(owner)
    transport = Transport(connection)
    asking = asyncio.create_task(read(connection, outcome, asks_for_head=asks_for_head))
    await asyncio.sleep(0)
    for piece in pieces:
        transport.deliver(piece)
        await asyncio.sleep(0)
    outcome.reusable = bool(owner.given_back) and connection.usable
    transport.end()
    async with asyncio.timeout(5):
        await asking
    await asyncio.sleep(0)
    assert owner.lost_ones == [connection]
    assert len(owner.given_back) <= 1
    return outcome


async def read(connection: Connection, outcome: Outcome, *, asks_for_head: bool) -> None:
    try:
        answer = await connection.ask(REQUEST, asks_for_head=asks_for_head)
        try:
            outcome.status, outcome.body = answer.status, await answer.read(1 << 20)
        finally:
            answer.leave()
    except FAILURES as error:
        outcome.failure = error


def run(coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
    return asyncio.run(coroutine)


def cut(content: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(content) + 1) for place in places} | {0, len(content)})
    return [content[first:last] for first, last in itertools.pairwise(at)]


STATUS = st.sampled_from([b"200", b"204", b"206", b"304", b"404", b"500", b"100", b"101", b"199", b"600", b"2", b"-1"])
VERSION = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"ICE/1.0", b"RTSP/1.0"])
LENGTH = st.sampled_from([b"2", b"0", b"30000", b" 2 ", b"+2", b"0x2", b"2, 2", b""]).map(b"Content-Length: ".__add__)
CODING = st.sampled_from([b"chunked", b"Chunked", b"identity", b"chunked, chunked", b"gzip"]).map(b"Transfer-Encoding: ".__add__)
CONNECTION = st.sampled_from([b"close", b"keep-alive", b"upgrade", b"close, keep-alive"]).map(b"Connection: ".__add__)
OTHER = st.sampled_from([b"Upgrade: x", b"Trailer: X", b'ETag: "e"', b"X: \xff", b" folded", b"no colon", b"X : y", b"X: \0"])
BODY = st.sampled_from(
    [b"", b"ok", b"2\r\nok\r\n0\r\n\r\n", b"0\r\n\r\n", b"2;e\r\nok\r\n0\r\nX: y\r\n\r\n", b"ffffffff\r\n", bytes(30_000), bytes(29_999)]
)


def answer(version: bytes, status: bytes, headers: list[bytes], body: bytes) -> bytes:
    return b"%s %s R\r\n%s\r\n%s" % (version, status, b"".join([header + b"\r\n" for header in headers]), body)


ANSWER = st.builds(answer, VERSION, STATUS, st.lists(LENGTH | CODING | CONNECTION | OTHER, max_size=4), BODY)
WHOLE = st.builds(
    lambda status, body: answer(b"HTTP/1.1", status, [b"Content-Length: %d" % len(body)], body),
    st.sampled_from([b"200", b"206", b"404", b"500"]),
    st.binary(max_size=20) | st.just(bytes(30_000)),
)
"""Exactly one answer, as most of them are."""

ANYTHING = WHOLE | st.lists(WHOLE | ANSWER | st.binary(max_size=40), max_size=4).map(b"".join)
CUTS = st.lists(st.integers(0, 100_000), max_size=6)


@given(ANYTHING, CUTS, st.booleans())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", [], False)
@example(b"HTTP/1.1 200 OK\r\n\r\nok", [19], False)
def test_any_bytes_are_an_answer_or_an_error_and_never_a_hang(content: bytes, places: list[int], asks_for_head: bool) -> None:
    outcome = run(exchange(cut(content, places), asks_for_head=asks_for_head))
    assert outcome.failure is not None or 200 <= outcome.status <= 599


@given(ANYTHING, CUTS, st.booleans())
def test_where_it_is_cut_makes_no_difference(content: bytes, places: list[int], asks_for_head: bool) -> None:
    whole = run(exchange([content], asks_for_head=asks_for_head))
    pieces = run(exchange(cut(content, places), asks_for_head=asks_for_head))
    assert (whole.status, whole.body, type(whole.failure)) == (pieces.status, pieces.body, type(pieces.failure))
    assert whole.reusable == pieces.reusable


@given(ANYTHING, CUTS)
def test_only_after_exactly_one_whole_answer_is_a_connection_used_again(content: bytes, places: list[int]) -> None:
    outcome = run(exchange(cut(content, places), asks_for_head=False))
    if outcome.reusable:
        assert outcome.failure is None
        assert final_answers(content) == 1


def final_answers(content: bytes) -> int:
    """By llhttp alone, in one go: how many answers these bytes are; nonsense counts as another."""
    counter = _Counter()
    parser = counter.parser = httptools.HttpResponseParser(counter)
    try:
        parser.feed_data(content)
    except httptools.HttpParserError:
        counter.begun += 1
    return counter.begun


class _Counter:
    def __init__(self) -> None:
        self.begun = 0
        self.parser: Any = None

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_headers_complete(self) -> None:
        if 100 <= self.parser.get_status_code() < 200:
            self.begun -= 1
