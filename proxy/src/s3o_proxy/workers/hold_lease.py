"""Keeps this process's lease alive. While `instance/<id>` lasts, nobody reaps our intents; when we die, it ends."""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.domain.lease import LEASE_MS, OwnLease
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report


def instance_lease(instance: str) -> str:
    return f"instance/{instance}"


class HoldLease:
    name = "hold_lease"
    singleton = False
    period_ms = LEASE_MS // 6

    def __init__(self, metadata: Metadata, instance: str, clock: Callable[[], int], lease: OwnLease) -> None:
        self._metadata, self._instance, self._clock, self._lease = metadata, instance, clock, lease

    async def run_once(self) -> Report:
        asked = self._lease.now()  # Before asking: from then on the ledger's time runs.
        await self._metadata.acquire_lease(instance_lease(self._instance), self._instance, self._clock(), LEASE_MS)
        self._lease.renewed(asked)
        return Report(done=1)
