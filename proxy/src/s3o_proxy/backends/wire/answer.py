"""An answer as it arrives: its head, then the bytes of its body, at the pace of whoever reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from s3o_proxy.backends.wire.failures import ConnectionBrokeError
from s3o_proxy.sockets.pipe import Pipe

PIECE_BYTES = 256 * 1024
"""The largest piece that is handed on."""

HIGH_WATER_BYTES = 512 * 1024
LOW_WATER_BYTES = 128 * 1024
"""Above the first the socket is left alone, below the second it is read again."""

_TINY_BYTES = 4 * 1024


class Source(Protocol):
    """What an answer needs of its connection."""

    def room_for_bytes(self) -> None: ...

    async def fill(self, pipe: Pipe) -> bool:
        """The next bytes into `pipe`; False when they come by `feed` instead. To be asked when all that was fed is read."""
        ...

    def abort(self) -> None: ...


class Answer:
    """`headers` have lower-case names; of one that comes twice the last counts. `size_bytes`: its Content-Length, if it has one.

    `complete`: the body has arrived whole, and the connection is no longer this answer's. `early`: it came before the request was sent.
    """

    __slots__ = ("_error", "_pieces", "_source", "_waiter", "buffered_bytes", "complete", "early", "headers", "size_bytes", "status")

    def __init__(self, source: Source, status: int, headers: dict[bytes, bytes], size_bytes: int | None, *, early: bool) -> None:
        self._source = source
        self.status, self.headers, self.size_bytes, self.early = status, headers, size_bytes, early
        self.complete = False
        self._pieces: deque[bytes] = deque()
        self.buffered_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: ConnectionError | None = None

    def header(self, name: bytes) -> str:
        """ "" where there is none. As text it is UTF-8, or bytes that are none kept as they are."""
        value = self.headers.get(name)
        return value.decode("utf-8", "surrogateescape") if value else ""

    @property
    def is_empty(self) -> bool:
        """Nothing of its body is left to be read."""
        return self.complete and not self._pieces

    # --- the connection's side -----------------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> bool:
        """True when there is more than is worth keeping."""
        pieces = self._pieces
        if len(piece) < _TINY_BYTES and pieces and len(pieces[-1]) < _TINY_BYTES:
            pieces[-1] += piece  # Else a server that sends single bytes would fill the memory with the objects around them.
        else:
            pieces.append(piece)
        self.buffered_bytes += len(piece)
        self._wake()
        return self.buffered_bytes >= HIGH_WATER_BYTES

    def end(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: ConnectionError) -> None:
        self._error = error
        self._wake()

    # --- the reader's side ---------------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """The next bytes of the body, at most PIECE_BYTES; b"" at its end. Raises ConnectionError."""
        while not self._pieces:
            if self.complete:
                return b""
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    async def receive_into(self, pipe: Pipe) -> bytes | Pipe:
        """As `receive`, but the bytes may come in `pipe`. Who has begun with it goes on with it."""
        if not self._pieces and not self.complete and self._error is None and await self._source.fill(pipe):
            return pipe
        return await self.receive()

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises ConnectionError, also where it is longer than anybody wants to read."""
        body = b""
        while piece := await self.receive():
            body += piece
            if len(body) > limit_bytes:
                raise ConnectionBrokeError(f"the answer has more than {limit_bytes} bytes")
        return body

    def leave(self) -> None:
        """Nobody reads on. A body that is not over is not drained: its connection ends with it."""
        if not self.complete:
            self._source.abort()

    # --- helpers -------------------------------------------------------------------------------------------------------

    def _take(self) -> bytes:
        pieces, before = self._pieces, self.buffered_bytes
        piece = pieces.popleft()
        if len(piece) > PIECE_BYTES:
            pieces.appendleft(piece[PIECE_BYTES:])
            piece = piece[:PIECE_BYTES]
        elif pieces and len(piece) + len(pieces[0]) <= PIECE_BYTES:
            size, joined = len(piece), [piece]
            while pieces and size + len(pieces[0]) <= PIECE_BYTES:
                size += len(pieces[0])
                joined.append(pieces.popleft())
            piece = b"".join(joined)
        self.buffered_bytes = before - len(piece)
        if self.buffered_bytes < LOW_WATER_BYTES and not self.complete:
            self._source.room_for_bytes()
        return piece

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
