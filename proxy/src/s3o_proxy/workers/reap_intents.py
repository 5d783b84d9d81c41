"""Settles writes that nobody finishes any more.

An intent is deleted by the very transaction that commits its write. So an intent whose owner is gone was not committed: nobody was
told that it was, and its bytes go to the cleanup queue. It is never promoted; nothing that was deleted can come back through here.
"""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.metadata.forsaken import Forsaken
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

BATCH = 500


class ReapIntents:
    name = "reap_intents"
    singleton = False  # Each process also settles what it forsook itself.
    period_ms = 15_000

    def __init__(self, metadata: Metadata, forsaken: Forsaken, clock: Callable[[], int], wake_cleanup: Callable[[], None]) -> None:
        self._metadata, self._forsaken, self._clock, self._wake_cleanup = metadata, forsaken, clock, wake_cleanup

    async def run_once(self) -> Report:
        settled = await self._forsaken.settle_all()
        reaped = await self._metadata.reap_intents(self._clock(), BATCH)
        if settled or reaped:
            self._wake_cleanup()
        return Report(done=settled + reaped, more=reaped == BATCH)
