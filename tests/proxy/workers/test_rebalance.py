"""A rebalance moves what its plan says, never beyond a quota, and ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.stories import Stage, backend_config, open_stage

from s3o_proxy.domain.errors import BackendUnavailable
from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.operation import Operation, Wish
from s3o_proxy.s3.operation import GetObject, PutObject
from s3o_proxy.workers.operate import Operate
from s3o_proxy.workers.rebalance import Rebalance

THREE = [backend_config(name, quotaBytes=10_000) for name in ("first", "second", "third")]


async def filled(tmp_path: Path, strategy: str) -> Stage:
    """60 objects of 100 bytes, all on the first of three."""
    stage = await open_stage(tmp_path, THREE[:1], strategy=strategy)
    for number in range(60):
        await stage.perform(PutObject("photos", f"key-{number}"), bytes([number]) * 100)
    await stage.configure(*THREE)
    return stage


async def rebalance(stage: Stage, token: str = "t1") -> Operation:
    asked = await stage.desk.ask(Wish("Rebalance", "uid", token))
    await stage.operate(rounds=3)
    return await stage.desk.find(asked.operation_id)


async def used(stage: Stage) -> list[int]:
    usage = await stage.metadata.usage()
    return [usage.get(name, Usage(name)).used_bytes for name in ("first", "second", "third")]


async def end(stage: Stage) -> None:
    for number in range(60):
        assert await stage.read(GetObject("photos", f"key-{number}")) == bytes([number]) * 100
    assert await stage.audit() == []
    await stage.metadata.close()


async def test_spread_evens_out_and_a_second_run_moves_nothing(tmp_path: Path) -> None:
    stage = await filled(tmp_path, "Spread")
    done = await rebalance(stage)
    assert done.state == "Succeeded"
    assert await used(stage) == [2000, 2000, 2000]
    assert done.plan is not None
    assert (done.plan.bytes, done.plan.objects) == (done.progress.bytes_moved, done.progress.objects_moved) == (4000, 40)
    assert (done.progress.bytes_remaining, done.progress.objects_remaining) == (0, 0)
    again = await rebalance(stage, "t2")
    assert (again.state, again.progress.objects_moved) == ("Succeeded", 0)
    await end(stage)


async def test_pack_fills_in_order(tmp_path: Path) -> None:
    stage = await filled(tmp_path, "Pack")
    await stage.configure(*THREE[1:], THREE[0])
    assert (await rebalance(stage)).state == "Succeeded"
    assert await used(stage) == [0, 6000, 0]
    await end(stage)


async def test_a_quota_that_others_use_up_meanwhile_is_not_exceeded(tmp_path: Path) -> None:
    stage = await filled(tmp_path, "Spread")
    stall = stage.backends["second"].stall("put", nth=5)
    asked = await stage.desk.ask(Wish("Rebalance", "uid", "t1"))
    working = asyncio.create_task(Operate(stage.means).run_once())
    await stall.reached.wait()
    for name in ("second", "third"):
        await stage.configure(*(each for each in THREE if each.name == name))
        free = 10_000 - (await stage.metadata.usage()).get(name, Usage(name)).held_bytes
        await stage.perform(PutObject("films", name), bytes(free - 1_200))
    await stage.configure(*THREE)
    stall.release()
    await working
    assert (await stage.desk.find(asked.operation_id)).state == "Succeeded"
    for usage in (await stage.metadata.usage()).values():
        assert usage.held_bytes <= 10_000
    await end(stage)


async def test_a_giver_that_is_away_stalls_it(tmp_path: Path) -> None:
    stage = await filled(tmp_path, "Spread")
    for nth in range(1, 40):
        stage.backends["first"].fail("get", nth=nth, error=BackendUnavailable("first", "no connection"))
    stalled = await rebalance(stage)
    assert (stalled.state, stalled.reason) == ("Stalled", "BackendUnreachable")
    assert "no connection" in stalled.message
    await stage.configure(*THREE)
    await stage.operate()
    await stage.operate()
    assert (await stage.desk.find(stalled.operation_id)).state in ("Succeeded", "Stalled")
    await stage.metadata.close()


@pytest.mark.parametrize("strategy", ["Spread", "Pack"])
async def test_one_that_was_interrupted_goes_on_with_what_is_left(tmp_path: Path, strategy: str) -> None:
    stage = await filled(tmp_path, strategy)
    if strategy == "Pack":
        await stage.configure(*THREE[1:], THREE[0])
    asked = await stage.desk.ask(Wish("Rebalance", "uid", "t1"))
    stall = stage.backends["second"].stall("put", nth=10)
    working = asyncio.create_task(Rebalance(stage.means, asked).run())
    await stall.reached.wait()
    working.cancel()
    await asyncio.wait({working})
    await stage.operate()
    assert (await stage.desk.find(asked.operation_id)).state == "Succeeded"
    assert await used(stage) == ([2000, 2000, 2000] if strategy == "Spread" else [0, 6000, 0])
    await end(stage)
