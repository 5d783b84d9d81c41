"""Intents of the dead become cleanup rows; those of the living are left alone."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from tests.support.stories import COPY_SETTLES_MS, PUT_SETTLES_MS, BytesBody, Stage

from s3o_proxy.domain.lease import LEASE_MS, OwnLease
from s3o_proxy.domain.ledger_clock import LedgerClock
from s3o_proxy.domain.patience import Making
from s3o_proxy.s3.operation import CopyObject, CopySource, Operation, PutObject
from s3o_proxy.workers.hold_lease import HoldLease, instance_lease
from s3o_proxy.workers.reap_intents import ReapIntents

WRITES: dict[Making, Operation] = {
    "PutObject": PutObject("photos", "k"),
    "CopyObject": CopyObject("photos", "k", CopySource("photos", "source")),
}


async def _write_and_die(stage: Stage, making: Making = "PutObject", *, before: Literal["received", "done"] = "done") -> None:
    """The process is gone while the backend works for it, or before it can commit what arrived."""
    if making == "CopyObject":
        await stage.perform(PutObject("photos", "source"), b"data")
    stall = stage.backends["first"].stall("put" if making == "PutObject" else "copy", at=before)
    writing = asyncio.create_task(stage.perform(WRITES[making], b"data"))
    await stall.reached.wait()
    abandon, stage.metadata.abandon_write = stage.metadata.abandon_write, _dead  # type: ignore[method-assign, assignment]  # dead men record nothing
    writing.cancel()
    await asyncio.wait({writing})
    stage.metadata.abandon_write = abandon  # type: ignore[method-assign]  # as it was


async def _dead(*_: object) -> None:
    return None


async def test_the_bytes_of_a_dead_process_are_cleaned_up(stage: Stage) -> None:
    await _write_and_die(stage)
    assert len(stage.backends["first"].objects) == 1
    assert await stage.audit() == [], "the intent mentions them"
    stage.now_ms += LEASE_MS + 1
    assert (await stage.reap_intents().run_once()).done == 1
    assert await stage.audit() == [], "the cleanup row mentions them"
    stage.now_ms += PUT_SETTLES_MS
    await stage.clean_up().run_once()
    assert stage.backends["first"].objects == {}
    assert (await stage.used()).held_bytes == 0


@pytest.mark.parametrize(("making", "settles_ms"), [("PutObject", PUT_SETTLES_MS), ("CopyObject", COPY_SETTLES_MS)])
async def test_what_a_backend_makes_after_the_death_of_who_asked_is_cleaned_up_too(stage: Stage, making: Making, settles_ms: int) -> None:
    """A provider that is still at it: deleted at once, its object would come later, and no row would mention it (I2)."""
    await _write_and_die(stage, making, before="received")
    (late,) = [each.storage_key async for each in stage.metadata.mentions("first") if each.kind == "intent"]
    stage.now_ms += LEASE_MS + 1
    assert (await stage.reap_intents().run_once()).done == 1
    stage.now_ms += settles_ms - 1
    assert (await stage.clean_up().run_once()).done == 0
    await stage.backends["first"].put(late, BytesBody(b"data"), 4)
    assert await stage.audit() == []
    stage.now_ms += 1
    await stage.clean_up().run_once()
    assert late not in stage.backends["first"].objects


async def test_a_living_process_is_left_alone_however_long_it_writes(stage: Stage) -> None:
    stall = stage.backends["first"].stall("put")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    for _ in range(20):
        stage.now_ms += LEASE_MS // 2
        await stage.hold_lease()
        assert (await stage.reap_intents().run_once()).done == 0
    stall.release()
    await writing


async def test_nobody_is_taken_for_dead_before_the_living_could_renew_their_leases(stage: Stage) -> None:
    """All leases end while the database is away: the first one back must not take all others for dead, nor itself."""
    stall = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    stage.now_ms += 10 * LEASE_MS
    stage.ticks_ms += 10 * LEASE_MS
    assert (await stage.reap_intents().run_once()).done == 0, "it could not renew its own"
    await stage.lease_of("another").run_once()
    assert (await stage.reap_intents().run_once()).done == 0, "it is back, the others may not be"
    await stage.hold_lease_for_long()
    assert (await stage.reap_intents().run_once()).done == 0, "by now they are"
    stall.release()
    await writing


@pytest.mark.parametrize("by_ms", [-10 * LEASE_MS, 10 * LEASE_MS])
async def test_nobody_is_taken_for_dead_because_the_clock_of_the_database_was_set(stage: Stage, by_ms: int) -> None:
    """The database is another machine now, say. Who asked before the others did goes by its time, and so do they soon."""
    set_by_ms = 0

    async def tell_time() -> int:
        return stage.now_ms + set_by_ms

    mine, another = LedgerClock(tell_time, stage.clock), LedgerClock(tell_time, stage.clock)
    reaper = ReapIntents(stage.metadata, stage.forsaken, "another", stage.lease, another, stage.wake)
    living = HoldLease(stage.metadata, stage.instance, mine, OwnLease(stage.clock), stage.clock, stage)
    judging = HoldLease(stage.metadata, "another", another, stage.lease, stage.clock, stage)

    async def both_renew(rounds: int) -> None:
        for _ in range(rounds):
            await living.run_once()
            await judging.run_once()
            stage.ticks_ms += LEASE_MS // 6
            stage.now_ms += LEASE_MS // 6

    stall = stage.backends["first"].stall("put", at="received")
    await both_renew(7)
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    set_by_ms = by_ms
    assert (await reaper.run_once()).done == 0, "the living did not know that yet"
    await living.run_once()
    assert (await reaper.run_once()).done == 0, "the living did"
    await both_renew(7)
    assert (await reaper.run_once()).done == 0
    stall.release()
    await writing


async def test_who_does_not_know_yet_that_the_clock_of_the_database_was_set_asks_before_he_judges(stage: Stage) -> None:
    set_by_ms = 0

    async def tell_time() -> int:
        return stage.now_ms + set_by_ms

    another = LedgerClock(tell_time, stage.clock)
    await another.set()
    stage.now_ms += LEASE_MS
    await stage.hold_lease()
    reaper = ReapIntents(stage.metadata, stage.forsaken, "another", stage.lease, another, stage.wake)
    stall = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    set_by_ms = -LEASE_MS
    await stage.metadata.acquire_lease(instance_lease(stage.instance), stage.instance, await tell_time(), LEASE_MS)
    assert another.steady_ms() >= LEASE_MS
    assert (await reaper.run_once()).done == 0
    stall.release()
    await writing


async def test_a_process_never_reaps_itself(stage: Stage) -> None:
    stall = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    stage.now_ms += 10 * LEASE_MS
    assert (await stage.reap_intents(stage.instance).run_once()).done == 0
    stall.release()
    await writing


async def test_a_process_that_ends_in_order_gives_its_lease_back(stage: Stage) -> None:
    await stage.lease_of("other").run_once()
    assert not await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms, 1)
    await stage.metadata.release_lease(instance_lease("other"), "other")
    assert await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms, 1)
