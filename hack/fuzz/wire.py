"""Targets that are whole streams of a connection: requests at the edge, answers of a backend."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

import httptools
from tests.support.exchanging import Outcome, Transport, exchange, final_answers
from uvicorn.server import ServerState

from s3o_crds.compiled import ServerConfig
from s3o_proxy.domain.errors import BodyError
from s3o_proxy.http.endpoint import read_facts
from s3o_proxy.http.exchange import Exchange
from s3o_proxy.http.head import Head
from s3o_proxy.http.protocol import S3Protocol
from s3o_proxy.s3.body_promises import body_promises
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import Operation
from s3o_proxy.s3.router import route

LIMITS = ServerConfig()


@cache
def _runner() -> asyncio.Runner:
    """One loop for all inputs: to make one takes longer than most of them."""
    return asyncio.Runner()


def cuts(data: bytes) -> list[list[bytes]]:
    """Ways to cut it, which depend on what it is: halves, three uneven pieces, and now and then every byte by itself, which takes long."""
    half, third = len(data) // 2, (sum(data[:64]) % (len(data) + 1))
    first, second = sorted((third, min(len(data), third + 7)))
    ways = [[data[:half], data[half:]], [data[:first], data[first:second], data[second:]]]
    return [*ways, [data[at : at + 1] for at in range(len(data))]] if len(data) <= 400 and sum(data) % 4 == 0 else ways


# --- requests ------------------------------------------------------------------------------------------------------------------------


@dataclass
class Served:
    """What the edge made of one request."""

    head: Head
    refusal: str
    body: bytes = b""
    failure: str = ""

    @property
    def seen(self) -> tuple[object, ...]:
        """All that must not depend on cuts. How much of a refused head there was does: it stops wherever it became nonsense."""
        head = self.head
        if self.refusal:
            return (self.refusal,)
        return head.method, head.target, tuple(head.headers), head.keep_alive, self.refusal, self.body, self.failure


@dataclass
class Reader:
    """An edge that reads every body and answers 200. Implements `http.protocol.Edge`."""

    served: list[Served] = field(default_factory=list)

    def limits(self) -> ServerConfig:
        return LIMITS

    async def serve(self, exchange: Exchange) -> None:
        seen = Served(exchange.head, exchange.refusal.code if exchange.refusal else "")
        self.served.append(seen)
        if exchange.refusal is None:
            with suppress(BodyError):
                try:
                    while piece := await exchange.receive():
                        seen.body += piece
                except BodyError as error:
                    seen.failure = type(error).__name__
                    raise
        if not exchange.disconnected:
            exchange.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n")


def request(data: bytes) -> None:
    """Any stream, however cut, is the same requests; none that llhttp alone does not find there; each is an operation or an error of S3."""
    served, sent = _runner().run(_serve([data]))
    for pieces in cuts(data):
        again, _ = _runner().run(_serve(pieces))
        assert [one.seen for one in served] == [one.seen for one in again], "where it is cut makes a difference"
    assert sent.count(b"HTTP/1.1 200 OK") <= len(served)
    taken = [one for one in served if not one.refusal]
    for ours, theirs in zip(taken, found_by_llhttp(data), strict=False):
        assert ours.head.method.encode() == theirs.method
        if theirs.url.startswith(b"/"):  # else it is of the absolute form, whose host counts
            assert (ours.head.target, ours.head.headers) == (theirs.url, theirs.headers)
        assert theirs.body.startswith(ours.body), "a body that is none"
        assert ours.failure or ours.body == theirs.body
    assert len(taken) <= len(found_by_llhttp(data)), "a request that is none"
    for one in taken:
        _understand(one.head)


async def _serve(pieces: list[bytes]) -> tuple[list[Served], bytes]:
    reader = Reader()
    watch = _Watch()
    logging.getLogger("s3o_proxy").addHandler(watch)
    state = ServerState()
    protocol = type("Bound", (S3Protocol,), {"edge": reader})(server_state=state, _loop=asyncio.get_running_loop())
    transport = Transport(protocol)
    for piece in pieces:
        transport.deliver(piece)
        await asyncio.sleep(0)
    for _ in range(3):  # turns: a request that waits in the queue begins when the one before it is answered
        for _ in range(1000):
            if not any(_is_ready(task) for task in state.tasks):
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    transport.end()
    await asyncio.sleep(0)
    if state.tasks:
        await asyncio.wait(state.tasks)
    await asyncio.sleep(0)
    logging.getLogger("s3o_proxy").removeHandler(watch)
    assert not state.connections
    assert not watch.messages, watch.messages
    return reader.served, transport.sent


def _is_ready(task: asyncio.Task[None]) -> bool:
    """It does not wait for more of a body."""
    return not task.done() and getattr(task, "_fut_waiter", None) is None


class _Watch(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@dataclass
class Message:
    method: bytes = b""
    url: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class _Finder:
    def __init__(self) -> None:
        self.found: list[Message] = []
        self._in_head, self._url, self._headers = True, b"", list[tuple[bytes, bytes]]()
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self._in_head, self._url, self._headers = True, b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.found.append(Message(self.parser.get_method(), self._url, self._headers))

    def on_body(self, piece: bytes) -> None:
        self.found[-1].body += piece


def found_by_llhttp(data: bytes) -> list[Message]:
    """The requests of a stream, by the parser alone and in one go."""
    finder = _Finder()
    while data:
        try:
            finder.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            data = data[int(stop.args[0]) :]
            continue
        except httptools.HttpParserError:
            break
        data = b""
    return finder.found


def _understand(head: Head) -> None:
    facts = read_facts(head)
    with suppress(S3Error):
        operation = route(facts)
        assert isinstance(operation, Operation)
        body_promises(facts, operation)


# --- answers -------------------------------------------------------------------------------------------------------------------------


def answer(data: bytes) -> None:
    """Whatever a backend sends, however cut: the same answer or the same error, and a second request only after exactly one answer.

    An empty line behind an answer is nothing to llhttp where it comes with it, and makes the connection useless where it comes later: both
    are right."""
    for asks_for_head in (False, True):
        whole = _exchange([data], asks_for_head=asks_for_head)
        assert whole.failure is not None or 200 <= whole.status <= 599
        line_behind = data.endswith((b"\r", b"\n")) and _exchange([data[:-1]], asks_for_head=asks_for_head).seen[:3] == whole.seen[:3]
        for pieces in cuts(data):
            seen = _exchange(pieces, asks_for_head=asks_for_head).seen
            assert whole.seen[:3] == seen[:3], "where it is cut makes a difference"
            assert whole.reusable == seen[3] or line_behind, "where it is cut makes a difference to whether it is used again"
        if whole.reusable and not asks_for_head:
            assert whole.failure is None
            assert final_answers(data) == 1, "used again after nonsense"


def _exchange(pieces: list[bytes], *, asks_for_head: bool) -> Outcome:
    return _runner().run(exchange(pieces, asks_for_head=asks_for_head))
