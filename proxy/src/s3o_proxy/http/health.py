"""Whether this process lives, and whether it should be sent requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

Check = Callable[[], Awaitable[Sequence[str]]]
"""Why this process cannot serve now, one sentence each; nothing where it can."""


class Readiness:
    """Says no while a check finds a reason, and from the moment the process begins to stop."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._stopping = False

    def stop(self) -> None:
        """For good: whoever sends requests here shall send them elsewhere."""
        self._stopping = True

    async def reasons(self) -> list[str]:
        if self._stopping:
            return ["the process is stopping"]
        return list(await self._check())
