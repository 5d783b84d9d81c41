"""Runs workers: period, jitter, lease, wake-up, back-off, status. It knows nothing of S3."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from s3o_proxy.domain.errors import DomainError, causes
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report, Worker

log = logging.getLogger(__name__)

_MAX_BACKOFF_MS = 300_000
_FIRST_BACKOFF_MS = 1_000


class LeaseLost(DomainError):
    def __init__(self, worker: str) -> None:
        super().__init__(f"the lease of {worker} was lost while it ran: this process stood still for too long")


class WorkerMeter(Protocol):
    def worker_ran(self, worker: str, *, failures: int, done: int, failed: int) -> None:
        """After each run; `failures`: consecutive failed runs, 0 after a good one."""
        ...

    def worker_stands_by(self, worker: str) -> None:
        """Another process runs it: what this one had to say of it is past."""
        ...


class Driver:
    """Start with `run()`, stop by cancelling it. `wake(name)` makes a worker look at once."""

    def __init__(self, workers: Sequence[Worker], metadata: Metadata, owner: str, clock: Callable[[], int], meter: WorkerMeter) -> None:
        self._workers, self._metadata, self._owner, self._clock, self._meter = workers, metadata, owner, clock, meter
        self._wakes = {worker.name: asyncio.Event() for worker in workers}

    def wake(self, name: str) -> None:
        """Where another process runs that worker, it finds the rows by itself when its period ends."""
        if name in self._wakes:
            self._wakes[name].set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(self._drive(worker), name=f"worker {worker.name}")

    async def _drive(self, worker: Worker) -> None:
        failures = 0
        while True:
            self._wakes[worker.name].clear()  # Before looking: a wake-up during the run makes it look again.
            report = await self._run(worker, failures)
            failures = failures + 1 if report is None else 0
            if report is None or not report.more:
                await self._rest(worker, failures)

    async def _run(self, worker: Worker, failures: int) -> Report | None:
        """None when the run failed."""
        try:
            if worker.singleton and not await self._hold_lease(worker):
                self._meter.worker_stands_by(worker.name)
                return Report()
            # In a task of its own: to a Python before 3.11.4, a task in which a TaskGroup failed is one that is being cancelled, and the
            # time-out of the rest that follows would be the end of this worker.
            report = await (self._run_leased(worker) if worker.singleton else asyncio.create_task(worker.run_once()))
        except Exception as error:
            told = causes(error)
            # A database or a backend that is away is no bug: say so in a line, and come back later.
            expected = all(isinstance(cause, DomainError) for cause in told)
            log.warning("worker %s failed: %s", worker.name, "; ".join(map(str, told)), exc_info=None if expected else error)
            self._meter.worker_ran(worker.name, failures=failures + 1, done=0, failed=0)
            return None
        self._meter.worker_ran(worker.name, failures=0, done=report.done, failed=report.failed)
        return report

    async def _run_leased(self, worker: Worker) -> Report:
        """Renew the lease for as long as the run takes. Whoever lost it stops: another one runs by now."""
        running = asyncio.ensure_future(worker.run_once())
        try:
            while True:
                done, _ = await asyncio.wait({running}, timeout=worker.period_ms / 1000)
                if done:
                    return running.result()
                if not await self._hold_lease(worker):
                    raise LeaseLost(worker.name)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})

    async def _hold_lease(self, worker: Worker) -> bool:
        return await self._metadata.acquire_lease(f"worker/{worker.name}", self._owner, self._clock(), 2 * worker.period_ms)

    async def _rest(self, worker: Worker, failures: int) -> None:
        pause_ms = worker.period_ms
        if failures:
            pause_ms = min(pause_ms, _MAX_BACKOFF_MS, _FIRST_BACKOFF_MS << min(failures, 20))
        jittered = pause_ms * random.uniform(0.8, 1.2)  # noqa: S311 - so that a fleet does not act in step; no secret
        try:
            async with asyncio.timeout(jittered / 1000):
                await self._wakes[worker.name].wait()
        except TimeoutError:
            return
