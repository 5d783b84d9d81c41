"""Brings the ledger's counters and queue depths into this process: for placement's ranking and for the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from s3o_proxy.domain.model import Usage
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report


class RefreshUsage:
    name = "refresh_usage"
    singleton = False
    period_ms = 5_000

    def __init__(self, metadata: Metadata, publish: Callable[[Mapping[str, Usage], Mapping[str, int]], None]) -> None:
        self._metadata, self._publish = metadata, publish

    async def run_once(self) -> Report:
        usage = await self._metadata.usage()
        self._publish(usage, await self._metadata.queue_depths())
        return Report(done=len(usage))
