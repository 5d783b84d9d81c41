"""Taking connections from a listening socket that several processes share, so that each of them gets its part.

uvloop takes all that wait as soon as it is woken. This takes one at a time, and steps back for a moment while another process has fewer:
that one is woken, too. Whoever comes back takes what is still there: a process that is stuck holds nobody up for long.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

_STEP_BACK_S = 0.002
_NO_DESCRIPTORS_S = 1.0
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Tally(Protocol):
    """How many connections this process has, and whether another has fewer."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def entered(self) -> None: ...

    def left(self) -> None: ...

    def has_more_than_another(self) -> bool: ...


class Acceptor:
    """Takes connections until `close`. What it is to uvicorn is an `asyncio.Server`.

    `make_protocol`'s protocols say `tally.left()` when they lose their connection.
    """

    def __init__(
        self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, tally: Tally
    ) -> None:
        self._listener, self._make_protocol, self._tls, self._tally = listener, make_protocol, tls, tally
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        tally.open()
        self._loop.add_reader(listener, self._look)

    def close(self) -> None:
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        self._tally.close()

    async def wait_closed(self) -> None:
        """What has begun to shake hands is cut with the other connections."""

    def _look(self) -> None:
        if self._tally.has_more_than_another():
            self._step_back(_STEP_BACK_S)
        else:
            self._take()

    def _step_back(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._come_back)

    def _come_back(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._look)
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # Another process was faster, or the client is gone already.
        except OSError as error:
            if error.errno not in _NONE_LEFT:
                raise
            log.warning("no connection can be taken now: %s", error)
            self._step_back(_NO_DESCRIPTORS_S)
            return
        self._tally.entered()
        task = self._loop.create_task(self._begin(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            if connection.family in {socket.AF_INET, socket.AF_INET6}:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make_protocol, connection, ssl=self._tls)
        except (OSError, ssl.SSLError) as error:
            # A client that does not shake hands, or went away meanwhile: no fault of ours.
            log.debug("a connection did not begin: %s", error)
            self._tally.left()
            connection.close()
