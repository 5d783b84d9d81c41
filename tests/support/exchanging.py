"""One request over a backend's connection without a network: the bytes are given to it as its transport would, so that every cut is exactly
where it was asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools

from s3o_proxy.backends.errors import FAILURES
from s3o_proxy.backends.wire.connection import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Transport(asyncio.Transport):
    """Remembers that it was closed; a protocol whose transport was closed hears so in the next turn of the loop."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.closed = False
        self.sent = b""
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent += data

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def close(self) -> None:
        self.abort()

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

    @property
    def seen(self) -> tuple[int, bytes, type[Exception | None], bool]:
        """All that must not depend on where the answer was cut."""
        return self.status, self.body, type(self.failure), self.reusable


async def exchange(pieces: list[bytes], *, asks_for_head: bool) -> Outcome:
    owner, outcome = Owner(), Outcome()
    connection = Connection(owner)
    transport = Transport(connection)
    asking = asyncio.create_task(_read(connection, outcome, asks_for_head=asks_for_head))
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


async def _read(connection: Connection, outcome: Outcome, *, asks_for_head: bool) -> None:
    try:
        answer = await connection.ask(REQUEST, asks_for_head=asks_for_head)
        try:
            outcome.status, outcome.body = answer.status, await answer.read(1 << 20)
        finally:
            answer.leave()
    except FAILURES as error:
        outcome.failure = error


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
