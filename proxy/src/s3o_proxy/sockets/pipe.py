"""A pipe between two sockets (splice(2)): the kernel hands the pages of one to the other, and nobody copies their bytes.

A pipe is a piece of a body, as `bytes` are one: its length is what waits in it, and it is emptied before it is filled again. So whoever
counts, paces or times pieces need not know which kind they are.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, runtime_checkable

from s3o_proxy.sockets.descriptor import Descriptor

WORTH_BYTES = 1024 * 1024
"""With less to come, a pipe costs more than it saves."""

PIPE_BYTES = 256 * 1024
_LEAST_BYTES = 64 * 1024
"""What a pipe holds; past its user's share (`pipe-user-pages-soft`, pipe(7)) the kernel gives no more than a page or two."""

MAX_PIPES = 64
"""Lent at once: together a quarter of what one user may have."""

CAN_SPLICE = sys.platform == "linux"


@runtime_checkable
class Pipeable(Protocol):
    """A body whose bytes may come in a pipe."""

    def into(self, pipe: Pipe) -> AsyncIterator[bytes | Pipe]:
        """The pieces of the body: bytes, or `pipe` with bytes in it. Instead of iterating it."""
        ...


class Pipe:
    """`usable`: False once the kernel refused; then all goes the other way."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.usable = True
        self._size_bytes = 0
        self._from: Descriptor | None = None
        self._to: Descriptor | None = None

    def __len__(self) -> int:
        return self._size_bytes

    @property
    def capacity_bytes(self) -> int:
        return fcntl.fcntl(self._in, fcntl.F_GETPIPE_SZ)

    def widen(self) -> bool:
        """False where it remains too narrow to be of use."""
        with suppress(PermissionError):
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return self.capacity_bytes >= _LEAST_BYTES

    def begins_at(self, transport: asyncio.Transport) -> Descriptor | None:
        """Where it is filled from now on, until the pipe is given back or this is closed. None: it cannot be."""
        if self._from is not None:
            self._from.close()
        self._from = Descriptor.of(transport)
        return self._from

    def ends_at(self, transport: asyncio.Transport) -> Descriptor | None:
        """Where it is emptied, always the same. None: it cannot be."""
        self._to = self._to or Descriptor.of(transport)
        return self._to

    def fill(self, source: Descriptor, limit_bytes: int) -> int:
        """0: the source has ended. Raises BlockingIOError when nothing is there yet, OSError."""
        moved = os.splice(source.number, self._in, limit_bytes, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        self._size_bytes += moved
        return moved

    def empty(self, sink: Descriptor) -> None:
        """Of some of what it holds. Raises BlockingIOError when there is no room for any, OSError."""
        flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        self._size_bytes -= os.splice(self._out, sink.number, self._size_bytes, flags=flags)

    def read(self) -> bytes:
        """All that it holds."""
        content = b""
        while self._size_bytes:
            piece = os.read(self._out, self._size_bytes)
            self._size_bytes -= len(piece)
            content += piece
        return content

    def let_go(self) -> None:
        """Of both sockets."""
        for descriptor in (self._from, self._to):
            if descriptor is not None:
                descriptor.close()
        self._from = self._to = None

    def close(self) -> None:
        self.let_go()
        os.close(self._in)
        os.close(self._out)


class Pipes:
    """`idle`: those that were given back, for the next."""

    def __init__(self, limit: int = MAX_PIPES) -> None:
        self._limit, self._lent = limit, 0
        self.idle: list[Pipe] = []

    @contextmanager
    def lent(self) -> Iterator[Pipe | None]:
        """A pipe for one body. None where there is none to be had: then bytes go the ordinary way."""
        pipe = self._take()
        if pipe is None:
            yield None
            return
        self._lent += 1
        try:
            yield pipe
        finally:
            self._lent -= 1
            if len(pipe) or not pipe.usable:
                pipe.close()  # What is left in it belongs to nobody else.
            else:
                pipe.let_go()
                self.idle.append(pipe)

    def close(self) -> None:
        while self.idle:
            self.idle.pop().close()

    def _take(self) -> Pipe | None:
        if not CAN_SPLICE or self._lent >= self._limit:
            return None
        return self.idle.pop() if self.idle else _new_pipe()


def _new_pipe() -> Pipe | None:
    try:
        pipe = Pipe()
    except OSError:
        return None
    if pipe.widen():
        return pipe
    pipe.close()
    return None


PIPES = Pipes()
"""Of this process."""
