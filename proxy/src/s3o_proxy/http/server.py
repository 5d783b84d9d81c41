"""The listening server: uvicorn hosts the protocol, this decides how it starts and how it ends.

The end: readiness says no → `shutdown_delay` for load balancers to notice → no new connections → requests in flight finish, at most
`shutdown_grace` → what is left is cancelled, and its connections are cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import Receive, Scope, Send

from s3o_proxy.config.certificates import load_key_pair
from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.http.accept import Acceptor, Tally
from s3o_proxy.http.health import Readiness
from s3o_proxy.http.protocol import Edge, S3Protocol

_CLEAN_UP_S = 10.0
"""What cancelled requests may take to record how they ended."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Server(uvicorn.Server):
    """`await serve(sockets=[…])` until `stop()`; signals are the caller's business. A second `stop()` waits for nobody."""

    def __init__(self, edge: Edge, readiness: Readiness, tls: ssl.SSLContext | None = None, tally: Tally | None = None) -> None:
        """`tally`: where other processes share the listening socket."""
        protocol = _bind(edge) if tally is None else _bind_counted(edge, tally)
        super().__init__(
            uvicorn.Config(
                _no_asgi,
                http=protocol,
                loop="none",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            )
        )
        self._edge, self._readiness, self._tls, self._tally, self._protocol = edge, readiness, tls, tally, protocol
        self._stopped, self._hurried = asyncio.Event(), asyncio.Event()

    def stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            self._hurried.set()
        self.should_exit = True
        self._stopped.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._tally is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listener in sockets or ():
            # uvicorn asks a server to close, and waits until it has: no more.
            self.servers.append(Acceptor(listener, self._make_protocol, self._tls, self._tally))  # type: ignore[arg-type]  # uvicorn calls close() and wait_closed()

    def _make_protocol(self) -> asyncio.Protocol:
        return self._protocol(server_state=self.server_state)

    async def main_loop(self) -> None:
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._readiness.stop()
        limits = self._edge.limits()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), limits.shutdown_delay_ms / 1000)
        self.config.timeout_graceful_shutdown = -(-limits.shutdown_grace_ms // 1000)
        await super().shutdown(sockets)
        await self._cut_what_is_left()

    async def _cut_what_is_left(self) -> None:
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLEAN_UP_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_tls(snapshot: Snapshot) -> ssl.SSLContext | None:
    """The context that spec.server.tls describes, or None for plain HTTP. Raises ssl.SSLError."""
    if snapshot.server.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    renew_tls(context, snapshot)
    return context


def renew_tls(context: ssl.SSLContext, snapshot: Snapshot) -> None:
    """Serve with the snapshot's certificate from the next handshake on. Raises ssl.SSLError; the context is then as it was."""
    tls = snapshot.server.tls
    if tls is not None:
        load_key_pair(context, snapshot.secret(tls.certificate), snapshot.secret(tls.private_key))
        context.minimum_version = _VERSIONS[tls.min_version]


def _bind(edge: Edge) -> type[S3Protocol]:
    return type("BoundS3Protocol", (S3Protocol,), {"edge": edge})


def _bind_counted(edge: Edge, tally: Tally) -> type[S3Protocol]:
    class CountedS3Protocol(S3Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            tally.left()

    CountedS3Protocol.edge = edge
    return CountedS3Protocol


async def _no_asgi(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("uvicorn hosts the protocol alone; ASGI is served behind it")
