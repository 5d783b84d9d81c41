"""The lease is renewed by the database's time; a machine that shows another one is told of."""

from __future__ import annotations

import logging

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.lease import LEASE_MS, OwnLease
from s3o_proxy.domain.ledger_clock import LedgerClock
from s3o_proxy.workers.hold_lease import HoldLease, instance_lease


def a_machine(stage: Stage, instance: str, clock: LedgerClock, *, ahead_ms: int) -> HoldLease:
    return HoldLease(stage.metadata, instance, clock, OwnLease(lambda: stage.ticks_ms), lambda: stage.now_ms + ahead_ms, stage)


async def test_the_lease_lasts_by_the_clock_of_the_database(stage: Stage) -> None:
    clock = LedgerClock(stage.tell_time, lambda: stage.ticks_ms)
    await a_machine(stage, "other", clock, ahead_ms=-3_600_000).run_once()
    assert not await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms + LEASE_MS - 1, 1)
    assert await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms + LEASE_MS, 1)


async def test_without_the_database_s_time_no_lease_is_written(stage: Stage) -> None:
    async def away() -> int:
        raise MetadataUnavailable("away")

    with pytest.raises(MetadataUnavailable):
        await a_machine(stage, "other", LedgerClock(away, stage.clock), ahead_ms=0).run_once()
    assert await stage.metadata.acquire_lease(instance_lease("other"), "stranger", stage.now_ms, 1)


async def test_a_clock_that_is_off_is_told_of_once_for_each_change(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    told = []
    stage.skews_s.clear()
    wall_ms = 0
    worker = HoldLease(stage.metadata, "other", stage.ledger_clock, stage.lease, lambda: wall_ms, stage)
    with caplog.at_level(logging.INFO):
        for ahead_ms in (0, 4_900, 60_000, 60_100, -7_000, 1_000):
            wall_ms = stage.now_ms + ahead_ms
            await worker.run_once()
            await worker.run_once()
            told.append([record.getMessage() for record in caplog.records])
            caplog.clear()
    assert told == [
        [],
        [],
        ["the clock of this machine is 60.0 s ahead of that of the database; one of them is wrong"],
        [],
        ["the clock of this machine is 7.0 s behind that of the database; one of them is wrong"],
        ["the clock of this machine and that of the database agree again"],
    ]
    assert stage.skews_s == [0, 0, 4.9, 4.9, 60, 60, 60.1, 60.1, -7, -7, 1, 1]
