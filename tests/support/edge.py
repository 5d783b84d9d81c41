"""The edge on a free port of this machine, and a client that speaks the wire's bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from s3o_crds.compiled import ServerConfig
from s3o_proxy.http.exchange import Exchange
from s3o_proxy.http.health import Readiness
from s3o_proxy.http.listen import listen
from s3o_proxy.http.protocol import Edge
from s3o_proxy.http.server import Server

Handler = Callable[[Exchange], Awaitable[None]]

HOST = b"host: localhost\r\n"


def answer_ok(exchange: Exchange, body: bytes) -> None:
    exchange.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body), body)


async def echo(exchange: Exchange) -> None:
    """Answers with the request line and the body; a refused request with its code."""
    if exchange.refusal is not None:
        body = exchange.refusal.code.encode()
        exchange.answer(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n" % (exchange.refusal.status, len(body)), body)
        return
    pieces = [b"%s %b " % (exchange.head.method.encode(), exchange.head.target)]
    while piece := await exchange.receive():
        pieces.append(piece)
    answer_ok(exchange, b"".join(pieces))


class HandlerEdge:
    """An endpoint that is one function, to look at the connection alone."""

    def __init__(self, handler: Handler, limits: ServerConfig | None = None) -> None:
        self._handler, self._limits = handler, limits or ServerConfig()

    def limits(self) -> ServerConfig:
        return self._limits

    async def serve(self, exchange: Exchange) -> None:
        await self._handler(exchange)


async def always_ready() -> bool:
    return True


@dataclass
class Served:
    port: int
    server: Server
    running: asyncio.Task[None]


@asynccontextmanager
async def serving(edge: Edge, tls: ssl.SSLContext | None = None, readiness: Readiness | None = None) -> AsyncIterator[Served]:
    server = Server(edge, readiness or Readiness(always_ready), tls)
    listener = listen("127.0.0.1:0")
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield Served(listener.getsockname()[1], server, running)
    finally:
        server.stop()
        server.stop()
        await running


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class WireClient:
    """One connection. `send` writes bytes as they are, `response` reads one answer (a 1xx counts as one)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, bodiless: bool = False) -> Response:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        bodiless = bodiless or status < 200 or status in (204, 304)
        body = b"" if bodiless else await self.reader.readexactly(int(headers["content-length"]))
        return Response(status, headers, body)

    async def ask(self, data: bytes) -> Response:
        self.send(data)
        return await self.response()

    async def is_closed(self) -> bool:
        """Waits for the end of the connection; nothing may come before it."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(port: int, *, receive_buffer_bytes: int | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireClient]:
    connection = socket.socket()
    if receive_buffer_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    name = "localhost" if tls is not None else None
    reader, writer = await asyncio.open_connection(sock=connection, ssl=tls, server_hostname=name, limit=1024 * 1024)
    try:
        yield WireClient(reader, writer)
    finally:
        writer.transport.abort()


async def send_all(client: WireClient, size: int) -> None:
    piece = bytes(1024 * 1024)
    for _ in range(size // len(piece)):
        client.send(piece)
        await client.writer.drain()
