"""Servers that answer as told, and pools of connections to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.tcp import Handler, Peer, Server, serving

from s3o_proxy.backends.wire.address import Address
from s3o_proxy.backends.wire.dialer import Dialer
from s3o_proxy.backends.wire.pool import Pool

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def pooled(
    handler: Handler, *, connect_timeout_s: float = 5, max_connections: int = 10, idle_s: float = 12, sweep_s: float = 3
) -> AsyncIterator[tuple[Server, Pool]]:
    async with serving(handler) as server:
        dial = Dialer(Address.of(server.url + "/key", "key"), None).dial
        pool = Pool(dial, connect_timeout_s, max_connections=max_connections, idle_s=idle_s, sweep_s=sweep_s)
        try:
            yield server, pool
        finally:
            pool.close()
            await asyncio.sleep(0)


def sends(*pieces: bytes, closes: bool = False) -> Handler:
    """A server that answers each request with these pieces, one after the other."""

    async def send(peer: Peer) -> None:
        while True:
            await peer.request()
            for piece in pieces:
                peer.writer.write(piece)
                await peer.writer.drain()
                await asyncio.sleep(0.001)
            if closes:
                return

    return send


async def ask(pool: Pool, *, asks_for_head: bool = False) -> tuple[int, bytes]:
    connection = await pool.take()
    answer = await connection.ask(REQUEST, asks_for_head=asks_for_head)
    try:
        return answer.status, await answer.read(10 * 1024 * 1024)
    finally:
        answer.leave()
