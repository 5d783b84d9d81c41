"""The worker of operations: several beside each other, new ones at once, stalled ones after a while."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from tests.support.stories import Stage, backend_config, open_stage

from s3o_proxy.backends.memory import Fault
from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.operation import Operation, Progress, Wish
from s3o_proxy.metadata.port import Contents
from s3o_proxy.s3.operation import DeleteObject, PutObject
from s3o_proxy.workers import journal
from s3o_proxy.workers.operate import LONGEST_PAUSE_OF_FAILED_OBJECTS_MS, LOOK_AGAIN_MS, Operate
from s3o_proxy.workers.report import Report


async def state(stage: Stage, token: str) -> tuple[str, str]:
    return next((each.state, each.reason) for each in await stage.desk.list("uid") if each.token == token)


async def held_up(stage: Stage) -> tuple[asyncio.Task[object], Fault]:
    """A drain of `first` in the middle of its only object."""
    await stage.perform(PutObject("photos", "k"), b"data")
    stall = stage.backends["second"].stall("put")
    await stage.desk.ask(Wish("Drain", "uid", "drain", "first"))
    working: asyncio.Task[object] = asyncio.create_task(Operate(stage.means).run_once())
    await stall.reached.wait()
    return working, stall


async def purge_films(stage: Stage) -> None:
    stage.drop_bucket("films")
    await stage.desk.ask(Wish("Purge", "uid", "purge", bucket="films"))


async def test_what_is_asked_for_meanwhile_is_begun_beside_it(stage: Stage) -> None:
    working, stall = await held_up(stage)
    assert stage.active == [("Drain", "Pending")]
    await purge_films(stage)
    async with asyncio.timeout(10):
        while (await state(stage, "purge"))[0] != "Succeeded":  # noqa: ASYNC110  # it is a row of the database that says so
            await asyncio.sleep(0.05)
    assert (await state(stage, "drain"))[0] == "Running"
    stall.release()
    await working


async def test_a_process_that_stops_leaves_it_to_the_next(stage: Stage) -> None:
    working, stall = await held_up(stage)
    working.cancel()
    await asyncio.wait({working})
    assert stage.active == []
    stall.release()
    await stage.operate()
    assert (await state(stage, "drain"))[0] == "Succeeded"


async def test_one_that_stalled_is_looked_at_again_after_a_while_or_with_another_configuration(stage: Stage) -> None:
    second = backend_config("second", quotaBytes=5)
    await stage.configure(second)
    await stage.perform(PutObject("photos", "other"), b"two")
    await stage.configure(backend_config("first"), second)
    await stage.perform(PutObject("photos", "k"), b"data")
    await stage.desk.ask(Wish("Drain", "uid", "drain", "first"))
    worker = Operate(stage.means)
    assert (await worker.run_once()).failed == 1
    assert await state(stage, "drain") == ("Stalled", "InsufficientCapacity")
    assert (await worker.run_once()).failed == 0
    stage.now_ms += LOOK_AGAIN_MS
    assert (await worker.run_once()).failed == 1
    await stage.configure(backend_config("first"), backend_config("second", quotaBytes=6))
    assert (await worker.run_once()).failed == 1
    await stage.perform(DeleteObject("photos", "k"))
    stage.now_ms += LOOK_AGAIN_MS
    await stage.operate(worker)
    assert (await state(stage, "drain"))[0] == "Succeeded"


async def test_corrupt_objects_are_not_read_again_and_again(stage: Stage) -> None:
    """Nobody knows that one still is without all its bytes, which cost money; a backend that is away may be back at any moment."""
    await stage.perform(PutObject("photos", "k"), b"data")
    await stage.desk.ask(Wish("Drain", "uid", "drain", "first"))
    first, worker = stage.backends["first"], Operate(stage.means)
    (name,) = first.objects
    sound = first.objects[name]
    first.objects[name] = replace(sound, content=b"dust")
    looked_at_ms: list[int] = []
    began_ms = stage.now_ms
    while stage.now_ms < began_ms + 6 * LONGEST_PAUSE_OF_FAILED_OBJECTS_MS:
        if (await worker.run_once()).failed:
            looked_at_ms.append(stage.now_ms)
        stage.now_ms += LOOK_AGAIN_MS
    assert await state(stage, "drain") == ("Stalled", "MovesFailed")
    pauses = [after - before for before, after in pairwise(looked_at_ms)]
    assert pauses[:3] == [LOOK_AGAIN_MS, 2 * LOOK_AGAIN_MS, 4 * LOOK_AGAIN_MS]
    assert pauses[-1] == LONGEST_PAUSE_OF_FAILED_OBJECTS_MS
    first.objects[name] = sound
    await stage.configure(backend_config("first"), backend_config("second", quotaBytes=100))
    await stage.operate(worker)
    assert (await state(stage, "drain"))[0] == "Succeeded", "another configuration is a reason to look at once"


async def test_one_that_cannot_be_carried_out_holds_up_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        await stage.perform(PutObject("photos", f"key-{number}"), b"data")

    async def too_long(_bucket: str) -> None:
        raise MetadataUnavailable("canceling statement due to statement timeout")

    worker = Operate(stage.means)
    with monkeypatch.context() as patched:
        patched.setattr(stage.metadata, "bucket_remains", too_long)
        await stage.desk.ask(Wish("Drain", "uid", "drain", "first"))
        await purge_films(stage)
        await stage.operate(worker)
        assert (await state(stage, "drain"))[0] == "Succeeded"
    assert (await state(stage, "purge"))[0] == "Pending"
    await stage.operate(worker)
    assert (await state(stage, "purge"))[0] == "Pending", "what failed rests for a while"
    stage.now_ms += LOOK_AGAIN_MS
    await stage.operate(worker)
    assert (await state(stage, "purge"))[0] == "Succeeded"


async def test_one_that_failed_is_tried_again_while_another_takes_hours(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    remains, tries = stage.metadata.bucket_remains, 0

    async def late(bucket: str) -> Contents:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise MetadataUnavailable("no connection")
        return await remains(bucket)

    monkeypatch.setattr(stage.metadata, "bucket_remains", late)
    working, stall = await held_up(stage)
    await purge_films(stage)
    async with asyncio.timeout(10):
        while (await state(stage, "purge"))[0] != "Succeeded":
            await asyncio.sleep(0.05)
            stage.now_ms += LOOK_AGAIN_MS
    assert (await state(stage, "drain"))[0] == "Running"
    stall.release()
    await working


async def test_an_error_of_ours_is_not_taken_for_one_of_the_world(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(_bucket: str) -> None:
        raise TypeError("ours")

    monkeypatch.setattr(stage.metadata, "bucket_remains", wrong)
    await purge_films(stage)
    with pytest.raises(ExceptionGroup) as failure:
        await Operate(stage.means).run_once()
    assert failure.group_contains(TypeError)


async def test_while_the_database_is_away_it_fails_and_later_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    await stage.desk.ask(Wish("Drain", "uid", "drain", "first"))

    async def away(*_: object) -> bool:
        raise MetadataUnavailable("no connection")

    with monkeypatch.context() as patched:
        patched.setattr(stage.metadata, "record_operation", away)
        assert await Operate(stage.means).run_once() == Report(failed=1)
        patched.setattr(stage.metadata, "active_operations", away)
        with pytest.raises(ExceptionGroup) as failure:
            await Operate(stage.means).run_once()
        assert failure.group_contains(MetadataUnavailable)
    await stage.operate()
    assert (await state(stage, "drain"))[0] == "Succeeded"


@pytest.mark.parametrize("kind", ["Drain", "Rebalance"])
async def test_killed_half_way_again_and_again_it_resumes_and_its_counters_never_go_back(
    kind: Literal["Drain", "Rebalance"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strimzi #10224: a rebalance that was stuck when the pod that did it was gone."""
    monkeypatch.setattr(journal, "NOTE_MS", 0)
    three = [backend_config(name, quotaBytes=10_000) for name in ("first", "second", "third")]
    stage = await open_stage(tmp_path, three[:1], strategy="Spread")
    for number in range(60):
        await stage.perform(PutObject("photos", f"key-{number}"), bytes([number]) * 100)
    await stage.configure(*three)
    told: list[Progress] = []
    record = stage.metadata.record_operation

    async def listening(operation: Operation) -> bool:
        stood = await record(operation)
        told.append(operation.progress)  # Now it is known; what a killed one was about to say is not.
        return stood

    monkeypatch.setattr(stage.metadata, "record_operation", listening)
    asked = await stage.desk.ask(Wish(kind, "uid", "t1", "first" if kind == "Drain" else ""))
    for _ in range(3):
        stall = stage.backends["second"].stall("put", nth=4)
        working = asyncio.create_task(Operate(stage.means).run_once())
        await stall.reached.wait()
        working.cancel()
        await asyncio.wait({working})
    await stage.operate()
    assert (await stage.desk.find(asked.operation_id)).state == "Succeeded"
    moved, left = [one.objects_moved for one in told], [one.objects_remaining for one in told if one.objects_total]
    assert (moved, left) == (sorted(moved), sorted(left, reverse=True))
    assert (moved[-1] > 20, left[0] > 20, left[-1]) == (True, True, 0)
    assert {one.bytes_moved // 100 - one.objects_moved for one in told} == {0}
    await stage.metadata.close()
