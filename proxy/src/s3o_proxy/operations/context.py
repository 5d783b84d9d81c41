"""What every story is told with: who asks, the configuration of this moment, and the two stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from s3o_crds.compiled import BucketConfig
from s3o_proxy.backends.port import BackendSet
from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.domain.errors import NoSuchBucket
from s3o_proxy.domain.forsaken import Forsaken
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.lease import OwnLease
from s3o_proxy.domain.patience import Making
from s3o_proxy.domain.placement import Candidate
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.operations.usage_view import UsageView
from s3o_proxy.s3.body import Body


@frozen
class Context:
    """`buckets`: those the asking credential may use. `instance`: this process, as owner of intents. `clock`: the
    ledger's, ms since the epoch.

    `lease`: what this process knows of its own.
    """

    snapshot: Snapshot
    buckets: frozenset[str]
    metadata: Metadata
    backends: BackendSet
    usage: UsageView
    forsaken: Forsaken
    instance: str
    lease: OwnLease
    clock: Callable[[], int]
    new_id: Callable[[], str]
    wake_cleanup: Callable[[], None]
    body: Body

    def require_bucket(self, name: str) -> BucketConfig:
        bucket = self.snapshot.bucket(name)
        if bucket is None:
            raise NoSuchBucket(name)
        return bucket

    def candidates(self) -> Sequence[Candidate]:
        """The backends in Pack order, as placement sees them."""
        known = self.snapshot.candidates
        if not self.usage.fenced:
            return known
        if all(each.name in self.usage.fenced for each in known if each.accepts_writes):
            return known  # What is known here is some seconds old: before a client is told that nobody accepts, the ledger is asked.
        return [replace(each, accepts_writes=False) if each.name in self.usage.fenced else each for each in known]


class Placing:
    """A snapshot as placement sees it, and how long what was asked of any of its backends settles."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.generation = snapshot.generation
        self.strategy = snapshot.config.routing_strategy
        self.candidates = snapshot.candidates
        self._snapshot = snapshot

    def serves(self, bucket: str) -> bool:
        return self._snapshot.bucket(bucket) is not None

    def settle_ms(self, asked: Making) -> int:
        backends = [backend.name for backend in self._snapshot.backends]
        # "" is none of them: one that was removed may still hold uploads.
        return max(self._snapshot.settle_ms(name, asked) for name in (*backends, ""))
