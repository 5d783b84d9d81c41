"""Clients of raw bytes, the edge, the guard, our own client, and servers of raw bytes: all that a large body passes through."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.support.certificates import Certificate
from tests.support.edge import HOST, HandlerEdge
from tests.support.edge import serving as serving_edge
from tests.support.seaweedfs import Endpoint
from tests.support.tcp import Handler, Peer, Server
from tests.support.tcp import serving as serving_peers

from s3o_crds.compiled import ServerConfig
from s3o_proxy.backends.guarded import Call, Guarded
from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.backends.wire.backend import WireBackend
from s3o_proxy.http.exchange import Exchange

CONTENT = Random(1).randbytes(4 * 1024 * 1024)


def get(path: str = "/key") -> bytes:
    return b"GET %s HTTP/1.1\r\n" % path.encode() + HOST + b"\r\n"


def head_of(size_bytes: int) -> bytes:
    return b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n' % size_bytes


def stores(content: bytes, *, surplus: bytes = b"") -> Handler:
    """A server whose every object is `content`."""

    async def answer(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.writer.write(head_of(len(content)) + content + surplus)
            await peer.writer.drain()

    return answer


async def pass_on(exchange: Exchange, size_bytes: int, body: AsyncIterable[bytes]) -> None:
    await exchange.pass_on(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % size_bytes, size_bytes, body)


@dataclass
class Relay:
    """`calls`, `exchanges` and `errors`: of each request that was answered, or was not."""

    upstream: Server
    guarded: Guarded
    calls: list[Call]
    exchanges: list[Exchange] = field(default_factory=list)
    port: int = 0
    errors: list[BaseException] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request is, whether it was answered or not."""
    stop: Callable[[], None] = lambda: None

    async def serve(self, exchange: Exchange) -> None:
        try:
            async with self.guarded.get(exchange.head.target.decode()[1:]) as found:
                await pass_on(exchange, found.size_bytes, found.body)
        except BaseException as error:
            self.errors.append(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self.exchanges.append(exchange)
            self.over.set()


@asynccontextmanager
async def relayed(
    handler: Handler,
    *,
    backend_stall_ms: int = 5000,
    certificate: Certificate | None = None,
    tls: ssl.SSLContext | None = None,
    **limits: Any,
) -> AsyncIterator[Relay]:
    """`certificate`: of the backend, where it speaks TLS; `tls`: where we do. `limits`: of clients."""
    async with serving_peers(handler, certificate.server_context() if certificate else None) as upstream:
        backend = await _opened(upstream.url, certificate)
        calls: list[Call] = []
        guarded = Guarded(backend, request_timeout_ms=5000, stall_timeout_ms=backend_stall_ms, on_call=calls.append)
        relay = Relay(upstream, guarded, calls)
        try:
            async with serving_edge(HandlerEdge(relay.serve, ServerConfig(**limits)), tls) as served:
                relay.port, relay.stop = served.port, served.server.stop
                yield relay
        finally:
            await guarded.close()
            await asyncio.sleep(0)


async def _opened(url: str, certificate: Certificate | None) -> S3Backend:
    endpoint = Endpoint(url, "bucket")
    config = endpoint.config("b1", ca="ca" if certificate else "")
    return await WireBackend.open(config, {**endpoint.secrets, "ca": certificate.pem if certificate else ""})


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
