"""The sending side of a connection: at the pace of a client that reads, and not for ever for one that does not."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from s3o_proxy.domain.errors import ClientDisconnected
from s3o_proxy.http.deadline import Deadline
from s3o_proxy.sockets.descriptor import Descriptor
from s3o_proxy.sockets.pipe import Pipe
from s3o_proxy.telemetry.unsent import unsent_bytes

_HIGH_WATER_BYTES = 256 * 1024
_LOOK_MS = 50
"""How often it is asked whether a client has taken the rest."""
_GOODBYE_MS = 500
"""TLS would wait half a minute for the client's own goodbye, and a client that keeps an idle connection does not listen."""


class Outgoing:
    """`stall_ms`: how long a client may take nothing of what is ready for it."""

    def __init__(self, transport: asyncio.Transport, deadline: Deadline, stall_ms: Callable[[], int]) -> None:
        self._transport, self._deadline, self._stall_ms = transport, deadline, stall_ms
        self._paused = False
        self._writable: asyncio.Future[None] | None = None
        self._outlet: Descriptor | None = None
        """While a pipe waits for room."""
        self._unsent_bytes = 0
        self._taken_at_s = 0.0
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    @property
    def is_waiting(self) -> bool:
        return self._writable is not None or self._outlet is not None

    @property
    def is_full(self) -> bool:
        """More is written than the client took, and than is worth keeping for it."""
        return self._paused

    def write(self, *pieces: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.writelines(pieces)

    async def drain(self) -> None:
        """Returns when there is room. Raises ClientDisconnected."""
        if self._transport.is_closing():
            raise ClientDisconnected("the client went away")
        if not self._paused:
            return
        self._writable = asyncio.get_running_loop().create_future()
        self.watch()
        try:
            await self._writable
        finally:
            self._writable = None
            self._deadline.clear()

    async def write_from(self, pipe: Pipe) -> None:
        """Send all that is in `pipe`. Raises ClientDisconnected."""
        await self._send_all()
        outlet = pipe.ends_at(self._transport)
        while pipe:
            if outlet is None or self._transport.is_closing():
                raise ClientDisconnected("the client went away")
            try:
                pipe.empty(outlet)
            except BlockingIOError:
                await self._until_writable(outlet)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise ClientDisconnected("the client went away") from error
                pipe.usable = False
                self.write(pipe.read())
                await self.drain()

    async def _send_all(self) -> None:
        """What was written goes first, to its last byte."""
        transport = self._transport
        if transport.get_write_buffer_size() and not transport.is_closing():
            transport.set_write_buffer_limits(high=0)
            await self.drain()
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    async def _until_writable(self, outlet: Descriptor) -> None:
        self._outlet = outlet
        self.watch()
        try:
            await outlet.until_writable()
        finally:
            self._outlet = None
            self._deadline.clear()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def lose(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ClientDisconnected("the client went away"))
        if self._outlet is not None:
            self._outlet.wake()

    def watch(self) -> None:
        """From now on the client has to take something, again and again, until there is nothing left."""
        self._unsent_bytes = unsent_bytes(self._transport)
        self._deadline.set(self._stall_ms(), self._check)

    def end(self, *, goodbye: bool) -> None:
        """Close when all is sent. `goodbye`: the connection is one of TLS, which ends by one from each side."""
        self._transport.close()
        if goodbye:
            self._deadline.set(_GOODBYE_MS, self._end_without_goodbye)
        else:
            self.watch()

    def end_when_taken(self, *, goodbye: bool) -> None:
        """As `end`, once the client has acknowledged all: for a process that is about to end.

        When it does, a container's network goes, and with it whatever the kernel still holds for a client: megabytes, for a slow one, that
        would never arrive, and not even a reset to tell it so.
        """
        self._taken_at_s = asyncio.get_running_loop().time()
        self._unsent_bytes = unsent_bytes(self._transport)
        self._end_if_taken(goodbye)

    def _end_if_taken(self, goodbye: bool) -> None:
        now_s, unsent = asyncio.get_running_loop().time(), unsent_bytes(self._transport)
        if unsent < self._unsent_bytes:
            self._taken_at_s, self._unsent_bytes = now_s, unsent
        if not unsent:
            self.end(goodbye=goodbye)
        elif now_s - self._taken_at_s > self._stall_ms() / 1000:
            self._transport.abort()
        else:
            self._deadline.set(_LOOK_MS, lambda: self._end_if_taken(goodbye))

    def _end_without_goodbye(self) -> None:
        if unsent_bytes(self._transport):
            self.watch()
        else:
            self._transport.abort()

    def _check(self) -> None:
        if unsent_bytes(self._transport) >= self._unsent_bytes:
            self._transport.abort()
        else:
            self.watch()
