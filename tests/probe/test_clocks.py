"""Machines whose clocks differ by a minute share a database: PostgreSQL's own clock says who is alive, what is due and what is claimed.

All clocks run here, so a lease is shorter than a product's, and is renewed as much more often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

import pytest
from tests.probe.databases import PostgresDatabase
from tests.probe.world import BUCKET, Site, World, two_shelves
from tests.support.postgres import PostgresServer

from s3o_proxy import proxy
from s3o_proxy.domain import lease
from s3o_proxy.s3.operation import DeleteObject, PutObject
from s3o_proxy.workers import hold_lease, reap_intents

T = TypeVar("T")

AHEAD_MS = 60_000
"""Twice a lease, and as long as a claim of a cleanup."""
LEASE_MS = 3_000

_AHEAD_MS: ContextVar[int] = ContextVar("ahead of the right time", default=0)


@pytest.fixture(autouse=True)
def clocks_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    right = proxy.wall_ms
    monkeypatch.setattr(proxy, "wall_ms", lambda: right() + _AHEAD_MS.get())
    for module in (lease, hold_lease, reap_intents):
        monkeypatch.setattr(module, "LEASE_MS", LEASE_MS)


class Machine:
    """Its process renews its lease until it dies, which is all that others ever see of that."""

    site: Site

    def __init__(self, world: World, ahead_ms: int) -> None:
        self._world = world
        self._context: Context = copy_context()
        self._context.run(_AHEAD_MS.set, ahead_ms)
        self._lives = True

    async def begin(self) -> None:
        self.site = await self.does(self._world.open())
        self._renewing = self.does(self._renew())

    def does(self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return asyncio.get_running_loop().create_task(what, context=self._context)

    async def works(self, name: str) -> None:
        assert await self.does(self.site.work(name))

    async def die(self) -> None:
        self._lives = False
        await self._renewing

    async def _renew(self) -> None:
        while self._lives:
            await self.site.work("hold_lease")
            await asyncio.sleep(LEASE_MS / 10_000)


@pytest.fixture
def world(postgres: PostgresServer) -> World:
    return World(PostgresDatabase(postgres.create_database()), *two_shelves(None))


@asynccontextmanager
async def machines(world: World, *ahead_ms: int) -> AsyncIterator[list[Machine]]:
    """They have renewed their leases for long enough to be sure who is dead."""
    begun = [Machine(world, each) for each in ahead_ms]
    for each in begun:
        await each.begin()
    await asyncio.sleep(1.2 * LEASE_MS / 1000)
    try:
        yield begun
    finally:
        for each in begun:
            await each.die()
            await each.site.close()
        await world.database.close()


async def test_neither_takes_the_other_for_dead(world: World) -> None:
    shelf = world.shelves["first"]
    async with machines(world, 0, AHEAD_MS) as both:
        stalls = [shelf.stall("put", nth=nth) for nth in (1, 2)]
        puts = [each.does(each.site.perform(PutObject(BUCKET, f"k{nth}"), b"data")) for nth, each in enumerate(both)]
        for stall in stalls:
            await stall.reached.wait()
        for _ in range(2):
            for each in both:
                await each.works("reap_intents")
            assert (await both[0].site.metadata.queue_depths())["intents"] == 2
            await asyncio.sleep(LEASE_MS / 2000)
        for stall in stalls:
            stall.release()
        for put in puts:
            await put


@pytest.mark.parametrize(("dead_ahead_ms", "judge_ahead_ms"), [(AHEAD_MS, 0), (0, AHEAD_MS)], ids=["ahead", "right"])
async def test_the_dead_are_reaped_when_their_lease_has_ended_and_not_before(world: World, dead_ahead_ms: int, judge_ahead_ms: int) -> None:
    stall = world.shelves["first"].stall("put")
    async with machines(world, dead_ahead_ms, judge_ahead_ms) as (mortal, judge):
        writing = mortal.does(mortal.site.perform(PutObject(BUCKET, "k"), b"data"))
        await stall.reached.wait()
        await mortal.die()
        died = time.monotonic()
        while (await judge.site.metadata.queue_depths())["intents"]:
            await judge.works("reap_intents")
            await asyncio.sleep(0.05)
            assert time.monotonic() - died < 5 * LEASE_MS / 1000, "it is dead, and not taken for dead"
        assert time.monotonic() - died > LEASE_MS / 2000, "it was taken for dead at once"
        writing.cancel()
        await asyncio.wait({writing})


@pytest.mark.parametrize("deletes", [0, 1], ids=["right", "ahead"])
async def test_what_one_cleans_up_is_due_at_once_and_left_alone_by_the_other(world: World, deletes: int) -> None:
    shelf = world.shelves["first"]
    async with machines(world, 0, AHEAD_MS) as both:
        right, ahead = both
        stall = shelf.stall("delete_many")
        await right.does(right.site.perform(PutObject(BUCKET, "k"), b"data"))
        await both[deletes].does(both[deletes].site.perform(DeleteObject(BUCKET, "k")))
        cleaning = right.does(right.site.work("clean_up"))
        await asyncio.wait_for(stall.reached.wait(), 5)
        await ahead.works("clean_up")
        assert [verb for verb, _ in shelf.calls].count("delete_many") == 1
        stall.release()
        assert await cleaning
        assert shelf.objects == {}
