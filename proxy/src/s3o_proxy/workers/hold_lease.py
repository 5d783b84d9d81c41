"""Keeps this process's lease alive. While `instance/<id>` lasts, nobody reaps our intents; when we die, it ends.

The lease is written by the time of the database, which is asked for each time: it is the clock of all that is dated until the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from s3o_proxy.domain.lease import LEASE_MS, OwnLease
from s3o_proxy.domain.ledger_clock import LedgerClock
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

log = logging.getLogger(__name__)

WORTH_TELLING_MS = 5_000
"""By which a machine's clock is off, or has changed since it was told last."""


def instance_lease(instance: str) -> str:
    return f"instance/{instance}"


class ClockMeter(Protocol):
    def set_clock_skew(self, seconds: float) -> None:
        """Positive where this machine's clock is ahead of the database's."""
        ...


class HoldLease:
    """`wall`: what this machine's clock shows, ms since the epoch. It is compared and told, and nothing here goes by it."""

    name = "hold_lease"
    singleton = False
    period_ms = LEASE_MS // 6

    def __init__(
        self, metadata: Metadata, instance: str, clock: LedgerClock, lease: OwnLease, wall: Callable[[], int], meter: ClockMeter
    ) -> None:
        self._metadata, self._instance, self._clock, self._lease = metadata, instance, clock, lease
        self._wall, self._meter = wall, meter
        self._told_ms = 0

    async def run_once(self) -> Report:
        asked = self._lease.now()  # Before asking: from then on the ledger's time runs.
        await self._clock.set()
        self._compare()
        await self._metadata.acquire_lease(instance_lease(self._instance), self._instance, self._clock.now_ms(), LEASE_MS)
        self._lease.renewed(asked)
        return Report(done=1)

    def _compare(self) -> None:
        skew_ms = self._wall() - self._clock.now_ms()
        self._meter.set_clock_skew(skew_ms / 1000)
        if abs(skew_ms - self._told_ms) <= WORTH_TELLING_MS:
            return
        self._told_ms = skew_ms
        if abs(skew_ms) <= WORTH_TELLING_MS:
            log.info("the clock of this machine and that of the database agree again")
        else:
            which = "ahead of" if skew_ms > 0 else "behind"
            log.warning("the clock of this machine is %.1f s %s that of the database; one of them is wrong", abs(skew_ms) / 1000, which)
