"""Whether this process lives, and whether it should be sent requests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from s3o_proxy.domain.errors import DomainError

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[object]]
"""Raises a DomainError while requests cannot be served."""


class Readiness:
    """Says no while the check fails, and from the moment the process begins to stop."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._stopping = False

    def stop(self) -> None:
        """For good: whoever sends requests here shall send them elsewhere."""
        self._stopping = True

    async def reason(self) -> str:
        """Why this process is not ready, for anybody to read; empty when it is. Details stand in the log."""
        if self._stopping:
            return "Stopping"
        try:
            await self._check()
        except DomainError as error:
            logger.warning("not ready: %s", error)
            return type(error).__name__
        return ""
