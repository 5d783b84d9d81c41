"""A closed loop of clients: prepared requests handed to keep-alive connections, each of which sends the next when its last was answered.

Every answer is checked: status, length and bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter
from typing import cast

import httptools
from hack.bench.cases import SMALL_KEYS, Case

_FAILURES_KEPT = 5


class Play:
    """Requests handed to connections until the time is up or none is left; latencies and failures come back."""

    def __init__(self, case: Case, heads: Iterator[bytes], body: bytes) -> None:
        self.case = case
        self.body = body
        self.expected = body if case.method != "PUT" else b""
        self.done = asyncio.Event()
        self._heads = heads
        self._busy = 0
        self.restart(0.0)

    def restart(self, seconds: float) -> None:
        self.until = perf_counter() + seconds
        self.latencies: list[float] = []
        self.failures: list[str] = []
        self.failed = 0
        self.done.clear()

    def begin(self) -> bytes | None:
        """The next head, or None when this connection has nothing left to do."""
        head = next(self._heads, None) if perf_counter() < self.until else None
        if head is not None:
            self._busy += 1
        elif self._busy == 0:
            self.done.set()
        return head

    def end(self, began: float, problem: str) -> None:
        self._busy -= 1
        self.latencies.append(perf_counter() - began)
        if problem:
            self.failed += 1
            if len(self.failures) < _FAILURES_KEPT:
                self.failures.append(problem)

    def abandon(self) -> None:
        """Hand out nothing more: a connection broke, and what is measured with fewer of them says nothing."""
        self.until = 0.0
        if self._busy == 0:
            self.done.set()


class Connection(asyncio.Protocol):
    """One request at a time; the next one leaves when the last byte of the answer is here."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._case = play.case
        self._expected = play.expected
        self._transport: asyncio.WriteTransport
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's transports are of no class of asyncio

    def next(self) -> None:
        head = self._play.begin()
        if head is None:
            return
        self._length = -1
        self._size = 0
        self._intact = True
        self._kept: list[bytes] = []
        self._waiting = True
        self._began = perf_counter()
        if self._case.method == "PUT":
            self._transport.writelines([head, self._play.body])
        else:
            self._transport.write(head)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break(f"the answer is no HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 14 and name.lower() == b"content-length":
            self._length = int(value)

    def on_headers_complete(self) -> None:
        # No body follows the answer to HEAD, but a parser that knows nothing of the request waits for one: it is left behind.
        if self._case.method == "HEAD":
            self._size = self._length
            problem = self._problem()
            self._parser = httptools.HttpResponseParser(self)
            self._finish(problem)

    def on_body(self, chunk: bytes) -> None:
        if self._case.method == "LIST":
            self._kept.append(chunk)
        elif not self._expected.startswith(chunk, self._size):
            self._intact = False
            self._kept.append(chunk[:500])
        self._size += len(chunk)

    def on_message_complete(self) -> None:
        if self._waiting:
            self._finish(self._problem())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._break(f"the connection ended within a request: {exc}")

    def close(self) -> None:
        self._transport.close()

    def _problem(self) -> str:
        status = int(self._parser.get_status_code())
        if status != self._case.status:
            return f"status {status}: {b''.join(self._kept)[:500]!r}"
        if self._case.method == "LIST":
            text = b"".join(self._kept)
            if text.count(b"<Key>") != SMALL_KEYS or b"<IsTruncated>false</IsTruncated>" not in text:
                return f"not one page of {SMALL_KEYS} keys: {text[:500]!r}"
        elif self._size != len(self._expected):
            return f"{self._size} bytes instead of {len(self._expected)}"
        elif not self._intact:
            return "the bytes are not those that were stored"
        return ""

    def _finish(self, problem: str) -> None:
        self._waiting = False
        self._play.end(self._began, problem)
        self.next()

    def _break(self, problem: str) -> None:
        self._waiting = False
        self._transport.close()
        self._play.end(self._began, problem)
        self._play.abandon()
