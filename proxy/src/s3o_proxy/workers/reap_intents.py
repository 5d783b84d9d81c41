"""Settles writes that nobody finishes any more.

An intent is deleted by the very transaction that commits its write. So an intent whose owner is gone was not committed: nobody was
told that it was, and its bytes go to the cleanup queue. It is never promoted; nothing that was deleted can come back through here.

A lease that ended says that its owner is dead, unless nobody could renew any: while the database was away, or this machine slept; or
unless it was written by another clock, before that of the database was set. So a process takes nobody for dead before it has renewed
its own with ease, by one clock, for as long as a lease lasts: by then the living have renewed theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.domain.forsaken import Forsaken
from s3o_proxy.domain.lease import LEASE_MS, OwnLease
from s3o_proxy.domain.ledger_clock import LedgerClock
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

BATCH = 500


class ReapIntents:
    name = "reap_intents"
    singleton = False  # Each process also settles what it forsook itself.
    period_ms = 15_000

    def __init__(
        self,
        metadata: Metadata,
        forsaken: Forsaken,
        instance: str,
        lease: OwnLease,
        clock: LedgerClock,
        wake_cleanup: Callable[[], None],
    ) -> None:
        self._metadata, self._forsaken, self._instance, self._lease = metadata, forsaken, instance, lease
        self._clock, self._wake_cleanup = clock, wake_cleanup

    async def run_once(self) -> Report:
        settled = await self._forsaken.settle_all()
        reaped = 0
        if self._lease.steady_ms() >= LEASE_MS:
            now_ms = await self._clock.set()  # Now, not some seconds ago: the living may have renewed theirs by a clock that was set since.
            if self._clock.steady_ms() >= LEASE_MS:
                reaped = await self._metadata.reap_intents(now_ms, BATCH, self._instance)
        if settled or reaped:
            self._wake_cleanup()
        return Report(done=settled + reaped, more=reaped == BATCH)
