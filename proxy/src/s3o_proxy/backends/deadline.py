"""A time-out that only runs while a backend is waited for, and is pushed forward whenever it makes progress.

One timer for a call, however many pieces its body has: moving the deadline is an addition and a comparison. (`asyncio.timeout` moves by
a new timer each time, `asyncio.wait_for` by a new task.)
"""

from __future__ import annotations

import asyncio
import math


class Deadline:
    """Cancels the waiting task when the allowed time is over; whoever sees that CancelledError asks `take_back` whether it was this.

    `waited_s`: the time that was spent waiting so far, pauses left out.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self._since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling_before = 0
        self._passed = False
        self._stopped = False
        self.waited_s = 0.0

    def start(self, allowed_s: float) -> None:
        """From now on the current task waits, at most so long."""
        self._task = asyncio.current_task()
        self._cancelling_before = self._task.cancelling() if self._task else 0
        self.allow(allowed_s)

    def allow(self, allowed_s: float) -> None:
        """There was progress: so long for the next. Any task may say so."""
        if self._passed or self._stopped:
            return  # A body that is being torn down must not time the next thing that the task does.
        now = self._loop.time()
        self._since = now if self._since is None else self._since
        self._due = now + allowed_s
        if self._timer is not None and self._timer.when() > self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._ring)

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

    def _ring(self) -> None:
        self._timer = None
        if self._due > self._loop.time():
            if self._due != math.inf:
                self._timer = self._loop.call_at(self._due, self._ring)
            return
        self._due = math.inf
        if self._task is not None:
            self._passed = True
            self._task.cancel()
