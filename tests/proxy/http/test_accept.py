"""Of a socket that several share, each takes its part; one that does not come holds nobody up."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.manifests import self_signed_certificate

from s3o_proxy.http.accept import Acceptor
from s3o_proxy.http.listen import listen
from s3o_proxy.processes.tally import Tally, slots_bytes


class Counted(asyncio.Protocol):
    def __init__(self, taker: Taker) -> None:
        self._taker = taker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._taker.transports.append(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._taker.tally.left()


@dataclass
class Taker:
    """What one process would be."""

    tally: Tally
    transports: list[asyncio.BaseTransport] = field(default_factory=list)

    def take(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> Acceptor:
        return Acceptor(listener, lambda: Counted(self), tls, self.tally)


@asynccontextmanager
async def sharing(*, stuck: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, Taker, Taker]]:
    """Two that share a port. `stuck`: the second is counted as there, and takes nothing."""
    with tempfile.TemporaryFile() as shared, listen("127.0.0.1:0") as listener, listener.dup() as twin:
        shared.truncate(slots_bytes(2))
        one, two = (Taker(Tally(shared.fileno(), number)) for number in range(2))
        taking = [one.take(listener, tls)]
        if not stuck:
            taking.append(two.take(twin, tls))
        yield listener.getsockname()[1], one, two
        for acceptor in taking:
            acceptor.close()
        for transport in [*one.transports, *two.transports]:
            transport.close()
        await asyncio.sleep(0)


async def connect(port: int, count: int) -> list[asyncio.StreamWriter]:
    async with asyncio.TaskGroup() as group:
        opening = [group.create_task(asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    return [each.result()[1] for each in opening]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  it is asked of the subject, which has no event to wait for
            await asyncio.sleep(0.001)


def took(*takers: Taker) -> int:
    return sum(len(taker.transports) for taker in takers)


async def test_a_burst_is_shared_to_the_last_one() -> None:
    async with sharing() as (port, one, two):
        writers = await connect(port, 33)
        await until(lambda: took(one, two) == 33)
        assert abs(len(one.transports) - len(two.transports)) <= 2
        for writer in writers:
            writer.close()


async def test_one_that_lost_its_connections_gets_the_next() -> None:
    async with sharing() as (port, one, two):
        writers = await connect(port, 20)
        await until(lambda: took(one, two) == 20)
        for transport in two.transports:
            transport.close()
        before = len(two.transports)
        await until(one.tally.has_more_than_another)
        writers += await connect(port, 8)
        await until(lambda: took(one, two) == 28)
        assert len(two.transports) - before >= 6
        for writer in writers:
            writer.close()


async def test_one_that_takes_nothing_holds_nobody_up() -> None:
    async with sharing(stuck=True) as (port, one, two):
        writers = await connect(port, 10)
        await until(lambda: took(one) == 10)
        assert two.transports == []
        for writer in writers:
            writer.close()


async def test_who_does_not_shake_hands_is_not_counted(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*self_signed_certificate(tmp_path))
    async with sharing(stuck=True, tls=tls) as (port, one, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        await until(lambda: not one.tally.has_more_than_another())
        assert one.transports == []


async def test_a_closed_one_takes_nothing_more() -> None:
    with tempfile.TemporaryFile() as shared, listen("127.0.0.1:0") as listener:
        shared.truncate(slots_bytes(1))
        taker = Taker(Tally(shared.fileno(), 0))
        acceptor = taker.take(listener)
        acceptor.close()
        await acceptor.wait_closed()
        (writer,) = await connect(listener.getsockname()[1], 1)
        await asyncio.sleep(0.02)
        assert taker.transports == []
        writer.close()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_it_listens_where_it_is_told(address: str) -> None:
    with listen(address) as listener:
        assert f"[{listener.getsockname()[0]}]".replace("[127.0.0.1]", "127.0.0.1") == address.rpartition(":")[0]
