"""Keeps this process's lease alive. While `instance/<id>` lasts, nobody reaps our intents; when we die, it ends."""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

LEASE_MS = 30_000


def instance_lease(instance: str) -> str:
    return f"instance/{instance}"


class HoldLease:
    name = "hold_lease"
    singleton = False
    period_ms = LEASE_MS // 6

    def __init__(self, metadata: Metadata, instance: str, clock: Callable[[], int]) -> None:
        self._metadata, self._instance, self._clock = metadata, instance, clock

    async def run_once(self) -> Report:
        await self._metadata.acquire_lease(instance_lease(self._instance), self._instance, self._clock(), LEASE_MS)
        return Report(done=1)
