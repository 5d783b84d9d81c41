"""The driver: when a worker runs, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.support.stories import Stage

from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.workers.driver import Driver
from s3o_proxy.workers.report import Report


class Recorder:
    """A worker that does as it is told, and the meter that hears of it."""

    period_ms = 3_600_000

    def __init__(self, name: str = "recorder", *, singleton: bool = False, run: Callable[[int], Report] = lambda _: Report()) -> None:
        self.name, self.singleton = name, singleton
        self.runs = self.stood_by = 0
        self.heard: list[tuple[int, int]] = []
        self._run, self._changed = run, asyncio.Condition()

    async def run_once(self) -> Report:
        self.runs += 1
        return self._run(self.runs)

    def worker_ran(self, worker: str, *, failures: int, done: int, failed: int) -> None:
        assert worker == self.name
        assert failed == 0
        self.heard.append((failures, done))

    def worker_stands_by(self, worker: str) -> None:
        assert worker == self.name
        self.stood_by += 1


async def driven(stage: Stage, worker: Recorder, until: Callable[[], bool], owner: str = "instance-1") -> Driver:
    driver = Driver([worker], stage.metadata, owner, stage.clock, worker)
    task = asyncio.create_task(driver.run())
    async with asyncio.timeout(10):
        while not until():
            await asyncio.sleep(0.005)
            driver.wake(worker.name)
    task.cancel()
    await asyncio.wait({task})
    return driver


async def test_a_worker_runs_at_once_and_then_rests(stage: Stage) -> None:
    worker = Recorder()
    driver = Driver([worker], stage.metadata, "instance-1", stage.clock, worker)
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(0.05)
    assert worker.runs == 1
    driver.wake("recorder")
    await asyncio.sleep(0.05)
    assert worker.runs == 2
    task.cancel()
    await asyncio.wait({task})


async def test_while_there_is_more_to_do_it_does_not_rest(stage: Stage) -> None:
    worker = Recorder(run=lambda count: Report(done=1, more=count < 5))
    driver = Driver([worker], stage.metadata, "instance-1", stage.clock, worker)
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})
    assert worker.heard == [(0, 1)] * 5


async def test_a_failure_is_counted_and_the_worker_tried_again(stage: Stage) -> None:
    def fail_twice(count: int) -> Report:
        if count <= 2:
            raise MetadataUnavailable("away") if count == 1 else ExceptionGroup("several", [MetadataUnavailable("away")])
        return Report(done=3)

    worker = Recorder(run=fail_twice)
    await driven(stage, worker, lambda: len(worker.heard) >= 3)
    assert worker.heard[:3] == [(1, 0), (2, 0), (0, 3)]


async def test_a_fault_of_the_program_does_not_end_the_driver(stage: Stage) -> None:
    def divide(count: int) -> Report:
        return Report(done=1 // (count - 1))

    worker = Recorder(run=divide)
    await driven(stage, worker, lambda: len(worker.heard) >= 2)
    assert worker.heard[:2] == [(1, 0), (0, 1)]


async def test_a_task_group_that_fails_does_not_make_the_driver_one_that_is_being_cancelled(stage: Stage) -> None:
    """To a Python before 3.11.4 it would be, and the time-out of its rest would end the worker for good."""
    cancelling: list[int] = []

    class Meter(Recorder):
        async def run_once(self) -> Report:
            async def fail() -> None:
                await asyncio.sleep(0)
                raise MetadataUnavailable("away")

            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
            return Report()

        def worker_ran(self, worker: str, *, failures: int, done: int, failed: int) -> None:
            driving = asyncio.current_task()
            assert driving is not None
            cancelling.append(driving.cancelling())

    await driven(stage, Meter(), lambda: len(cancelling) >= 2)
    assert cancelling == [0, 0]


async def test_a_singleton_runs_in_one_process_only(stage: Stage) -> None:
    first, second = Recorder(singleton=True), Recorder(singleton=True)
    await driven(stage, first, lambda: first.runs >= 1, owner="instance-1")
    refused = asyncio.create_task(Driver([second], stage.metadata, "instance-2", stage.clock, second).run())
    await asyncio.sleep(0.05)
    refused.cancel()
    await asyncio.wait({refused})
    assert (second.runs, second.stood_by, first.stood_by) == (0, 1, 0)
    stage.now_ms += 3 * second.period_ms
    await driven(stage, second, lambda: second.runs >= 1, owner="instance-2")


async def test_a_wake_up_for_a_worker_of_another_process_is_no_mistake(stage: Stage) -> None:
    worker = Recorder()
    Driver([worker], stage.metadata, "instance-1", stage.clock, worker).wake("clean_up")


class Slow:
    """A singleton whose one run takes until it is told to end."""

    name, singleton, period_ms = "slow", True, 20

    def __init__(self) -> None:
        self.running, self.end = asyncio.Event(), asyncio.Event()
        self.cancelled = asyncio.Event()
        self.failures: list[int] = []
        self.heard = asyncio.Event()

    async def run_once(self) -> Report:
        self.running.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Report(done=1)

    def worker_ran(self, worker: str, *, failures: int, done: int, failed: int) -> None:
        self.failures.append(failures)
        self.heard.set()

    def worker_stands_by(self, worker: str) -> None:
        """The other one has the lease."""


async def test_a_run_longer_than_its_lease_keeps_it(stage: Stage) -> None:
    worker = Slow()
    driving = asyncio.create_task(Driver([worker], stage.metadata, "instance-1", stage.clock, worker).run())
    await worker.running.wait()
    for _ in range(10):
        stage.now_ms += worker.period_ms
        await asyncio.sleep(2 * worker.period_ms / 1000)
        assert not await stage.metadata.acquire_lease("worker/slow", "another", stage.now_ms, 1)
    assert not worker.cancelled.is_set()
    driving.cancel()
    await asyncio.wait({driving})
    assert worker.cancelled.is_set()


async def test_a_run_whose_lease_was_lost_ends(stage: Stage) -> None:
    """This process stood still, and another one took the work over."""
    worker = Slow()
    driving = asyncio.create_task(Driver([worker], stage.metadata, "instance-1", stage.clock, worker).run())
    await worker.running.wait()
    stage.now_ms += 10 * worker.period_ms
    async with asyncio.timeout(10):
        while not worker.cancelled.is_set():
            await stage.metadata.acquire_lease("worker/slow", "another", stage.now_ms, 3_600_000)
            stage.now_ms += 10 * worker.period_ms
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await worker.heard.wait()
    assert worker.failures[0] == 1
    driving.cancel()
    await asyncio.wait({driving})
