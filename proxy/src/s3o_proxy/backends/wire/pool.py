"""The connections to one server: the one that was used last is used first, so that those which are not needed grow old and go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from s3o_proxy.backends.wire.connection import Connection
from s3o_proxy.backends.wire.failures import ConnectTimeoutError, NotConnectedError

MAX_CONNECTIONS = 1000
"""As many as requests are admitted by default: a slow reader must not keep a writer waiting."""

IDLE_S = 12.0
"""Shorter than servers keep an idle connection, so that it is rarely closed just when it is used."""

_SWEEP_S = 3.0

Dial = Callable[[Callable[[], Connection]], Awaitable[Connection]]


class Pool:
    """`connect_timeout_s` bounds waiting for a connection that is free, or a new one."""

    def __init__(
        self,
        dial: Dial,
        connect_timeout_s: float,
        *,
        max_connections: int = MAX_CONNECTIONS,
        idle_s: float = IDLE_S,
        sweep_s: float = _SWEEP_S,
    ) -> None:
        self._dial, self._connect_timeout_s = dial, connect_timeout_s
        self._max_connections, self._idle_s, self._sweep_s = max_connections, idle_s, sweep_s
        self._loop = asyncio.get_running_loop()
        self._open = set[Connection]()
        self._dialling = 0
        self._idle = deque[Connection]()
        """The one that came back last is at the right."""
        self._waiting = deque[asyncio.Future[None]]()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, *, fresh: bool = False) -> Connection:
        """A connection for one request, which gives itself back. `fresh`: one that never carried a request. Raises NotConnectedError."""
        connection = None if fresh else self._idle_one()
        if connection is not None:
            return connection
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                while connection is None and len(self._open) + self._dialling >= self._max_connections:
                    if fresh and self._idle:
                        self._idle.popleft().abort()
                    await self._change()
                    connection = None if fresh else self._idle_one()
                return connection or await self._new()
        except ConnectTimeoutError:
            raise
        except TimeoutError as error:
            raise ConnectTimeoutError(f"none within {self._connect_timeout_s:g} s") from error

    def is_good(self, connection: Connection) -> bool:
        """Of one that was taken and not used at once: whether it would still be given out."""
        return connection.usable and (not connection.reused or connection.idle_since_s + self._idle_s > self._loop.time())

    def close(self) -> None:
        """End every connection, whatever it carries."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    # --- a connection's side -------------------------------------------------------------------------------------------

    def give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        connection.idle_since_s = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
        if self._waiting:
            self._tell_one()

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._tell_one()

    # --- helpers -------------------------------------------------------------------------------------------------------

    def _idle_one(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _new(self) -> Connection:
        if self._closed:
            raise NotConnectedError("the backend was closed")
        self._dialling += 1
        try:
            connection = await self._dial(lambda: Connection(self))
        except BaseException:
            self._tell_one()
            raise
        finally:
            self._dialling -= 1
        if connection.usable:
            self._open.add(connection)
        if self._closed:
            connection.abort()
            raise NotConnectedError("the backend was closed")
        return connection

    async def _change(self) -> None:
        """Wait until a connection came back or ended."""
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.cancelled():
                self._tell_one()  # It was our turn, and is the next one's now.
            raise

    def _tell_one(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def _sweep(self) -> None:
        self._sweeper = None
        old = self._loop.time() - self._idle_s
        while self._idle and (self._idle[0].idle_since_s < old or not self._idle[0].usable):
            self._idle.popleft().abort()
        if self._idle:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
