"""Has the processes agree in which bucket each backend lies, and says so where they do not.

The ledger's word counts: who would write to another bucket is refused. Some process said it, and it stands while one lives that says the
same. Where none does, because it died before the others heard of its configuration, or nobody serves that configuration any more, those who
are refused say theirs, as they would if they started now: where bytes are left, nothing changes. Nor does it where the ledger was made to
forget the backend: then it left the configuration of the others, and who has not heard of that must not write there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from s3o_proxy.backends.port import BackendSet
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.check_backends import Check
from s3o_proxy.workers.report import Report

log = logging.getLogger(__name__)

PATIENCE_MS = 120_000
"""Longer than a new configuration takes to reach every pod: until then processes differ, and nothing is wrong."""

_Since = Mapping[tuple[str, str], int]
"""Of a backend and the bucket where the ledger has it ('': nowhere), since when it is so."""


class AgreeOnBuckets:
    """`locate`: has the ledger take a backend for where this process would write. `ticks`: milliseconds since some moment; never jumps."""

    name = "agree_on_buckets"
    singleton = False  # Each process speaks for itself.
    period_ms = 15_000

    def __init__(
        self,
        metadata: Metadata,
        backends: BackendSet,
        instance: str,
        locate: Callable[[str], Awaitable[None]],
        clock: Callable[[], int],
        ticks: Callable[[], int],
    ) -> None:
        self._metadata, self._backends, self._instance, self._locate = metadata, backends, instance, locate
        self._clock, self._ticks = clock, ticks
        self._elsewhere: _Since = {}
        self._nobodys: _Since = {}
        """Those of them for which nobody who lives vouches."""
        self._refusals: dict[str, str] = {}
        """Why one of those stays where it is."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """Of the backends that have been elsewhere for long."""
        serving, now = self._backends.buckets(), self._ticks()
        return {
            name: Check("BucketElsewhere", self._refusals.get(name) or _difference(name, bucket, serving[name]))
            for (name, bucket), since in self._elsewhere.items()
            if serving.get(name, bucket) != bucket and now - since >= PATIENCE_MS
        }

    async def run_once(self) -> Report:
        serving, located = self._backends.buckets(), await self._metadata.located()
        vouched = await self._metadata.vouched(self._clock())
        elsewhere = [(name, located.get(name, "")) for name, bucket in serving.items() if located.get(name, "") != bucket]
        self._note(elsewhere, [(name, bucket) for name, bucket in elsewhere if bucket and name not in vouched], serving)
        ours = {name: bucket for name, bucket in serving.items() if located.get(name) == bucket and name not in vouched}
        if ours:
            await self._metadata.locate_backends(ours, self._instance)
        given_up = [name for (name, _), since in self._nobodys.items() if self._ticks() - since >= PATIENCE_MS]
        taken = [await self._take(name) for name in given_up]
        return Report(done=len(ours) + sum(taken), failed=len(elsewhere) - sum(taken))

    def _note(self, elsewhere: Collection[tuple[str, str]], nobodys: Collection[tuple[str, str]], serving: Mapping[str, str]) -> None:
        now, before = self._ticks(), self._elsewhere
        self._elsewhere = {each: before.get(each, now) for each in elsewhere}
        self._nobodys = {each: self._nobodys.get(each, now) for each in nobodys}
        self._refusals = {name: why for name, why in self._refusals.items() if any(each[0] == name for each in nobodys)}
        for name, bucket in self._elsewhere.keys() - before.keys():
            log.warning("nothing is written there: %s", _difference(name, bucket, serving[name]), extra={"backend": name})

    async def _take(self, name: str) -> bool:
        try:
            await self._locate(name)
        except ConfigError as error:
            if self._refusals.get(name) != str(error):
                log.warning("it stays so: %s", error, extra={"backend": name})
            self._refusals[name] = str(error)
            return False
        log.warning("backend %s lies in the bucket of this configuration again: nobody who lives said another", name)
        return True


def _difference(name: str, located: str, bucket: str) -> str:
    there = f"the database has its bytes in the bucket {located}" if located else "the database knows it no more"
    return f"backend {name}: {there}, the configuration that is served here names {bucket}"
