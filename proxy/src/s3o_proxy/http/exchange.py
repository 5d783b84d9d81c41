"""One request and its answer: the body in and the answer out, each at the pace of the slower side.

The protocol fills it from the socket, the endpoint reads the body and answers. It decides what becomes of the connection after an
answer that came before the body was read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

from s3o_proxy.domain.errors import BodyError, ClientDisconnected
from s3o_proxy.http.head import Head
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.sockets.pipe import PIPES, WORTH_BYTES, Pipe, Pipeable

PIECE_BYTES = 256 * 1024
"""The largest piece that is handed on: what may be hashed inline without holding up the other requests."""

HIGH_WATER_BYTES = 512 * 1024
LOW_WATER_BYTES = 128 * 1024
"""Above the first the socket is left alone, below the second it is read again."""

DRAIN_BYTES = 64 * 1024
"""What is left of a body is read and thrown away up to here, so that the connection can serve again; above, it is closed."""

_TINY_BYTES = 4 * 1024

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n\r\n"


class Connection(Protocol):
    """What an exchange needs of its protocol."""

    @property
    def closing(self) -> bool:
        """No further request is served on it, whatever the client wishes."""
        ...

    def write(self, *pieces: bytes) -> None:
        """All in one call of the system, where the socket takes that much."""
        ...

    async def drain(self) -> None:
        """Returns when the socket takes more. Raises ClientDisconnected when it never will."""
        ...

    def takes(self, pipe: Pipe) -> bool:
        """Whether bytes can go from `pipe` to the socket."""
        ...

    async def write_from(self, pipe: Pipe) -> None:
        """All that is in it, behind all that was written. Raises ClientDisconnected."""
        ...

    def wait_for_bytes(self) -> None:
        """Somebody waits for the client: from now on it may be too slow."""
        ...

    def room_for_bytes(self) -> None:
        """The exchange fell below its low-water mark."""
        ...

    def answered(self, exchange: Exchange) -> None: ...

    def abort(self) -> None:
        """Cut the connection, so that nobody takes what was sent for a whole answer."""
        ...


class Exchange:
    """`refusal`: why this request is answered with an error before anything is decided about it."""

    __slots__ = (
        "_body_error",
        "_connection",
        "_continued",
        "_pieces",
        "_waiter",
        "body_complete",
        "buffered_bytes",
        "disconnected",
        "done",
        "head",
        "head_sent",
        "keep_alive",
        "received_bytes",
        "refusal",
        "sent_bytes",
        "started_s",
    )

    def __init__(self, connection: Connection, head: Head, started_s: float, refusal: S3Error | None = None) -> None:
        self.head, self.refusal, self.started_s = head, refusal, started_s
        self.body_complete = False
        self.buffered_bytes = 0
        self.received_bytes = 0
        """Of the body as framed on the wire, but for a transfer coding."""
        self.sent_bytes = 0
        """Of the answer's body."""
        self.head_sent = False
        self.done = False
        self.disconnected = False
        self.keep_alive = head.keep_alive
        self._connection = connection
        self._continued = not head.expects_continue
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._body_error: BodyError | None = None

    # --- the protocol's side ---------------------------------------------------------------------------------------------------

    @property
    def left_bytes(self) -> int | None:
        """What the client has yet to send; None where only its end will tell."""
        if self.body_complete:
            return 0
        length = self.head.content_length
        return None if length is None else length - self.received_bytes

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None

    def feed(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self.done:
            return
        if len(data) < _TINY_BYTES and self._pieces and len(self._pieces[-1]) < _TINY_BYTES:
            self._pieces[-1] += data  # Else a client that sends chunks of one byte would fill the memory with the objects around them.
        else:
            self._pieces.append(data)
        self.buffered_bytes += len(data)
        self._wake()

    def feed_end(self) -> None:
        self.body_complete = True
        self._wake()

    def fail_body(self, error: BodyError) -> None:
        """No more of the body will come; whoever waits for it hears why."""
        if not self.body_complete and self._body_error is None:
            self._body_error = error
        self._wake()

    def lose(self) -> None:
        """The client is gone."""
        self.disconnected = True
        self._body_error = ClientDisconnected("the client went away")
        self._wake()

    # --- the endpoint's side ---------------------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """The next bytes of the body, at most PIECE_BYTES; b"" at its end. Raises ClientDisconnected, ClientTimeout, MalformedBody."""
        if not self._continued:
            self.send_continue()
        while not self._pieces:
            if self._body_error is not None:
                raise self._body_error
            if self.body_complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            self._connection.wait_for_bytes()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    def send_continue(self) -> None:
        self._continued = True
        self._connection.write(_CONTINUE)

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """Send a whole answer at once. `head` ends with the CRLF of its last header."""
        self.sent_bytes = len(body)
        self._connection.write(self._finished_head(head), body)
        self._end()

    async def pass_on(self, head: bytes, size_bytes: int, body: AsyncIterable[bytes]) -> None:
        """As `stream`. A large body that comes from a socket goes to the client's around Python, where both sides allow it."""
        if size_bytes < WORTH_BYTES or not isinstance(body, Pipeable):
            await self.stream(head, size_bytes, aiter(body))
            return
        with PIPES.lent() as pipe:
            pieces = aiter(body) if pipe is None or not self._connection.takes(pipe) else body.into(pipe)
            await self.stream(head, size_bytes, pieces)

    async def stream(self, head: bytes, size_bytes: int, pieces: AsyncIterator[bytes | Pipe]) -> None:
        """Send an answer whose body arrives in pieces. Raises what `pieces` raises: before the first piece nothing is sent yet, and
        another answer may be given; after it the connection is cut, because a short answer must not look like a whole one."""
        write, drain = self._connection.write, self._connection.drain
        try:
            async for piece in pieces:
                self.sent_bytes += len(piece)
                if self.sent_bytes > size_bytes:
                    raise _wrong_size(size_bytes, self.sent_bytes)
                if isinstance(piece, Pipe):
                    if not self.head_sent:
                        write(self._finished_head(head))
                    await self._connection.write_from(piece)
                    continue
                if self.head_sent:
                    write(piece)
                else:
                    write(self._finished_head(head), piece)
                await drain()
            if self.sent_bytes != size_bytes:
                raise _wrong_size(size_bytes, self.sent_bytes)
        except BaseException:
            if self.head_sent:
                self._connection.abort()
            raise
        if not self.head_sent:
            write(self._finished_head(head))
        self._end()

    def give_up(self) -> None:
        """Cut the connection without an answer."""
        self._connection.abort()

    # --- helpers ---------------------------------------------------------------------------------------------------------------

    def _take(self) -> bytes:
        data = self._pieces.popleft()
        if self._pieces and len(data) + len(self._pieces[0]) <= PIECE_BYTES:
            size = len(data)
            joined = [data]
            while self._pieces and size + len(self._pieces[0]) <= PIECE_BYTES:
                size += len(self._pieces[0])
                joined.append(self._pieces.popleft())
            data = b"".join(joined)
        before = self.buffered_bytes
        self.buffered_bytes = before - len(data)
        if self.buffered_bytes < LOW_WATER_BYTES <= before:
            self._connection.room_for_bytes()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _finished_head(self, head: bytes) -> bytes:
        """The head with its last lines; what it says of the connection is then what happens to it.

        Every botocore before late 2026 breaks its pooled connection over a final answer to `Expect: 100-continue` that no
        "100 Continue" preceded; one that says `Connection: close` does it no harm. So: a small body is asked for and thrown away, a
        large one is never sent and costs the connection.
        """
        left = self.left_bytes
        keeps = self.keep_alive and not self._connection.closing and left is not None and left <= DRAIN_BYTES and self._body_error is None
        if keeps and not self._continued:
            self.send_continue()
        self.keep_alive, self.head_sent = keeps, True
        return head + (b"\r\n" if keeps else _CLOSE)

    def _end(self) -> None:
        self.done = True
        self._pieces.clear()
        self.buffered_bytes = 0
        self._connection.answered(self)


def _wrong_size(promised_bytes: int, actual_bytes: int) -> RuntimeError:
    return RuntimeError(f"an answer of {promised_bytes} bytes got {actual_bytes}")
