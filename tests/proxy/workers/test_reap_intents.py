"""Intents of the dead become cleanup rows; those of the living are left alone."""

from __future__ import annotations

import asyncio

from tests.support.stories import Stage

from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.s3.operation import PutObject
from s3o_proxy.workers.hold_lease import HoldLease, instance_lease


async def _write_and_die(stage: Stage) -> None:
    """Bytes arrive, and the process is gone before it can commit."""
    stall = stage.backends["first"].stall("put", at="done")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
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
    await stage.clean_up().run_once()
    assert stage.backends["first"].objects == {}
    assert (await stage.used()).held_bytes == 0


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
    await HoldLease(stage.metadata, "another", stage.clock, stage.lease).run_once()
    assert (await stage.reap_intents().run_once()).done == 0, "it is back, the others may not be"
    await stage.hold_lease_for_long()
    assert (await stage.reap_intents().run_once()).done == 0, "by now they are"
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
    await HoldLease(stage.metadata, "other", stage.clock, stage.lease).run_once()
    assert not await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms, 1)
    await stage.metadata.release_lease(instance_lease("other"), "other")
    assert await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms, 1)
