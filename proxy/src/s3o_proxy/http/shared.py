"""One answer for all who ask the same at once: of what anybody may ask, who need not say who he is, and what is not cheap to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_LONGEST_REST_S = 1.0

Answer = TypeVar("Answer")


class Shared(Generic[Answer]):
    """One is found at a time, for all who ask until it is found.

    `rest`: for how many times as long as it took nobody begins anew, a second at most; who asks meanwhile waits. With 4, whoever asks
    without end has a fifth of our time.
    """

    def __init__(self, find: Callable[[], Awaitable[Answer]], rest: int = 0, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._find, self._rest, self._clock_s = find, rest, clock_s
        self._rests_until_s = 0.0
        self._finding: asyncio.Task[Answer] | None = None

    async def __call__(self) -> Answer:
        """Raises what finding it raises."""
        if self._finding is None:
            self._finding = asyncio.get_running_loop().create_task(self._run())
            self._finding.add_done_callback(_heard)
        # One who goes away takes nothing from the others.
        return await asyncio.shield(self._finding)

    async def _run(self) -> Answer:
        # First the rest: what was found before it would be old when it is told.
        await asyncio.sleep(max(0.0, self._rests_until_s - self._clock_s()))
        began_s = self._clock_s()
        try:
            return await self._find()
        finally:
            ended_s = self._clock_s()
            self._rests_until_s = ended_s + min(_LONGEST_REST_S, self._rest * (ended_s - began_s))
            self._finding = None


def _heard(found: asyncio.Task[Answer]) -> None:
    """All who waited for it may be gone: a failure is no news to anybody then."""
    if not found.cancelled():
        found.exception()
