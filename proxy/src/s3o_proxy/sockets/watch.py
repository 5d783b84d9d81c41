"""Reading a transport's socket around the transport: a watch of its own, while the transport is deaf."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable


class Watch:
    """`readable` is called whenever there are bytes, an end or an error, while it is `set`. Close it with the transport.

    What the loop waits for is an epoll that holds the socket (epoll(7), nested), and not the socket. libuv calls once at an error of a
    descriptor and forgets it: bytes that came before a reset would be read in that one call, and of the reset nobody would hear. An epoll
    has no errors, it is readable as long as what it holds has anything to say.
    """

    def __init__(self, number: int, readable: Callable[[], None]) -> None:
        """Raises OSError."""
        self._socket, self._readable = number, readable
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll(1)
        self._epoll.register(number, select.EPOLLIN)
        self._on = False

    @classmethod
    def of(cls, transport: asyncio.Transport, readable: Callable[[], None]) -> Watch | None:
        """None where there is no socket any more or no descriptor left, no epoll (it is Linux's), or where the bytes of the socket are not
        those of the transport (TLS)."""
        socket = transport.get_extra_info("socket")
        if socket is None or transport.get_extra_info("sslcontext") is not None or not hasattr(select, "epoll"):
            return None
        try:
            return cls(socket.fileno(), readable)
        except OSError:
            return None

    @property
    def closed(self) -> bool:
        return self._epoll.closed

    def set(self, *, on: bool) -> None:
        if on == self._on:
            return
        self._on = on
        if on:
            self._loop.add_reader(self._epoll.fileno(), self._readable)
        else:
            self._loop.remove_reader(self._epoll.fileno())

    def read(self, limit_bytes: int) -> bytes:
        """Empty at the end. Never of a transport that is closing: its number may be another's. Raises BlockingIOError, OSError."""
        return os.read(self._socket, limit_bytes)

    def close(self) -> None:
        self.set(on=False)
        self._epoll.close()
