"""A second descriptor of a transport's socket: to move bytes around the transport, and to wait until it can be done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class Descriptor:
    """Close it: while it is open the connection is, whatever its transport says.

    A loop waits for a socket on behalf of its transport alone, and refuses others; a duplicate of it has a number of its own (dup(2)).
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._forget: Callable[[int], bool] | None = None
        """Ends the loop's watch."""

    @classmethod
    def of(cls, transport: asyncio.Transport) -> Descriptor | None:
        """None where there is no socket any more or no number left, or where its bytes are not those of the transport (TLS)."""
        socket = transport.get_extra_info("socket")
        if socket is None or transport.get_extra_info("sslcontext") is not None:
            return None
        try:
            return cls(os.dup(socket.fileno()))
        except OSError:
            return None

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None

    async def until_readable(self) -> None:
        """Returns when there are bytes or an end, and when somebody calls `wake`."""
        self._loop.add_reader(self.number, self.wake)
        self._forget = self._loop.remove_reader
        await self._until_awake()

    async def until_writable(self) -> None:
        """Returns when there is room or an end, and when somebody calls `wake`."""
        self._loop.add_writer(self.number, self.wake)
        self._forget = self._loop.remove_writer
        await self._until_awake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        self._watch_no_more()
        if self.number >= 0:
            os.close(self.number)
            self.number = -1
        self.wake()

    async def _until_awake(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._watch_no_more()

    def _watch_no_more(self) -> None:
        if self._forget is not None:
            self._forget(self.number)
            self._forget = None
