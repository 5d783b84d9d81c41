"""Bodies go at the pace of the slower side, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.support.pooled import OK, REQUEST, pooled
from tests.support.tcp import Peer

from s3o_proxy.backends.wire.answer import Answer

MIB = 1024 * 1024


async def test_an_answer_that_nobody_reads_is_not_taken_from_the_network() -> None:
    size = 64 * MIB

    async def flood(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(64):
            peer.writer.write(bytes(MIB))
            await peer.writer.drain()

    async with pooled(flood) as (_, pool):
        answer: Answer = await (await pool.take()).ask(REQUEST)
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert answer.buffered_bytes <= MIB
        received = 0
        while piece := await answer.receive():
            assert len(piece) <= 256 * 1024
            received += len(piece)
        assert (received, answer.complete) == (size, True)


async def test_a_body_is_pulled_as_the_server_takes_it() -> None:
    pulled: list[int] = []
    go = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            pulled.append(MIB)
            yield bytes(MIB)

    async def slow(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        await peer.reader.readexactly(64 * MIB)
        peer.writer.write(OK)

    async with pooled(slow) as (_, pool):
        head = b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (64 * MIB)
        putting = asyncio.create_task((await pool.take()).ask_with_body(head, endless()))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert 0 < sum(pulled) < 32 * MIB
        go.set()
        answer = await putting
        assert not answer.early
