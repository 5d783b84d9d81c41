"""One timer for all the time limits of a connection, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_EARLY_S = 0.002
"""The loop may fire a little before the time: its clock has a resolution."""


class Deadline:
    """The limit moves with every piece of a body, so moving it later costs only an attribute: the timer looks when it fires."""

    __slots__ = ("_at", "_expired", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._at: float | None = None
        self._expired: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, after_ms: int, expired: Callable[[], None]) -> None:
        """Replace the limit, if there is one. `expired` is called once, when this one passes; it may set the next."""
        at = self._loop.time() + after_ms / 1000
        self._at, self._expired = at, expired
        if self._timer is None or self._timer.when() > at:
            self._arm(at)

    def clear(self) -> None:
        """No limit for now. The timer stays: it will find nothing to do, or a later limit."""
        self._at = self._expired = None

    def close(self) -> None:
        self.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        at, expired = self._at, self._expired
        if at is None or expired is None:
            return
        if self._loop.time() + _EARLY_S < at:
            self._arm(at)
            return
        self.clear()
        expired()
