"""Each key once, never twice at a time; failures come back later and later."""

from __future__ import annotations

import asyncio

import pytest

from s3o_operator.plan.observed import Key
from s3o_operator.queue import WorkQueue

ONE, TWO = Key("ns", "one"), Key("ns", "two")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(clock, chance=lambda: 1.0)


async def is_empty(queue: WorkQueue) -> bool:
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    taking.cancel()
    return not taking.done()


async def test_a_key_that_is_added_often_is_taken_once(queue: WorkQueue) -> None:
    for key in (ONE, TWO, ONE, ONE):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == [ONE, TWO]
    assert await is_empty(queue)


async def test_news_about_a_key_in_work_bring_it_back_afterwards(queue: WorkQueue) -> None:
    queue.add(ONE)
    await queue.take()
    queue.add(ONE)
    assert await is_empty(queue)
    queue.done(ONE)
    assert await queue.take() == ONE


async def test_a_failed_key_waits_longer_each_time_and_forgets_when_it_succeeds(queue: WorkQueue, clock: Clock) -> None:
    delays = []
    queue.add(ONE)
    for _ in range(4):
        await queue.take()
        delays.append(queue.failed(ONE))
        assert await is_empty(queue)
        clock.now_s += delays[-1]
    assert delays == [0.5, 1.0, 2.0, 4.0]
    await queue.take()
    queue.done(ONE)
    queue.add(ONE)
    await queue.take()
    assert queue.failed(ONE) == 0.5


async def test_a_waiting_worker_wakes_up_for_news(queue: WorkQueue) -> None:
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(TWO)
    assert await taking == TWO


async def test_a_key_that_is_due_later_waits_until_then_and_news_do_not(queue: WorkQueue, clock: Clock) -> None:
    queue.add_after(ONE, 60)
    assert await is_empty(queue)
    assert queue.oldest_s() == 0
    queue.add(ONE)
    assert await queue.take() == ONE
    queue.done(ONE)
    queue.add_after(ONE, 60)
    queue.add_after(ONE, 90)
    clock.now_s += 60
    assert await queue.take() == ONE
    queue.done(ONE)
    clock.now_s += 60
    assert await is_empty(queue)


async def test_news_that_come_together_are_one_piece_of_work(clock: Clock) -> None:
    queue = WorkQueue(clock, calm_s=0.05)
    for _ in range(3):
        queue.add(ONE)
        assert await is_empty(queue)
        clock.now_s += 0.02
    # Counted from the first: a stream of news never holds it up for good.
    assert await queue.take() == ONE
    queue.add(ONE)
    queue.done(ONE)
    assert await is_empty(queue)
    clock.now_s += 0.05
    assert await queue.take() == ONE
