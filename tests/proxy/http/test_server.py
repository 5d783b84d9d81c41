"""How the server begins and ends, and what it holds in memory between."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.support.dictionary import BUCKET, TOKEN, Dictionary, dictionary
from tests.support.edge import HandlerEdge, Served, WireClient, connected, serving
from tests.support.manifests import self_signed_certificate

from s3o_crds.compiled import FleetConfig, ServerConfig, TLSConfig
from s3o_proxy.config.snapshot import Credential, Snapshot, take_snapshot
from s3o_proxy.domain.model import Digests
from s3o_proxy.http.exchange import Exchange
from s3o_proxy.http.listen import listen
from s3o_proxy.http.server import make_tls, renew_tls
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.body import Body

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
READY = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Slow:
    """A handler that answers when it is told to, and says what became of it."""

    def __init__(self) -> None:
        self.started, self.go, self.cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # What a story does to record how it ended.
            self.cleaned.set()
            raise
        exchange.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n", b"done")


async def refuses_connections(served: Served) -> None:
    """Returns when nobody listens any more."""
    while True:
        try:
            async with connected(served.port):
                await asyncio.sleep(0.01)
        except ConnectionRefusedError:
            return


async def says_not_ready(client: WireClient) -> None:
    """Returns when readiness says no."""
    while True:
        if (await client.ask(READY)).status == 503:
            return


async def test_a_request_in_flight_finishes_and_nobody_else_comes_in() -> None:
    slow = Slow()
    async with serving(HandlerEdge(slow)) as served, connected(served.port) as busy, connected(served.port) as idle:
        busy.send(GET)
        await slow.started.wait()
        served.server.stop()
        await asyncio.wait_for(refuses_connections(served), 8)
        assert await idle.is_closed()
        slow.go.set()
        response = await busy.response()
        assert (response.body, response.headers["connection"]) == (b"done", "close")
        assert await busy.is_closed()
        await asyncio.wait_for(served.running, 8)


async def test_it_does_not_end_before_a_slow_client_has_taken_all() -> None:
    """What the kernel still holds is lost with the network of a container: the end of a process is not the end of a transfer."""
    body = bytes(400_000)
    answered = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        exchange.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body), body)
        answered.set()

    async with serving(HandlerEdge(answer)) as served:
        with socket.socket() as client:
            # It takes a little, and the kernel has room for the rest: to the server, all is written.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", served.port))
            await loop.sock_sendall(client, GET)
            await answered.wait()
            served.server.stop()
            done, _ = await asyncio.wait({served.running}, timeout=0.7)
            assert not done, "bytes that nobody has taken were left behind"
            received = bytearray()
            while piece := await loop.sock_recv(client, 65536):
                received += piece
            assert received.endswith(body)
        async with asyncio.timeout(5):
            await served.running


async def test_a_request_that_takes_longer_than_the_grace_is_cancelled_and_its_client_cut() -> None:
    slow = Slow()
    async with serving(HandlerEdge(slow, ServerConfig(shutdown_grace_ms=1))) as served, connected(served.port) as client:
        client.send(GET)
        await slow.started.wait()
        served.server.stop()
        await asyncio.wait_for(served.running, 5)
        assert slow.cleaned.is_set()
        assert await client.is_closed()


async def test_whoever_stops_twice_waits_for_nobody() -> None:
    slow = Slow()
    limits = ServerConfig(shutdown_delay_ms=60_000, shutdown_grace_ms=60_000)
    async with serving(HandlerEdge(slow, limits)) as served, connected(served.port) as client:
        client.send(GET)
        await slow.started.wait()
        served.server.stop()
        served.server.stop()
        await asyncio.wait_for(served.running, 5)
        assert slow.cleaned.is_set()


async def test_readiness_says_no_before_the_listener_closes() -> None:
    application = Dictionary(ServerConfig(shutdown_delay_ms=400))
    async with dictionary(application) as (served, _), connected(served.port) as before:
        assert (await before.ask(READY)).status == 200
        served.server.stop()
        async with connected(served.port) as during:
            await says_not_ready(during)
            listing = f"GET /{BUCKET}?list-type=2 HTTP/1.1\r\nhost: localhost\r\nx-proxy-token: {TOKEN}\r\n\r\n".encode()
            assert (await during.ask(listing)).status == 200
        await asyncio.wait_for(served.running, 5)


async def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    with listen("127.0.0.1:0") as first, pytest.raises(OSError, match="in use"):
        listen(f"127.0.0.1:{first.getsockname()[1]}")


async def test_ipv6_addresses_are_listened_on() -> None:
    with listen("[::1]:0") as listener:
        assert listener.family is socket.AF_INET6


# --- TLS -----------------------------------------------------------------------------------------------------------------------------


def snapshot_with(pair: tuple[Path, Path], min_version: str) -> Snapshot:
    tls = TLSConfig.model_validate({"certificate": "ns/tls/crt", "privateKey": "ns/tls/key", "minVersion": min_version})
    return take_snapshot(
        FleetConfig(name="test", server=ServerConfig(tls=tls)), {"ns/tls/crt": pair[0].read_text(), "ns/tls/key": pair[1].read_text()}
    )


async def test_a_renewed_certificate_serves_the_next_handshake(tmp_path: Path) -> None:
    pairs = [self_signed_certificate(_folder(tmp_path, name)) for name in ("old", "new")]
    first = snapshot_with(pairs[0], "1.2")
    context = make_tls(first)
    assert context is not None

    async def peer_certificate(port: int) -> bytes:
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        anybody.maximum_version = context.minimum_version
        async with connected(port, tls=anybody) as client:
            session = client.writer.get_extra_info("ssl_object")
            assert isinstance(session, ssl.SSLObject)
            return session.getpeercert(binary_form=True) or b""

    async with dictionary(tls=context) as (served, _):
        seen = [await peer_certificate(served.port)]
        renew_tls(context, snapshot_with(pairs[1], "1.3"))
        seen.append(await peer_certificate(served.port))
    assert seen == [ssl.PEM_cert_to_DER_cert(certificate.read_text()) for certificate, _ in pairs]
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


# --- memory --------------------------------------------------------------------------------------------------------------------------

SIZE = 256 * 1024 * 1024
PIECE = bytes(256 * 1024)


class Endless(Dictionary):
    """Takes what it is given without keeping it, and gives SIZE bytes for any key."""

    async def _read(self, body: Body) -> bytes:
        self.taken_bytes = 0
        async for piece in body:
            self.taken_bytes += len(piece)
            await asyncio.sleep(0)
        return b""

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        if isinstance(operation, ops.GetObject):
            put = ops.PutObject(operation.bucket, operation.key)
            self._store(put.bucket, put.key, "0" * 32, Digests("AAAAAAAAAAA="), b"", put)
            found = self.objects[operation.key][0]
            object.__setattr__(found, "size_bytes", SIZE)
            return ops.ObjectRead(found, None, self._open_all())
        return await super().perform(credential, operation, body)

    @asynccontextmanager
    async def _open_all(self) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(SIZE // len(PIECE)):
                yield bytes(PIECE)

        yield pieces()


async def grown_bytes(work: asyncio.Task[None]) -> int:
    """How much more memory this process held at most while `work` ran."""
    gc.collect()
    process = psutil.Process()
    before = most = process.memory_info().rss
    while not work.done():
        await asyncio.sleep(0.02)
        most = max(most, process.memory_info().rss)
    await work
    return most - before


@pytest.mark.parametrize("framed", [False, True])
async def test_a_body_of_any_size_passes_through_little_memory(framed: bool) -> None:
    head = f"PUT /{BUCKET}/key HTTP/1.1\r\nhost: localhost\r\nx-proxy-token: {TOKEN}\r\n"
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if framed else PIECE
    if framed:
        head += f"x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-decoded-content-length: {SIZE}\r\n"
        head += f"content-length: {SIZE // len(PIECE) * len(piece) + 5}\r\n\r\n"
    else:
        head += f"content-length: {SIZE}\r\n\r\n"

    async with dictionary(Endless()) as (served, edge), connected(served.port) as client:

        async def put() -> None:
            client.send(head.encode())
            for _ in range(SIZE // len(PIECE)):
                client.send(piece)
                await client.writer.drain()
            assert (await client.ask(b"0\r\n\r\n" if framed else b"")).status == 200

        assert await grown_bytes(asyncio.create_task(put())) < 32 * 1024 * 1024
        assert edge.application.taken_bytes == SIZE


async def test_an_answer_of_any_size_passes_through_little_memory() -> None:
    async with dictionary(Endless()) as (served, _), connected(served.port) as client:

        async def get() -> None:
            client.send(f"GET /{BUCKET}/key HTTP/1.1\r\nhost: localhost\r\nx-proxy-token: {TOKEN}\r\n\r\n".encode())
            await client.reader.readuntil(b"\r\n\r\n")
            for _ in range(SIZE // len(PIECE)):
                await client.reader.readexactly(len(PIECE))

        assert await grown_bytes(asyncio.create_task(get())) < 32 * 1024 * 1024
