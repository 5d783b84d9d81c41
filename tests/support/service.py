"""One address in front of several proxies, as a Kubernetes Service is: a new connection goes to one that is ready, and stays there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from types import TracebackType

import httpx
from tests.support.proxy import Proxy, wait_until

_LOOK_S = 0.2
"""How often readiness is asked for, as the kubelet and the endpoints' controller do, in seconds."""


class Service:
    """Forwards connections to `members` that say that they are ready; clients reach it at `url`."""

    def __init__(self) -> None:
        self.members: list[Proxy] = []
        self._ready: list[Proxy] = []
        self._turn = itertools.count()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def add(self, proxy: Proxy) -> None:
        """Returns when connections may go to it."""
        self.members.append(proxy)
        wait_until(lambda: proxy in self._ready, "the new proxy is not ready")

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._forward, sock=self._socket)
        looking = asyncio.create_task(self._look())
        await self._stopped.wait()
        looking.cancel()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _look(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            while True:
                answers = [(proxy, await _status(client, proxy)) for proxy in list(self.members)]
                self._ready = [proxy for proxy, status in answers if status == 200]
                await asyncio.sleep(_LOOK_S)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = self._ready
        try:
            there = await asyncio.open_connection("127.0.0.1", ready[next(self._turn) % len(ready)].port)
        except (OSError, ZeroDivisionError):
            writer.close()  # As a Service without an endpoint refuses.
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, there[1]))
            both.create_task(_pump(there[0], writer))


async def _status(client: httpx.AsyncClient, proxy: Proxy) -> int:
    try:
        return (await client.get(f"{proxy.endpoint}/health/ready")).status_code
    except httpx.TransportError:
        return 0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(64 * 1024):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
