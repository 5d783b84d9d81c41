"""Empties a backend: moves its copies to others, and waits until nothing there is mentioned any more.

The fence went up when the drain was asked for, so what is there can only become less: writes and uploads that were granted before end as
copies, which the next pass finds, or as deletions. A drain that cannot go on says why with both figures, and looks again by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from s3o_proxy.domain.drain import Reason, available_bytes, plan_drain, why_stalled
from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.model import Copy, StoredObject, Usage
from s3o_proxy.domain.moving import Moved, targets
from s3o_proxy.domain.operation import Operation, Plan, Remains
from s3o_proxy.metadata.port import Metadata, Weight
from s3o_proxy.workers.convoy import Convoy
from s3o_proxy.workers.emptying import Rest, figures
from s3o_proxy.workers.journal import Journal
from s3o_proxy.workers.means import Means

log = logging.getLogger(__name__)


async def plan_of_drain(means: Means, backend: str) -> Plan:
    placing, metadata = means.placing(), means.metadata
    usage = await metadata.usage()
    groups = await _weigh(metadata, backend, usage.get(backend, Usage(backend)))
    return plan_drain(backend, groups, placing.candidates, await metadata.fences(), usage, placing.strategy)


async def _weigh(metadata: Metadata, backend: str, usage: Usage) -> Sequence[Weight]:
    try:
        return await metadata.weigh_backend(backend)
    except MetadataUnavailable as error:
        # It looks at every object there, and of very many that may take too long. Without its figures the drain goes on all the same.
        log.warning("the objects on %s could not be weighed, the plan knows their number and sum alone: %s", backend, error)
    if not usage.objects:
        return ()
    return (Weight(frozenset(), usage.objects, usage.used_bytes, -(-usage.used_bytes // usage.objects)),)


class Drain:
    """One drain, run until it is done, must wait, or was cancelled (Ended)."""

    def __init__(self, means: Means, operation: Operation) -> None:
        self._means, self._backend = means, operation.backend
        self._journal = Journal(means.metadata, operation, means.clock)
        self._rest = Rest(means, self._journal, self._backend)
        self._closed: Collection[str] = frozenset()
        self._refused_bytes: int | None = None

    async def run(self) -> Operation:
        """Returns the operation as it was noted last. Raises Ended, MetadataError."""
        journal = self._journal
        if journal.operation.plan is None:
            await journal.start(await plan_of_drain(self._means, self._backend))
        while True:
            self._refused_bytes = None
            convoy = Convoy(self._means, journal, self._backend, self._move, self._rest.figures)
            await convoy.run(self._see_fences)
            left = await self._means.metadata.remains(self._backend)
            if left.nothing:
                await journal.state("Succeeded", figures=figures(journal.progress, left))
                return journal.operation
            if not left.copies:
                await self._rest.wait(left)
                return journal.operation
            reason = why_stalled(convoy.outcomes)
            if reason is not None and not convoy.outcomes["moved"]:
                await self._stall(reason, convoy.error, left)
                return journal.operation

    async def _see_fences(self) -> bool:
        self._closed = await self._means.metadata.fences() | {self._backend}
        return True

    async def _move(self, found: StoredObject, copy: Copy) -> Moved:
        if self._refused_bytes is not None and found.size_bytes >= self._refused_bytes:
            return Moved("no_room", error=f"no backend has {found.size_bytes} bytes left")
        placing = self._means.placing()
        ranked = targets(found, placing.candidates, self._closed, self._means.usage(), placing.strategy)
        moved = ranked if isinstance(ranked, Moved) else await self._means.move(found, copy, ranked)
        if moved.outcome == "no_room" and len(found.copies) == 1:
            # A smaller one may still find room; the same size or more will not in this pass.
            self._refused_bytes = min(found.size_bytes, self._refused_bytes or found.size_bytes)
        return moved

    async def _stall(self, reason: Reason, error: str, left: Remains) -> None:
        plan, message = self._journal.operation.plan, error
        if reason == "InsufficientCapacity":
            usage, placing = await self._means.metadata.usage(), self._means.placing()
            open_to = [each for each in placing.candidates if each.accepts_writes and each.name not in self._closed]
            available = available_bytes(open_to, usage)
            plan = replace(plan, fits=False, required_bytes=left.copy_bytes, available_bytes=available) if plan else None
            message = f"{left.copy_bytes} bytes have to move, the other backends have {available or 0} left in their quotas"
        elif reason == "MovesFailed":
            message = f"{self._journal.progress.objects_failed} objects could not be moved, one of them {error}"
        await self._journal.state("Stalled", reason, message, {**figures(self._journal.progress, left), "last_error": error}, plan)
