"""Carries out operations: each in a task of its own, until it is done, must wait, or was cancelled.

One process does it at a time; when it dies, the next one that holds the lease goes on where the rows say. What stalled or failed is looked
at again after a while, and at once when the configuration changed: a backend or a quota may have been added. None waits for another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from s3o_proxy.domain.errors import DomainError, causes
from s3o_proxy.domain.operation import Kind, Operation
from s3o_proxy.workers.drain import Drain
from s3o_proxy.workers.journal import Ended
from s3o_proxy.workers.means import Means
from s3o_proxy.workers.purge import Purge
from s3o_proxy.workers.rebalance import Rebalance
from s3o_proxy.workers.report import Report

log = logging.getLogger(__name__)

LOOK_AGAIN_MS = 15_000
"""After an operation stalled or failed; doubled each time that it fails again, up to:"""
LONGEST_PAUSE_MS = 300_000
LONGEST_PAUSE_OF_FAILED_OBJECTS_MS = 3_600_000
"""Where it stalled and backends answered, but with bytes that are gone or corrupt, or refusals: only a person mends that, and to find
an object corrupt once more, all of it is read and paid for."""
_LOOK_FOR_NEW_S = 1.0


class Run(Protocol):
    async def run(self) -> Operation: ...


class Start(Protocol):
    def __call__(self, means: Means, operation: Operation, /) -> Run: ...


RUNS: Mapping[Kind, Start] = {"Drain": Drain, "Rebalance": Rebalance, "Purge": Purge}


class Operate:
    name = "operate"
    singleton = True
    period_ms = 5_000

    def __init__(self, means: Means) -> None:
        self._means = means
        self._look_again: dict[str, tuple[int, int]] = {}
        """Of a stalled operation: when it is due again, and the generation of the configuration it stalled under."""
        self._failures: dict[str, int] = {}
        """Of an operation: how often in a row it could not be carried out, or stalled over objects that failed."""

    async def run_once(self) -> Report:
        """Until nothing more can be done now; what is asked for meanwhile is begun beside it."""
        try:
            return await self._carry_out_all()
        except BaseException:
            self._means.meter.set_operations(())  # Another process may carry them out from now on.
            raise

    async def _carry_out_all(self) -> Report:
        begun: list[asyncio.Task[bool]] = []
        resting: dict[str, int] = {}
        """Until when. One that waits, or stalled, while another takes hours is looked at meanwhile, too."""
        async with asyncio.TaskGroup() as group:
            while True:
                running = {task.get_name(): task for task in begun if not task.done()}
                # Read after that: what has ended by now is told as ended, and not begun again.
                active = await self._means.metadata.active_operations()
                self._means.meter.set_operations(active)
                for operation in active:
                    name = operation.operation_id
                    if name not in running and self._means.clock() >= resting.get(name, 0) and self._is_due(operation):
                        resting[name] = self._means.clock() + LOOK_AGAIN_MS
                        running[name] = group.create_task(self._carry_out(operation), name=name)
                        begun.append(running[name])
                if not running:
                    break
                await asyncio.wait(running.values(), timeout=_LOOK_FOR_NEW_S, return_when=asyncio.FIRST_COMPLETED)
        ended = [task.result() for task in begun]
        return Report(done=sum(ended), failed=len(ended) - sum(ended))

    def _is_due(self, operation: Operation) -> bool:
        due_ms, generation = self._look_again.get(operation.operation_id, (0, 0))
        return self._means.clock() >= due_ms or self._means.placing().generation != generation

    async def _carry_out(self, operation: Operation) -> bool:
        """False when it stalled, or failed as anything may (MetadataError): that is no reason for others to end. Errors of ours are."""
        self._look_again.pop(operation.operation_id, None)
        try:
            reached = await RUNS[operation.kind](self._means, operation).run()
        except Ended:
            self._failures.pop(operation.operation_id, None)
            log.info("%s of %s was cancelled", operation.kind, operation.target)
            return True
        except (DomainError, ExceptionGroup) as error:
            if not all(isinstance(cause, DomainError) for cause in causes(error)):
                raise
            self._pause_longer(operation, LONGEST_PAUSE_MS)
            why = "; ".join(map(str, causes(error)))
            log.warning("%s of %s could not be carried out, it is tried again: %s", operation.kind, operation.target, why)
            return False
        if (reached.state, reached.reason) != (operation.state, operation.reason):
            log.info("%s of %s: %s %s", reached.kind, reached.target, reached.state, reached.reason, extra={"detail": reached.message})
        if reached.state == "Stalled" and reached.progress.objects_failed and reached.reason != "BackendUnreachable":
            self._pause_longer(operation, LONGEST_PAUSE_OF_FAILED_OBJECTS_MS)
            return False
        self._failures.pop(operation.operation_id, None)
        if reached.state != "Stalled":
            return True
        self._pause(operation, LOOK_AGAIN_MS)
        return False

    def _pause_longer(self, operation: Operation, longest_ms: int) -> None:
        failures = self._failures.get(operation.operation_id, 0)
        self._failures[operation.operation_id] = failures + 1
        self._pause(operation, min(longest_ms, LOOK_AGAIN_MS << min(failures, 20)))

    def _pause(self, operation: Operation, pause_ms: int) -> None:
        self._look_again[operation.operation_id] = (self._means.clock() + pause_ms, self._means.placing().generation)
