"""Keys that wait for work: each at most once, and never worked on twice at the same time. What fails comes back later and later."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable

from s3o_operator.plan.observed import Key

_FIRST_S, _MOST_S = 0.5, 60.0


class WorkQueue:
    """`now`: seconds of a monotonic clock. `calm_s`: how long news wait, so that what comes with them is the same piece of work."""

    def __init__(self, now: Callable[[], float], chance: Callable[[], float] = random.random, *, calm_s: float = 0.0) -> None:
        self._now = now
        self._chance = chance
        self._calm_s = calm_s
        self._due: dict[Key, float] = {}
        """The one time at which a key is due. An entry of the heap that says otherwise is out of date."""
        self._heap: list[tuple[float, Key]] = []
        self._working: dict[Key, bool] = {}
        """Keys in work → whether there was news meanwhile."""
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key) -> None:
        """Due as soon as it is calm, whatever back-off it is in: there is news."""
        if key in self._working:
            self._working[key] = True
        else:
            self._schedule(key, self._now() + self._calm_s)

    def add_after(self, key: Key, delay_s: float) -> None:
        """Due then, unless it is due earlier anyway. Of a key that is in work: say it after `done`."""
        self._schedule(key, self._now() + delay_s)

    async def take(self) -> Key:
        """The key that is due first; when none is, when one becomes so. Say `done` or `failed` of it afterwards."""
        while True:
            self._changed.clear()
            delay = self._until_next()
            if delay == 0:
                _, key = heapq.heappop(self._heap)
                del self._due[key]
                self._working[key] = False
                return key
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        self._failures.pop(key, None)
        if self._working.pop(key):
            self._schedule(key, self._now() + self._calm_s)

    def failed(self, key: Key) -> float:
        """Seconds until it is tried again. News do not shorten it: what fails because of its own events must not spin."""
        self._working.pop(key)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay: float = min(_MOST_S, _FIRST_S * 2 ** min(failures - 1, 16)) * (0.5 + self._chance() / 2)
        self._schedule(key, self._now() + delay)
        return delay

    def oldest_s(self) -> float:
        """For how long the key that is due first has been waiting."""
        self._drop_outdated()
        return max(0.0, self._now() - self._heap[0][0]) if self._heap else 0.0

    def __len__(self) -> int:
        return len(self._due)

    def _schedule(self, key: Key, at: float) -> None:
        if key in self._due and self._due[key] <= at:
            return
        self._due[key] = at
        heapq.heappush(self._heap, (at, key))
        self._changed.set()

    def _until_next(self) -> float | None:
        self._drop_outdated()
        return max(0.0, self._heap[0][0] - self._now()) if self._heap else None

    def _drop_outdated(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
