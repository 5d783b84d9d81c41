"""What happened is recorded to the end, even when the client is gone."""

from __future__ import annotations

import asyncio

import pytest

from s3o_proxy.operations.finish import finish


async def test_a_recording_runs_to_its_end_through_any_number_of_cancellations() -> None:
    started, go_on, recorded = asyncio.Event(), asyncio.Event(), []

    async def record() -> None:
        started.set()
        await go_on.wait()
        recorded.append("done")

    task = asyncio.create_task(finish(record()))
    await started.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded == ["done"]


async def test_its_result_and_its_error_are_handed_on() -> None:
    async def result() -> int:
        return 7

    async def error() -> int:
        raise ValueError("no")

    assert await finish(result()) == 7
    with pytest.raises(ValueError, match="no"):
        await finish(error())


async def test_an_error_of_a_recording_nobody_waits_for_is_not_lost_in_the_log() -> None:
    """The cancellation is what the caller hears of; no 'exception was never retrieved' follows (warnings are errors here)."""
    started, go_on = asyncio.Event(), asyncio.Event()

    async def error() -> None:
        started.set()
        await go_on.wait()
        raise ValueError("no")

    task = asyncio.create_task(finish(error()))
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
