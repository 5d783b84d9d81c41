"""What one run of a worker did, and what a worker is."""

from __future__ import annotations

from typing import Protocol

from s3o_proxy.domain.frozen import frozen


@frozen
class Report:
    """`done`: items repaired; `failed`: items that stay for a later run; `more`: there is work left to do at once."""

    done: int = 0
    failed: int = 0
    more: bool = False


class Worker(Protocol):
    """`name` is what metrics, leases and logs call it. `singleton`: only the holder of the lease `worker/<name>` runs it."""

    name: str
    period_ms: int
    singleton: bool

    async def run_once(self) -> Report: ...
