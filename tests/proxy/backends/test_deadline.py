"""A deadline rings for the task that waits, only while it waits, and once."""

from __future__ import annotations

import asyncio

import pytest

from s3o_proxy.backends.deadline import Deadline

SHORT_S = 0.05


async def ring(deadline: Deadline, then_s: float = 10 * SHORT_S) -> bool:
    """Whether the deadline cut this wait short."""
    try:
        await asyncio.sleep(then_s)
    except asyncio.CancelledError:
        if not deadline.take_back():
            raise
        return True
    return False


async def test_it_rings_when_the_allowed_time_is_over() -> None:
    deadline = Deadline()
    deadline.start(SHORT_S)
    assert await ring(deadline)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_progress_moves_it_and_a_shorter_allowance_brings_it_forward() -> None:
    deadline = Deadline()
    deadline.start(2 * SHORT_S)
    for _ in range(4):
        assert not await ring(deadline, SHORT_S)
        deadline.allow(2 * SHORT_S)
    deadline.allow(3600)
    deadline.allow(SHORT_S)
    assert await ring(deadline)


async def test_progress_that_nobody_tells_of_is_seen() -> None:
    deadline, reached = Deadline(), 0
    deadline.start(2 * SHORT_S)
    deadline.watch(lambda: reached)
    for _ in range(4):
        reached += 1
        assert not await ring(deadline, SHORT_S)
    assert await ring(deadline), "no progress any more"


async def test_it_stands_while_paused_and_goes_on_afterwards() -> None:
    deadline = Deadline()
    deadline.start(SHORT_S)
    deadline.pause()
    assert not await ring(deadline, 4 * SHORT_S)
    assert deadline.waited_s < 4 * SHORT_S
    deadline.allow(SHORT_S)
    assert await ring(deadline)


async def test_once_stopped_it_never_rings() -> None:
    deadline = Deadline()
    deadline.start(SHORT_S)
    deadline.stop()
    deadline.allow(SHORT_S)
    assert not await ring(deadline, 3 * SHORT_S)


async def test_a_cancellation_from_outside_at_the_same_time_wins() -> None:
    async def wait() -> None:
        deadline = Deadline()
        deadline.start(SHORT_S)
        waiting.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            task.cancel()
            assert not deadline.take_back()
            raise

    waiting = asyncio.Event()
    task = asyncio.create_task(wait())
    await waiting.wait()
    with pytest.raises(asyncio.CancelledError):
        await task
