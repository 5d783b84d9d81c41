"""The row of one operation while it is at work: who reads it sees it move about once a second, however fast the work goes.

Every note asks the row back whether the operation still stands. One that was cancelled raises `Ended` there, between two objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from s3o_proxy.domain.operation import Operation, Plan, Progress, State
from s3o_proxy.metadata.port import Metadata

NOTE_MS = 1_000
NONE: Mapping[str, Any] = MappingProxyType({})
_WINDOW = 30
"""Notes over which the pace is measured."""


class Ended(Exception):
    """Somebody cancelled the operation; what is under way may finish, nothing new begins."""


class Journal:
    def __init__(self, metadata: Metadata, operation: Operation, clock: Callable[[], int]) -> None:
        self.operation = operation
        self._metadata, self._clock = metadata, clock
        self._noted_ms = 0
        self._pace: deque[tuple[int, int]] = deque(maxlen=_WINDOW)

    @property
    def progress(self) -> Progress:
        return self.operation.progress

    @property
    def due(self) -> bool:
        return self._clock() >= self._noted_ms + NOTE_MS

    def count(self, *, objects: int = 0, size_bytes: int = 0, failed: int = 0, error: str = "") -> None:
        """Remember what became of an object; the next note tells."""
        known = self.progress
        self._progress(
            objects_moved=known.objects_moved + objects,
            bytes_moved=known.bytes_moved + size_bytes,
            objects_failed=known.objects_failed + failed,
            last_error=error or known.last_error,
        )

    def begin_pass(self) -> None:
        """What failed in the pass before is tried again."""
        self._progress(objects_failed=0, last_error="")

    async def start(self, plan: Plan) -> None:
        now = self._clock()
        self.operation = replace(self.operation, plan=plan, started_ms=self.operation.started_ms or now)
        await self.state("Running")

    async def state(
        self, state: State, reason: str = "", message: str = "", figures: Mapping[str, Any] = NONE, plan: Plan | None = None
    ) -> None:
        """Note a change of state, at once. Raises Ended."""
        ended_ms = self._clock() if state == "Succeeded" else 0
        self.operation = replace(
            self.operation, state=state, reason=reason, message=message, plan=plan or self.operation.plan, finished_ms=ended_ms
        )
        await self.note(figures)

    async def note(self, figures: Mapping[str, Any] = NONE) -> None:
        """Note how far it is: `figures` are fields of Progress. Raises Ended."""
        now = self._clock()
        self._progress(**figures)
        self._pace.append((now, self.progress.bytes_moved))
        self._progress(**self._expected(now))
        self.operation = replace(self.operation, updated_ms=now)
        self._noted_ms = now
        if not await self._metadata.record_operation(self.operation):
            raise Ended

    def _progress(self, **changes: Any) -> None:
        self.operation = replace(self.operation, progress=replace(self.operation.progress, **changes))

    def _expected(self, now: int) -> dict[str, int]:
        first_ms, first_bytes = self._pace[0]
        per_s = (self.progress.bytes_moved - first_bytes) * 1000 // (now - first_ms) if now > first_ms else 0
        left = self.progress.bytes_remaining
        return {"bytes_per_second": per_s, "estimated_ms": now + left * 1000 // per_s if per_s and left else 0}
