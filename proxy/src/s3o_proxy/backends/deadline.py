"""A time-out that only runs while a backend is waited for, and is pushed forward whenever it makes progress.

One timer for a call, however many pieces its body has: moving the deadline is an addition and a comparison. (`asyncio.timeout` moves by
a new timer each time, `asyncio.wait_for` by a new task.)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

_LOOKS = 8
"""How often progress is looked for in an allowed time: so much of it may pass before its beginning is noticed."""


class Deadline:
    """Cancels the waiting task when the allowed time is over; whoever sees that CancelledError asks `take_back` whether it was this.

    `waited_s`: the time that was spent waiting so far, pauses left out.
    """

    __slots__ = (
        *("_allowed_s", "_cancelling_before", "_due", "_loop", "_passed", "_reached", "_reached_bytes", "_rings_at"),
        *("_since", "_stopped", "_task", "_timer", "waited_s"),
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._due = math.inf
        self._allowed_s = 0.0
        self._reached: Callable[[], int] | None = None
        self._reached_bytes = 0
        self._since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling_before = 0
        self._passed = False
        self._stopped = False
        self.waited_s = 0.0

    def start(self, allowed_s: float) -> None:
        """From now on the current task waits, at most so long."""
        self._task = asyncio.current_task(self._loop)
        self._cancelling_before = self._task.cancelling() if self._task else 0
        self.allow(allowed_s)

    def allow(self, allowed_s: float) -> None:
        """There was progress: so long for the next. Any task may say so."""
        if self._passed or self._stopped:
            return  # A body that is being torn down must not time the next thing that the task does.
        now = self._loop.time()
        self._since = now if self._since is None else self._since
        self._allowed_s, self._due = allowed_s, now + allowed_s
        self._arm(now)

    def watch(self, reached: Callable[[], int]) -> None:
        """`reached` counts bytes that are with the backend: while they get more there is progress, though nobody says so."""
        self._reached, self._reached_bytes = reached, reached()
        if self._due != math.inf:
            self._arm(self._loop.time())

    def pause(self) -> None:
        """It is not the backend's turn. The timer is left to ring in vain: cheaper than a new one for each piece."""
        self._due = math.inf
        if self._since is not None:
            self.waited_s += self._loop.time() - self._since
            self._since = None

    def stop(self) -> None:
        self.pause()
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_back(self) -> bool:
        """True when the deadline passed, and nobody else asked the task to stop: then its cancellation is over."""
        if not self._passed or self._task is None:
            return False
        self._passed = False
        return self._task.uncancel() <= self._cancelling_before

    def _arm(self, now: float) -> None:
        at = self._due if self._reached is None else min(self._due, now + self._allowed_s / _LOOKS)
        if self._timer is not None:
            if self._rings_at <= at:
                return  # It will ring in vain, and be set again.
            self._timer.cancel()
        self._rings_at = at
        self._timer = self._loop.call_later(at - now, self._ring)  # uvloop's call_at costs as much as two of these.

    def _ring(self) -> None:
        self._timer = None
        if self._due == math.inf:
            return
        now = self._loop.time()
        if self._has_moved():
            self._due = now + self._allowed_s
        if self._due > now:
            self._arm(now)
            return
        self._due = math.inf
        if self._task is not None:
            self._passed = True
            self._task.cancel()

    def _has_moved(self) -> bool:
        reached = self._reached() if self._reached is not None else 0
        if reached <= self._reached_bytes:
            return False
        self._reached_bytes = reached
        return True
