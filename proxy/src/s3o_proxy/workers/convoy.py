"""Once through the copies on a backend: something is done with each, a few at a time, and what became of them is counted.

It ends early when nothing succeeds any more, so that a backend that is away is not asked ten million times; and when its operation was
cancelled: what is under way then may finish, its bytes have been paid for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from s3o_proxy.domain.errors import MetadataError
from s3o_proxy.domain.model import Copy, StoredObject
from s3o_proxy.domain.moving import Moved, Outcome
from s3o_proxy.workers.journal import Ended, Journal
from s3o_proxy.workers.means import Means

PAGE = 200
CONCURRENCY = 8
"""Objects at a time: so many pieces of a body are in memory, whatever the objects' size."""
_GIVE_UP_AFTER = 3 * CONCURRENCY
"""Failures without one success."""
_REPORT_S = 5.0

Act = Callable[[StoredObject, Copy], Awaitable[Moved | None]]
"""Does it with one copy; None where there is nothing to do."""

Figures = Callable[[], Awaitable[Mapping[str, Any]]]
"""How far the operation is: fields of Progress."""


class Convoy:
    """`outcomes`: of how many copies; `error`: the last one."""

    def __init__(self, means: Means, journal: Journal, backend: str, act: Act, figures: Figures) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.error = ""
        self._means, self._journal, self._backend, self._act, self._figures = means, journal, backend, act, figures
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._failures_in_row = 0
        self._ended = False

    async def run(self, before_page: Callable[[], Awaitable[bool]]) -> None:
        """`before_page` is asked whether to go on. Raises Ended, MetadataError."""
        self._journal.begin_pass()
        reporting = asyncio.create_task(self._report())
        try:
            async with asyncio.TaskGroup() as group:
                await self._begin_all(group, before_page)
        finally:
            reporting.cancel()
            await asyncio.wait({reporting})
        if self._ended:
            raise Ended
        await self._journal.note(await self._figures())

    async def _report(self) -> None:
        """Large objects take hours: their operation is seen to be alive meanwhile."""
        while not self._ended:
            await asyncio.sleep(_REPORT_S)
            try:
                await self._note()
            except MetadataError:
                return  # The convoy itself comes upon it at the next object.

    async def _begin_all(self, group: asyncio.TaskGroup, before_page: Callable[[], Awaitable[bool]]) -> None:
        """Page after page without a pause between them: a large object holds up one slot, and no other."""
        after = ""
        while not self._ended and self._failures_in_row < _GIVE_UP_AFTER and await before_page():
            page = await self._means.metadata.copies_on(self._backend, after, PAGE)
            if not page:
                return
            for placed in page:
                if placed.found is None or placed.copy is None:
                    continue
                await self._slots.acquire()
                if self._ended or self._failures_in_row >= _GIVE_UP_AFTER:
                    return
                group.create_task(self._take_one(placed.found, placed.copy))
                await self._note()
            after = page[-1].storage_key

    async def _note(self) -> None:
        if self._journal.due and not self._ended:
            try:
                await self._journal.note(await self._figures())
            except Ended:
                self._ended = True

    async def _take_one(self, found: StoredObject, copy: Copy) -> None:
        try:
            moved = await self._act(found, copy)
        finally:
            self._slots.release()
        if moved is None:
            return
        self.outcomes[moved.outcome] += 1
        if moved.outcome in ("moved", "superseded"):
            self._failures_in_row = 0
        if moved.outcome == "moved":
            self._journal.count(objects=1, size_bytes=found.size_bytes)
            if moved.target:
                self._means.meter.copy_moved(copy.backend, moved.target, found.size_bytes)
        elif moved.outcome != "superseded":
            self.error = f"{found.bucket}/{found.key}: {moved.error}"
            # Bytes that are gone or corrupt say nothing of the backend, which answers: however many come first, the rest is reached.
            self._failures_in_row += moved.outcome in ("unreachable", "failed")
            self._journal.count(failed=int(moved.outcome in ("unreachable", "gone", "corrupt", "failed")), error=self.error)
