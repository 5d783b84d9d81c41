"""One answer for all who ask the same at once: of what anybody may ask, who need not say who he is, and what is not cheap to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

_LONGEST_REST_S = 1.0

Answer = TypeVar("Answer")


class Pace:
    """One is found at a time, of all that share it, and then nobody begins anew for `rest` times as long as it took, a second at most.

    With 4, whoever asks without end has a fifth of our time, in however many ways he may ask.
    """

    def __init__(self, rest: int = 0, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._rest, self._clock_s = rest, clock_s
        self._rests_until_s = 0.0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._turn:
            # First the rest: what was found before it would be old when it is told.
            await asyncio.sleep(max(0.0, self._rests_until_s - self._clock_s()))
            began_s = self._clock_s()
            try:
                yield
            finally:
                ended_s = self._clock_s()
                self._rests_until_s = ended_s + min(_LONGEST_REST_S, self._rest * (ended_s - began_s))


class Shared(Generic[Answer]):
    """One is found at a time, for all who ask until it is found; who asks while its `pace` rests waits."""

    def __init__(self, find: Callable[[], Awaitable[Answer]], pace: Pace | None = None) -> None:
        self._find, self._pace = find, pace or Pace()
        self._finding: asyncio.Task[Answer] | None = None

    async def __call__(self) -> Answer:
        """Raises what finding it raises."""
        if self._finding is None:
            self._finding = asyncio.get_running_loop().create_task(self._run())
            self._finding.add_done_callback(_heard)
        # One who goes away takes nothing from the others.
        return await asyncio.shield(self._finding)

    async def _run(self) -> Answer:
        try:
            async with self._pace.turn():
                return await self._find()
        finally:
            self._finding = None


def _heard(found: asyncio.Task[Answer]) -> None:
    """All who waited for it may be gone: a failure is no news to anybody then."""
    if not found.cancelled():
        found.exception()
