"""Connections are kept while they are of use, and there are never too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.support.pooled import OK, REQUEST, ask, pooled, sends
from tests.support.tcp import Peer

from s3o_proxy.backends.wire.connection import Connection
from s3o_proxy.backends.wire.failures import ConnectionBrokeError, ConnectTimeoutError, NotConnectedError
from s3o_proxy.backends.wire.pool import Pool


async def test_the_connection_that_was_used_last_is_used_first() -> None:
    async with pooled(sends(OK)) as (_, pool):
        first, second = await pool.take(), await pool.take()
        for connection in (first, second):
            await connection.ask(REQUEST)
        assert await pool.take() is second
        assert await pool.take() is first


async def test_a_fresh_connection_is_a_new_one() -> None:
    async with pooled(sends(OK)) as (_, pool):
        used = await pool.take()
        await used.ask(REQUEST)
        fresh = await pool.take(fresh=True)
        assert fresh is not used
        assert (used.reused, fresh.reused) == (True, False)


async def test_idle_connections_are_closed_when_they_are_old() -> None:
    async with pooled(sends(OK), idle_s=0.05, sweep_s=0.01) as (server, pool):
        young, old = await pool.take(), await pool.take()
        await old.ask(REQUEST)
        for _ in range(10):
            await asyncio.sleep(0.02)
            await young.ask(REQUEST)
            assert await pool.take() is young
        assert not old.usable
        assert young.usable
        await young.ask(REQUEST)
        await server.finished()
        assert not young.usable


async def test_no_more_than_the_limit_and_who_waits_gets_what_comes_back() -> None:
    async with pooled(sends(OK), max_connections=2) as (server, pool):
        first, second = await pool.take(), await pool.take()
        waiting = [asyncio.create_task(pool.take()) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        await first.ask(REQUEST)
        assert await waiting[0] is first
        second.abort()
        third = await waiting[1]
        assert third not in (first, second)
        assert server.connections <= 3


async def test_who_waits_for_a_connection_and_leaves_passes_it_on() -> None:
    async with pooled(sends(OK), max_connections=1) as (_, pool):
        only = await pool.take()
        leaving, staying = asyncio.create_task(pool.take()), asyncio.create_task(pool.take())
        await asyncio.sleep(0.01)
        await only.ask(REQUEST)  # It is the turn of the first,
        leaving.cancel()  # who has not heard of it yet.
        assert await staying is only
        with pytest.raises(asyncio.CancelledError):
            await leaving


async def test_a_fresh_one_displaces_an_idle_one_at_the_limit() -> None:
    async with pooled(sends(OK), max_connections=1) as (_, pool):
        assert await ask(pool) == (200, b"ok")
        assert not (await pool.take(fresh=True)).reused


async def test_waiting_for_a_connection_is_bounded() -> None:
    async with pooled(sends(OK), max_connections=1, connect_timeout_s=0.05) as (_, pool):
        await pool.take()
        with pytest.raises(ConnectTimeoutError):
            await pool.take()


async def test_a_dial_that_takes_too_long_is_given_up_and_frees_its_place() -> None:
    async def never(_: Callable[[], Connection]) -> Connection:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    pool = Pool(never, 0.02, max_connections=1)
    for _ in range(2):
        with pytest.raises(ConnectTimeoutError, match=r"none within 0\.02 s"):
            await pool.take()
    pool.close()


async def test_closing_ends_every_connection_and_makes_no_new_one() -> None:
    asked = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.read_to_end()

    async with pooled(silent) as (server, pool):
        asking = asyncio.create_task(ask(pool))
        await asked.wait()
        pool.close()
        with pytest.raises(ConnectionBrokeError):
            await asking
        with pytest.raises(NotConnectedError, match="closed"):
            await pool.take()
        await server.finished()


async def test_a_connection_that_comes_back_after_the_end_is_closed() -> None:
    async with pooled(sends(OK)) as (_, pool):
        connection = await pool.take()
        pool.close()
        pool.give_back(connection)
        assert not connection.usable


async def test_what_was_taken_is_good_while_it_would_still_be_given_out() -> None:
    async with pooled(sends(OK), idle_s=0.05) as (_, pool):
        fresh = await pool.take()
        assert pool.is_good(fresh)
        await fresh.ask(REQUEST)
        connection = await pool.take()
        assert pool.is_good(connection)
        await asyncio.sleep(0.06)
        assert not pool.is_good(connection)
