"""The journal: what an operation's row says while it is at work."""

from __future__ import annotations

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.operation import Operation, Plan, Wish
from s3o_proxy.workers.desk import Desk
from s3o_proxy.workers.journal import NOTE_MS, Ended, Journal
from s3o_proxy.workers.means import Means

PLAN = Plan(10, 1000, 21, True, 1000, None)


async def opened(stage: Stage) -> Journal:
    desk, means = stage.desk, stage.means
    assert isinstance(desk, Desk)
    assert isinstance(means, Means)
    operation = await desk.ask(Wish("Drain", "uid", "t", "first"))
    return Journal(stage.metadata, operation, stage.clock)


async def row(stage: Stage, journal: Journal) -> Operation:
    return await stage.desk.find(journal.operation.operation_id)


async def test_the_pace_and_the_end_are_those_of_the_last_notes(stage: Stage) -> None:
    journal = await opened(stage)
    await journal.start(PLAN)
    started = stage.now_ms
    for _ in range(4):
        stage.now_ms += 2_000
        journal.count(objects=1, size_bytes=100)
        await journal.note({"bytes_remaining": 1000 - journal.progress.bytes_moved})
    found = await row(stage, journal)
    assert (found.started_ms, found.updated_ms, found.state) == (started, started + 8_000, "Running")
    assert (found.progress.bytes_per_second, found.progress.estimated_ms) == (50, stage.now_ms + 12_000)


async def test_a_note_is_due_once_a_second(stage: Stage) -> None:
    journal = await opened(stage)
    await journal.start(PLAN)
    assert not journal.due
    stage.now_ms += NOTE_MS
    assert journal.due


async def test_one_that_was_cancelled_hears_of_it_at_the_next_note(stage: Stage) -> None:
    journal = await opened(stage)
    await stage.desk.cancel(journal.operation.operation_id)
    with pytest.raises(Ended):
        await journal.start(PLAN)
    assert (await row(stage, journal)).plan is None
