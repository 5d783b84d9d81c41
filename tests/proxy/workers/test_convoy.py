"""A convoy passes through all copies, a few at a time, and knows when to stop."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.model import Copy, StoredObject
from s3o_proxy.domain.moving import Moved, Outcome
from s3o_proxy.domain.operation import Wish
from s3o_proxy.s3.operation import PutObject
from s3o_proxy.workers import convoy as convoys
from s3o_proxy.workers.convoy import CONCURRENCY, Act, Convoy
from s3o_proxy.workers.journal import Ended, Journal


async def convoy(stage: Stage, act: Act, count: int = 60) -> Convoy:
    for number in range(count):
        await stage.perform(PutObject("photos", f"key-{number:03}"), b"data")
    journal = Journal(stage.metadata, await stage.desk.ask(Wish("Drain", "uid", "t", "first")), stage.clock)
    return Convoy(stage.means, journal, "first", act, _figures)


async def _figures() -> dict[str, int]:
    return {}


async def _always() -> bool:
    return True


async def test_every_copy_is_taken_once_and_never_too_many_at_a_time(stage: Stage) -> None:
    seen: list[str] = []
    busy = most = 0

    async def act(found: StoredObject, _: Copy) -> Moved:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        seen.append(found.key)
        return Moved("moved")

    running = await convoy(stage, act, 250)
    await running.run(_always)
    assert sorted(seen) == [f"key-{number:03}" for number in range(250)]
    assert most == CONCURRENCY
    assert running.outcomes == {"moved": 250}


@pytest.mark.parametrize("outcome", ["unreachable", "failed"])
async def test_a_backend_that_is_away_is_not_asked_for_ever(stage: Stage, outcome: Outcome) -> None:
    """Nor is one that refuses whatever it is given."""

    async def act(_: StoredObject, __: Copy) -> Moved:
        return Moved(outcome, error="no connection")

    running = await convoy(stage, act)
    await running.run(_always)
    assert 3 * CONCURRENCY <= running.outcomes[outcome] <= 4 * CONCURRENCY < 60
    assert running.error.endswith(": no connection")


async def test_what_is_under_way_finishes_when_the_operation_was_cancelled(stage: Stage) -> None:
    begun: list[str] = []
    finished: list[str] = []

    async def act(found: StoredObject, _: Copy) -> Moved:
        begun.append(found.key)
        if len(begun) == 3:
            (operation,) = await stage.metadata.active_operations()
            await stage.desk.cancel(operation.operation_id)
            stage.now_ms += 2_000
        await asyncio.sleep(0.01)
        finished.append(found.key)
        return Moved("moved")

    running = await convoy(stage, act)
    with pytest.raises(Ended):
        await running.run(_always)
    assert sorted(begun) == sorted(finished)
    assert 3 <= len(finished) < 60


async def test_an_operation_is_seen_to_be_alive_while_an_object_takes_hours(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convoys, "_REPORT_S", 0.01)
    arrived = asyncio.Event()

    async def act(_: StoredObject, __: Copy) -> Moved:
        await arrived.wait()
        return Moved("moved")

    working = asyncio.create_task((await convoy(stage, act, 1)).run(_always))
    stage.now_ms += 3_600_000
    async with asyncio.timeout(10):
        while (await stage.metadata.active_operations())[0].updated_ms < stage.now_ms:  # noqa: ASYNC110  # it is a row that says so
            await asyncio.sleep(0.01)
    arrived.set()
    await working


@pytest.mark.parametrize("outcome", ["gone", "corrupt"])
async def test_bytes_that_are_lost_keep_no_other_copy_from_its_turn(stage: Stage, outcome: Outcome) -> None:
    """Reference bug 9: what cannot be done with the first page is no reason to do it for ever, nor not to come to the next."""

    async def act(found: StoredObject, _: Copy) -> Moved:
        return Moved(outcome, error="lost") if found.key < "key-050" else Moved("moved")

    running = await convoy(stage, act)
    await running.run(_always)
    assert running.outcomes == {outcome: 50, "moved": 10}
