"""Counts what each bucket holds, for people to see. Nothing is decided by it, so it may be minutes old.

One process of the fleet walks all objects in the order of their keys, for at most a twentieth of the time, and keeps the result in the
database, from where every process reads it. A quarter of a million objects take one step; a hundred million take about an hour a walk. A
count on every write instead would make writes to one bucket wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from s3o_proxy.domain.model import BucketUsage
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

_PAGE = 10_000
_START = ("", "")


class CountBuckets:
    """`buckets`: names of those that are served; one without an object counts, too."""

    name = "count_buckets"
    singleton = True
    period_ms = 10_000
    budget_ms = 500
    """Of each period."""
    rest_ms = 60_000
    """From the end of a walk to the start of the next."""

    def __init__(self, metadata: Metadata, buckets: Callable[[], list[str]], clock: Callable[[], int]) -> None:
        self._metadata, self._buckets, self._clock = metadata, buckets, clock
        self._after, self._counts = _START, dict[str, BucketUsage]()
        self._due_ms = 0

    async def run_once(self) -> Report:
        """A step of the walk; nothing while the last one is fresh enough."""
        began_ms = self._clock()
        if self._after == _START and began_ms < self._due_ms:
            return Report()
        done = 0
        while True:
            page, following = await self._metadata.count_objects(self._after, _PAGE)
            for one in page:
                self._add(one)
            done += (counted := sum(one.objects for one in page))
            if counted < _PAGE:
                await self._finish()
                return Report(done=done)
            self._after = following
            if self._clock() - began_ms >= self.budget_ms:
                return Report(done=done)

    def _add(self, more: BucketUsage) -> None:
        before = self._counts.get(more.bucket, BucketUsage(more.bucket))
        self._counts[more.bucket] = BucketUsage(more.bucket, before.objects + more.objects, before.size_bytes + more.size_bytes)

    async def _finish(self) -> None:
        empty = {name: BucketUsage(name) for name in self._buckets()}
        await self._metadata.keep_counts(tuple((empty | self._counts).values()), self._clock())
        self._after, self._counts, self._due_ms = _START, {}, self._clock() + self.rest_ms


class ReadCounts:
    """Brings what was counted into this process."""

    name = "read_counts"
    singleton = False
    period_ms = 20_000

    def __init__(self, metadata: Metadata, publish: Callable[[Mapping[str, BucketUsage]], None]) -> None:
        self._metadata, self._publish = metadata, publish

    async def run_once(self) -> Report:
        counts = await self._metadata.bucket_usage()
        self._publish(counts)
        return Report(done=len(counts))
