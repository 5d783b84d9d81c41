"""Servers made of a few lines, for what no real server does on request: answer early, stall, close in the middle, send garbage."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[["Peer"], Awaitable[None]]


@dataclass
class Peer:
    """One connection. `closed_by_client` is set when the client ended or reset it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> Head:
        """The next request's head. Raises asyncio.IncompleteReadError when the client goes away instead."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        start, *lines = text.rstrip().split("\r\n")
        method, target, _ = start.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return Head(method, target, headers)

    async def request(self) -> tuple[Head, bytes]:
        head = await self.head()
        return head, await self.reader.readexactly(int(head.headers.get("content-length", "0")))

    async def answer(self, status: str, content: bytes = b"", *, length: int | None = None, **headers: str) -> None:
        fields = {"Content-Length": str(len(content) if length is None else length), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + content)
        await self.writer.drain()

    async def fail(self, status: str, code: str) -> None:
        await self.answer(status, f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode())

    async def read_to_end(self) -> int:
        """How many bytes still came before the client ended or reset the connection."""
        received = 0
        try:
            while piece := await self.reader.read(65536):
                received += len(piece)
        except ConnectionError:
            pass
        return received


@dataclass
class Head:
    method: str
    target: str
    headers: dict[str, str]


@dataclass
class Server:
    """`connections` counts those that were accepted; `handled` holds the handlers, to be awaited for their end."""

    url: str = ""
    connections: int = 0
    handled: list[asyncio.Task[None]] = field(default_factory=list)

    async def finished(self) -> None:
        """Wait for all handlers; what one raised is raised."""
        for task in self.handled:
            await task


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve `handler` on a free port. It is cancelled where it still runs in the end."""
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            await handler(Peer(reader, writer))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.handled.append(asyncio.create_task(handle(reader, writer)))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listening.close()
        for task in server.handled:
            task.cancel()
        if server.handled:
            await asyncio.wait(server.handled)
        await listening.wait_closed()
