"""A bad way to a server: it can be shut, and it can be narrow. What a test does to a network, on command.

It runs in a thread of its own, so it goes on while the test waits for something.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

_BUFFER_BYTES = 64 * 1024
"""Of every socket: what a shut valve still swallows is a few times this, where the kernel's own choice would be megabytes."""

_T = TypeVar("_T")


class Valve:
    """Forwards connections to the server at `upstream_url`; proxies reach it at `url`."""

    def __init__(self, upstream_url: str) -> None:
        upstream = urlsplit(upstream_url)
        self._upstream = (upstream.hostname or "", upstream.port or 0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)  # Inherited by what it accepts.
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open = asyncio.Event()
        self._open.set()
        self._bytes_per_s: float | None = None
        self._free_at = 0.0
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    # --- commands ---------------------------------------------------------------------------------------------------

    def shut(self) -> None:
        """From now on nothing passes in either direction. Connections stay, and are accepted."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def narrow(self, bytes_per_s: float | None) -> None:
        """So much passes, of all connections and both directions together; None for as much as comes."""
        self._bytes_per_s = bytes_per_s

    def __enter__(self) -> Valve:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()

    # --- in its thread ----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as connections:
            server = await asyncio.start_server(
                lambda reader, writer: _keep(connections.create_task(self._forward(reader, writer))), sock=self._socket, limit=_BUFFER_BYTES
            )
            await self._stopped.wait()
            server.close()
            await server.wait_closed()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    async def _forward(self, near: asyncio.StreamReader, near_end: asyncio.StreamWriter) -> None:
        upstream = socket.socket()
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        upstream.setblocking(False)
        await self._loop.sock_connect(upstream, self._upstream)
        far, far_end = await asyncio.open_connection(sock=upstream, limit=_BUFFER_BYTES)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pump(near, far_end))
                directions.create_task(self._pump(far, near_end))
        finally:
            _cut(near_end)
            _cut(far_end)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(_BUFFER_BYTES):
                await self._open.wait()
                await self._wait_for_turn(len(piece))
                sink.write(piece)
                await sink.drain()
        except ConnectionError:
            _cut(sink)
        else:
            sink.close()  # The other direction then ends, too: HTTP has no use for half a connection.

    async def _wait_for_turn(self, size_bytes: int) -> None:
        if self._bytes_per_s is None:
            return
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + size_bytes / self._bytes_per_s
        await asyncio.sleep(self._free_at - now)


def _cut(end: asyncio.StreamWriter) -> None:
    if not end.transport.is_closing():  # asyncio cannot abort what is lost already.
        end.transport.abort()


def _keep(_: asyncio.Task[None]) -> None:
    """The group keeps it; a server wants nothing of its callback."""
