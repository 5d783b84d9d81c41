"""A connection to a server: one request at a time, its answer, and whether another request may follow.

llhttp parses heads and chunked bodies; a body of known length goes around it. Whatever is not exactly one whole answer to one whole request
ends the connection: what a server sends too much would otherwise be taken for the answer to somebody else's request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Protocol, cast

import httptools

from s3o_proxy.backends.wire.answer import Answer
from s3o_proxy.backends.wire.failures import ConnectionBrokeError, NotConnectedError, NotHTTPError
from s3o_proxy.sockets.descriptor import Descriptor
from s3o_proxy.sockets.pipe import WORTH_BYTES, Pipe

HEAD_LIMIT_BYTES = 64 * 1024
"""Of a head, with the interim answers before it; and of what stands between two pieces of a chunked body."""

_SLICE_BYTES = 16 * 1024
"""What is parsed at once: the most of a body that goes through the parser, which copies it."""

_HIGH_WATER_BYTES = 256 * 1024

_TAIL_BYTES = 64 * 1024
"""Of a body that goes through a pipe, what comes by the transport again: so that what a server sends too much is noticed here as ever."""


class Owner(Protocol):
    """What a connection needs of its pool."""

    def give_back(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """`usable`: a request can be sent on it. `reused`: it has carried one before. `idle_since_s`: for its pool."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.usable, self.reused, self.idle_since_s = True, False, 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        """Of whoever waits for the head of the answer."""
        self._answer: Answer | None = None
        self._asks_for_head = False
        self._sending = False
        self._headers: dict[bytes, bytes] = {}
        self._fruitless_bytes = 0
        self._left_bytes = 0
        """Of a body of known length, what is to come around the parser."""
        self._interim = self._ended = self._surplus = self._keeps = self._until_closed = False
        self._deaf = False
        self._inlet: Descriptor | None = None
        """While the body goes through a pipe, and the transport is deaf."""
        self._room: asyncio.Future[None] | None = None
        self._full = self._has_eof = self._lost = False

    # --- a request -----------------------------------------------------------------------------------------------------

    async def ask(self, request: bytes, *, asks_for_head: bool = False) -> Answer:
        """Send a whole request, and wait for the head of its answer. Raises NotConnectedError when it cannot be sent any more,
        ConnectionBrokeError, NotHTTPError."""
        waiter = self._expect(asks_for_head=asks_for_head)
        self.transport.write(request)
        try:
            return await waiter
        except BaseException:
            self._forsake(waiter)
            raise

    async def ask_with_body(self, head: bytes, body: AsyncIterable[bytes]) -> Answer:
        """Send a request whose body comes in pieces, at the pace at which they are taken. An answer in the middle of it ends the sending.
        Raises as `ask`, and what `body` raises; nobody is in the body any more then."""
        waiter = self._expect(asks_for_head=False)
        self._sending = True
        self.transport.write(head)
        sender = self._loop.create_task(self._send(body))
        try:
            return await waiter
        except BaseException:
            self._forsake(waiter)
            raise
        finally:
            await _end(sender)

    def _expect(self, *, asks_for_head: bool) -> asyncio.Future[Answer]:
        if not self.usable:
            raise NotConnectedError("the server closed the connection")
        self._asks_for_head = asks_for_head
        self._headers, self._fruitless_bytes = {}, 0
        self._interim = self._until_closed = False
        self._waiter = waiter = self._loop.create_future()
        return waiter

    async def _send(self, body: AsyncIterable[bytes]) -> None:
        try:
            async for piece in body:
                if self.transport.is_closing():
                    return
                self.transport.write(piece)
                if self._full:
                    self._room = self._loop.create_future()
                    await self._room
            self._sending = False
        except asyncio.CancelledError:
            if self._waiter is not None:
                self._waiter.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # whatever a body raises is raised by ask_with_body
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)

    def _forsake(self, waiter: asyncio.Future[Answer]) -> None:
        """Whoever waited was cancelled, or has failed: perhaps just when the answer came, and the connection may be somebody else's now."""
        if self._waiter is waiter:
            self.abort()
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            waiter.result().leave()

    def abort(self) -> None:
        """At once: nothing that is unsent or unread matters any more."""
        self.usable = False
        if not self._lost:
            self.transport.abort()

    # --- the transport's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's have all of its methods and are no subclass.
        self.transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable, self._lost = False, True
        if self._inlet is not None:
            self._inlet.wake()
        if self._answer is not None and self._until_closed and self._has_eof and error is None:
            self._finish(self._answer)
        self._fail(ConnectionBrokeError(str(error) if error else "the server closed the connection", unanswered=not self._fruitless_bytes))
        self.resume_writing()
        self._owner.lost(self)

    def eof_received(self) -> bool:
        self._has_eof, self.usable = True, False
        if self.transport.get_write_buffer_size():
            self.abort()  # Closing would wait until a server that is gone has taken the rest.
        return False

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None and self._answer is None:
            self.abort()  # Nobody asked.
        elif self._answer is not None and self._left_bytes:
            self._receive_around(self._answer, data)
        else:
            self._parse(data)
        if self._ended and self._answer is not None:
            self._finish(self._answer)

    def _parse(self, data: bytes) -> None:
        size, position = len(data), 0
        while position < size and not self._ended and not self._left_bytes:
            piece = data if size <= _SLICE_BYTES else data[position : position + _SLICE_BYTES]
            position += len(piece)
            self._fruitless_bytes += len(piece)
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserError as error:
                self._parser_failed(error)
                return
            if self._fruitless_bytes > HEAD_LIMIT_BYTES and not self._ended:
                self._fail(NotHTTPError(f"more than {HEAD_LIMIT_BYTES} bytes and no end of a head"))
                return
        if position < size:
            if self._answer is not None and self._left_bytes:
                self._receive_around(self._answer, data[position:])
            else:
                self._surplus = True

    def _receive_around(self, answer: Answer, data: bytes) -> None:
        if len(data) > self._left_bytes:
            data, self._surplus = data[: self._left_bytes], True
        self._left_bytes -= len(data)
        if not self._left_bytes:
            self._parser = httptools.HttpResponseParser(self)  # The old one still waits for the bytes that it did not see.
            self._ended = True
        self._feed(answer, data)

    def _feed(self, answer: Answer, data: bytes) -> None:
        if answer.feed(data) and not self._deaf and not self._ended and not self.transport.is_closing():
            self._deaf = True
            self.transport.pause_reading()

    def _finish(self, answer: Answer) -> None:
        """The answer is whole. Only now, with nothing left of what came with it, can be said whether the connection is of further use."""
        self._answer, self._ended = None, False
        keeps = self._keeps and self.usable and not self._surplus and not self._sending and not self.transport.get_write_buffer_size()
        self.room_for_bytes()
        answer.end()
        if keeps:
            self.reused = True
            self._owner.give_back(self)
        else:
            self.abort()

    def _fail(self, error: ConnectionError) -> None:
        if self._answer is not None:
            self._answer.fail(error)
            self._answer = None
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self._waiter = None
        self._left_bytes, self._ended = 0, False
        self.abort()

    def _parser_failed(self, error: httptools.HttpParserError) -> None:
        ours = error.__context__
        if self._ended:
            self._surplus = True  # The answer is whole; what follows it is nonsense.
        else:
            self._fail(ours if isinstance(ours, NotHTTPError) else NotHTTPError(f"the answer is no HTTP: {error}"))

    # --- parser callbacks ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._ended:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is None:  # Else it is a trailer (RFC 9110 §6.5.1).
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        status = parser.get_status_code()
        self._interim = 100 <= status < 200 and status != 101
        if self._interim:
            self._headers = {}
            return
        if self._surplus:
            return
        version = parser.get_http_version()
        if not 200 <= status <= 599 or version not in ("1.1", "1.0"):
            raise NotHTTPError(f"HTTP/{version} {status} is no answer")
        length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
            raise NotHTTPError(f"the transfer coding {coding!r} is not understood")
        self._keeps = version == "1.1" and parser.should_keep_alive()
        self._begin(status, headers, None if length is None else int(length), chunked=coding is not None)

    def _begin(self, status: int, headers: dict[bytes, bytes], size_bytes: int | None, *, chunked: bool) -> None:
        early = self._sending or bool(self.transport.get_write_buffer_size())
        self._answer = answer = Answer(self, status, headers, size_bytes, early=early)
        self._fruitless_bytes = 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)
            self._waiter = None
        else:
            self._keeps = False  # Who asked is about to abort it.
        if self._asks_for_head or status in (204, 304) or size_bytes == 0:
            self._ended = True
            if self._asks_for_head:
                # The parser would wait for a body; what comes in its place is too much, or belongs to nobody.
                self._parser, self._keeps = httptools.HttpResponseParser(self), self._keeps and not chunked
        elif size_bytes is not None:
            self._left_bytes = size_bytes
        else:
            self._until_closed = not chunked

    def on_body(self, piece: bytes) -> None:
        answer = self._answer
        if answer is None or self._ended:
            self._surplus = True
            return
        self._fruitless_bytes = 0
        if self._left_bytes:
            self._left_bytes -= len(piece)
            self._ended = not self._left_bytes
        self._feed(answer, piece)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._answer is not None:
            self._ended = True

    # --- an answer's side ----------------------------------------------------------------------------------------------

    def room_for_bytes(self) -> None:
        if self._deaf and not self.transport.is_closing():
            self._deaf = False
            self.transport.resume_reading()

    async def fill(self, pipe: Pipe) -> bool:
        """An end, a failure and the last bytes are left to the transport: what they mean is said in one place."""
        inlet = self._inlet or self._begin_to_fill(pipe)
        if inlet is None:
            return False
        await asyncio.sleep(0)  # Two fast sides would never wait, and nobody else would have a turn.
        while pipe.usable and self._left_bytes > _TAIL_BYTES and not self.transport.is_closing():
            try:
                moved = pipe.fill(inlet, self._left_bytes - _TAIL_BYTES)
            except BlockingIOError:
                await inlet.until_readable()
                continue
            except OSError as error:
                pipe.usable = isinstance(error, ConnectionError | TimeoutError)  # Else it is the kernel, which will refuse again.
                break
            if not moved:
                break
            self._left_bytes -= moved
            return True
        self._inlet = None
        inlet.close()
        self.room_for_bytes()
        return False

    def _begin_to_fill(self, pipe: Pipe) -> Descriptor | None:
        if not pipe.usable or self._left_bytes < WORTH_BYTES or self.transport.is_closing():
            return None
        self._inlet = pipe.begins_at(self.transport)
        if self._inlet is not None and not self._deaf:
            self._deaf = True
            self.transport.pause_reading()
        return self._inlet


async def _end(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
