"""Brings the ledger's counters, fences and queue depths into this process: for placement's ranking and for the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from s3o_proxy.domain.model import Usage
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

Publish = Callable[[Mapping[str, Usage], frozenset[str], Mapping[str, int], Mapping[str, int]], None]
"""Told the usage by backend, the backends that take no new writes, the queue depths, and since when each backend is known."""


class RefreshUsage:
    name = "refresh_usage"
    singleton = False
    period_ms = 5_000

    def __init__(self, metadata: Metadata, publish: Publish) -> None:
        self._metadata, self._publish = metadata, publish

    async def run_once(self) -> Report:
        await self._metadata.ping()  # Whether it is still the one that is expected: connections outlive what they lead to.
        usage = await self._metadata.usage()
        known = await self._metadata.registrations()
        self._publish(usage, await self._metadata.fences(), await self._metadata.queue_depths(), known)
        return Report(done=len(usage))
