"""Empties a backend: moves its copies to others, and waits until nothing there is mentioned any more.

The fence went up when the drain was asked for, so what is there can only become less: writes and uploads that were granted before end as
copies, which the next pass finds, or as deletions. A drain that cannot go on says why with both figures, and looks again by itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from s3o_proxy.domain.drain import Reason, available_bytes, plan_drain, why_stalled
from s3o_proxy.domain.model import Copy, StoredObject
from s3o_proxy.domain.moving import Moved, Outcome, targets
from s3o_proxy.domain.operation import Operation, Plan, Remains
from s3o_proxy.metadata.port import PlacedCopy
from s3o_proxy.workers.journal import Ended, Journal
from s3o_proxy.workers.means import Means

PAGE = 200
CONCURRENCY = 8
"""Objects on the move at a time: so many pieces of a body are in memory, whatever the objects' size."""
_GIVE_UP_AFTER = 3 * CONCURRENCY
"""Failures without one success, after which a pass ends: a backend that is away is not asked ten million times."""


async def plan_of(means: Means, backend: str) -> Plan:
    placing, metadata = means.placing(), means.metadata
    weights = await metadata.weigh_backend(backend)
    return plan_drain(backend, weights, placing.candidates, await metadata.fences(), await metadata.usage(), placing.strategy)


class Drain:
    """One drain, run until it is done, must wait, or was cancelled (Ended)."""

    def __init__(self, means: Means, operation: Operation) -> None:
        self._means, self._backend = means, operation.backend
        self._journal = Journal(means.metadata, operation, means.clock)
        self._hastened = False

    async def run(self) -> Operation:
        """Returns the operation as it was noted last. Raises Ended, MetadataError."""
        journal = self._journal
        if journal.operation.plan is None:
            await journal.start(await plan_of(self._means, self._backend))
        while True:
            this_pass = _Pass(self._means, self._backend, journal)
            await this_pass.run()
            left = await self._means.metadata.remains(self._backend)
            if left.nothing:
                await journal.state("Succeeded", figures=figures(journal, left))
                return journal.operation
            if not left.copies:
                await self._wait(left)
                return journal.operation
            reason = why_stalled(this_pass.outcomes)
            if reason is not None and not this_pass.outcomes["moved"]:
                await self._stall(reason, this_pass, left)
                return journal.operation

    async def _wait(self, left: Remains) -> None:
        """No copy is left, and what else is there goes by itself: by its client, its worker, or time."""
        if left.cleanups and not self._hastened:
            await self._means.metadata.hasten_cleanup(self._backend, self._means.clock())
            self._hastened = True
        self._means.wake_cleanup()
        known = figures(self._journal, left)
        if left.uploads:
            message = (
                f"{left.uploads} multipart uploads are in progress there: they end by their clients, or are aborted when they are stale"
            )
            await self._journal.state("Running", "WaitingForUploads", message, known)
        elif left.intents:
            await self._journal.state("Running", "WaitingForWrites", f"{left.intents} writes that began before are under way there", known)
        elif left.cleanups:
            await self._journal.state("Running", "WaitingForDeletions", f"{left.cleanups} deletions are due there", known)
        else:
            message = f"{left.dead} deletions there were given up and wait in the dead-letter queue for a person"
            await self._journal.state("Stalled", "DeletionsFailed", message, known | {"last_error": left.error})

    async def _stall(self, reason: Reason, this_pass: _Pass, left: Remains) -> None:
        plan = self._journal.operation.plan
        message = this_pass.error
        if reason == "InsufficientCapacity":
            usage, placing = await self._means.metadata.usage(), self._means.placing()
            open_to = [each for each in placing.candidates if each.accepts_writes and each.name not in this_pass.closed]
            available = available_bytes(open_to, usage)
            plan = replace(plan, fits=False, required_bytes=left.copy_bytes, available_bytes=available) if plan else None
            message = f"{left.copy_bytes} bytes have to move, the other backends have {available or 0} left in their quotas"
        known = figures(self._journal, left) | {"last_error": this_pass.error or self._journal.progress.last_error}
        await self._journal.state("Stalled", reason, message, known, plan)


class _Pass:
    """Once through the copies on a backend. `outcomes`: of how many objects; `error`: the last one."""

    def __init__(self, means: Means, backend: str, journal: Journal) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.error = ""
        self.closed: Collection[str] = frozenset()
        self._means, self._backend, self._journal = means, backend, journal
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._refused_bytes: int | None = None
        self._failures_in_row = 0

    async def run(self) -> None:
        after = ""
        while self._failures_in_row < _GIVE_UP_AFTER:
            self.closed = await self._means.metadata.fences() | {self._backend}
            page = await self._means.metadata.copies_on(self._backend, after, PAGE)
            if not page:
                return
            await self._move_all(page)
            after = page[-1].storage_key

    async def _move_all(self, page: Sequence[PlacedCopy]) -> None:
        ended: Ended | None = None
        async with asyncio.TaskGroup() as group:
            for placed in page:
                if placed.found is None or placed.copy is None:
                    continue
                await self._slots.acquire()
                if self._failures_in_row >= _GIVE_UP_AFTER:
                    self._slots.release()
                    break
                group.create_task(self._move_one(placed.found, placed.copy))
                try:
                    await self._note()
                except Ended as error:
                    ended = error  # What is under way may finish: its bytes have been paid for.
                    break
        if ended is not None:
            raise ended
        await self._note(now=True)

    async def _move_one(self, found: StoredObject, copy: Copy) -> None:
        try:
            moved = await self._try(found, copy)
        finally:
            self._slots.release()
        self.outcomes[moved.outcome] += 1
        if moved.outcome in ("moved", "superseded"):
            self._failures_in_row = 0
        if moved.outcome == "moved":
            self._means.meter.copy_moved(copy.backend, moved.target, found.size_bytes)
            self._journal.count(objects=1, size_bytes=found.size_bytes)
        elif moved.outcome != "superseded":
            self.error = f"{found.bucket}/{found.key}: {moved.error}"
            failed = moved.outcome in ("unreachable", "failed")
            self._failures_in_row += failed
            self._journal.count(failed=int(failed), error=self.error)

    async def _try(self, found: StoredObject, copy: Copy) -> Moved:
        if self._refused_bytes is not None and found.size_bytes >= self._refused_bytes:
            return Moved("no_room", error=f"no backend has {found.size_bytes} bytes left")
        placing = self._means.placing()
        ranked = targets(found, placing.candidates, self.closed, self._means.usage(), placing.strategy)
        moved = ranked if isinstance(ranked, Moved) else await self._means.move(found, copy, ranked)
        if moved.outcome == "no_room" and len(found.copies) == 1:
            # A smaller one may still find room; the same size or more will not in this pass.
            self._refused_bytes = min(found.size_bytes, self._refused_bytes or found.size_bytes)
        return moved

    async def _note(self, *, now: bool = False) -> None:
        if now or self._journal.due:
            await self._journal.note(figures(self._journal, await self._means.metadata.remains(self._backend)))


def figures(journal: Journal, left: Remains) -> dict[str, Any]:
    moved = journal.progress
    return {
        "objects_total": moved.objects_moved + left.copies,
        "objects_remaining": left.copies,
        "bytes_total": moved.bytes_moved + left.copy_bytes,
        "bytes_remaining": left.copy_bytes,
        "uploads_remaining": left.uploads,
        "intents_remaining": left.intents,
        "cleanups_remaining": left.cleanups + left.dead,
    }
