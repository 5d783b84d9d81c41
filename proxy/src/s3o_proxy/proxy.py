"""One process of the fleet, put together: what a request is told with, which workers there are, and what is known of the ledger."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ulid import ULID

from s3o_proxy.backends.registry import Backends
from s3o_proxy.config.errors import ConfigError, ConfigNotYet
from s3o_proxy.config.snapshot import Credential, Snapshot
from s3o_proxy.config.watch import LiveConfig
from s3o_proxy.domain.errors import BackendInUse, MetadataError, MetadataUnavailable
from s3o_proxy.domain.forsaken import Forsaken
from s3o_proxy.domain.lease import OwnLease
from s3o_proxy.domain.ledger_clock import LedgerClock
from s3o_proxy.domain.model import BucketUsage, Copy, StoredObject, Usage
from s3o_proxy.domain.moving import Moved
from s3o_proxy.domain.placement import Candidate
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.operations.context import Context, Placing
from s3o_proxy.operations.copied_body import NoBody
from s3o_proxy.operations.dispatch import perform
from s3o_proxy.operations.move_object import move_copy
from s3o_proxy.operations.usage_view import UsageView
from s3o_proxy.s3.body import Body
from s3o_proxy.s3.operation import Operation, Result
from s3o_proxy.telemetry.metrics import Metrics
from s3o_proxy.workers.abort_stale_uploads import AbortStaleUploads
from s3o_proxy.workers.agree_on_buckets import AgreeOnBuckets
from s3o_proxy.workers.check_backends import Check, CheckBackends
from s3o_proxy.workers.clean_up import CleanUp
from s3o_proxy.workers.count_buckets import CountBuckets, ReadCounts
from s3o_proxy.workers.desk import Desk
from s3o_proxy.workers.driver import Driver
from s3o_proxy.workers.hold_lease import HoldLease, instance_lease
from s3o_proxy.workers.means import Means
from s3o_proxy.workers.operate import Operate
from s3o_proxy.workers.reap_intents import ReapIntents
from s3o_proxy.workers.refresh_usage import RefreshUsage
from s3o_proxy.workers.report import Worker
from s3o_proxy.workers.roster import Role, workers_of

log = logging.getLogger(__name__)

_BEGIN_AGAIN_S = 2.0


def wall_ms() -> int:
    """What this machine's clock shows, which may be wrong: for what stays here, and for what clients sign and are told."""
    return time.time_ns() // 1_000_000


def ticks_ms() -> int:
    """Of a clock that nobody sets and that goes on while the machine sleeps, where the system has one (Linux; macOS's stands still)."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def new_id() -> str:
    """A ULID: unique without asking anybody, and in the order of time."""
    return str(ULID())


class Proxy:
    """One process of the fleet: its configuration, its two stores, and its workers. Implements `http.endpoint.Application`."""

    def __init__(self, config: LiveConfig, metadata: Metadata, backends: Backends, metrics: Metrics, role: Role = Role.ALL) -> None:
        self._config, self._metadata, self._backends, self._metrics = config, metadata, backends, metrics
        self._usage, self._forsaken, self.instance = UsageView(), Forsaken(), new_id()
        self._depths: Mapping[str, int] = {}
        self._registrations: Mapping[str, int] = {}
        self._begun, self._adopting = False, asyncio.Lock()
        self._lease, self._clock = OwnLease(ticks_ms), LedgerClock(metadata.now_ms, ticks_ms)
        now_ms = self._clock.now_ms
        self._hold_lease = HoldLease(metadata, self.instance, self._clock, self._lease, wall_ms, metrics)
        self._refresh_usage = RefreshUsage(metadata, self._publish)
        self._means = Means(
            metadata=metadata,
            move=self._move,
            placing=lambda: Placing(self.snapshot),
            usage=lambda: self.usage,
            clock=now_ms,
            wake_cleanup=self._wake_cleanup,
            meter=metrics,
        )
        self.desk = Desk(self._means, new_id, self._wake_operate)
        self._counts: Mapping[str, BucketUsage] = {}
        self._check_backends = CheckBackends(backends, lambda: self.snapshot, wall_ms)
        self._agree = AgreeOnBuckets(metadata, backends, self.instance, self._locate_again, now_ms, ticks_ms)
        reap = ReapIntents(metadata, self._forsaken, self.instance, self._lease, self._clock, self._wake_cleanup)
        seeing: list[Worker] = [self._check_backends, ReadCounts(metadata, self._publish_counts)]
        every_process: list[Worker] = [self._hold_lease, self._refresh_usage, reap, self._agree, *seeing]
        repair: list[Worker] = [
            CleanUp(metadata, backends, self.instance, now_ms, lambda: self.snapshot.config.cleanup.concurrency),
            AbortStaleUploads(self._means, lambda: self.snapshot.config.cleanup.multipart_stale_timeout_ms),
            Operate(self._means),
            CountBuckets(metadata, lambda: [bucket.name for bucket in self.snapshot.buckets], now_ms),
        ]
        roster = workers_of(role, every_process=every_process, repair=repair)
        self._driver = Driver(roster, metadata, self.instance, now_ms, metrics)

    @property
    def snapshot(self) -> Snapshot:
        return self._config.current

    @property
    def config_refusal(self) -> tuple[str, ...]:
        return self._config.refusal

    @property
    def usage(self) -> Mapping[str, Usage]:
        return self._usage.by_backend

    @property
    def registrations(self) -> Mapping[str, int]:
        return self._registrations

    @property
    def queue_depths(self) -> Mapping[str, int]:
        return self._depths

    @property
    def bucket_usage(self) -> Mapping[str, BucketUsage]:
        return self._counts

    @property
    def database_id(self) -> str:
        return self._metadata.identity.found

    @property
    def checks(self) -> Mapping[str, Check]:
        return {**self._check_backends.checks, **self._agree.checks}

    def clock(self) -> int:
        return wall_ms()

    async def perform(self, credential: Credential, operation: Operation, body: Body) -> Result:
        self._require_service()
        return await perform(self._context(credential.buckets, body), operation)

    async def _move(self, found: StoredObject, copy: Copy, ranked: Sequence[Candidate]) -> Moved:
        return await move_copy(self._context(frozenset(), NoBody()), found, copy, ranked)

    def _context(self, buckets: frozenset[str], body: Body) -> Context:
        return Context(
            snapshot=self.snapshot,
            buckets=buckets,
            metadata=self._metadata,
            backends=self._backends,
            usage=self._usage,
            forsaken=self._forsaken,
            instance=self.instance,
            lease=self._lease,
            clock=self._clock.now_ms,
            new_id=new_id,
            wake_cleanup=self._wake_cleanup,
            body=body,
        )

    async def why_not_ready(self) -> list[str]:
        """Why requests cannot be served now, one sentence each."""
        try:
            await self._metadata.ping()
            self._require_service()
        except MetadataError as error:
            return [str(error)]
        return []

    async def check_readiness(self) -> None:
        """Raises MetadataError while requests should go elsewhere, if there is anywhere else. A database that is away is away for every
        process alike, and then a client is told so; one that is not the right one may be this process's alone."""
        await self.why_not_ready()
        self._require_service()

    def _require_service(self) -> None:
        """Also what needs no row is not answered beside a database that knows nothing of it. Raises MetadataError."""
        self._metadata.identity.require()
        if not self._begun:
            raise MetadataUnavailable("this process has not begun yet: the database was not the one that is expected")

    async def begin(self) -> None:
        """Before the first request: our lease stands before any intent names us, and the counters exist before any reservation. By the
        lease we know the database's time, too.
        Raises MetadataError: then nothing is served, until it is called again."""
        async with self._adopting:
            await self._adopt(self.snapshot)
        await self._hold_lease.run_once()
        await self._refresh_usage.run_once()
        self._begun = True

    async def adopt(self, snapshot: Snapshot) -> None:
        """Make a configuration's backends usable, before anybody is told of them. Raises ConfigError, MetadataError."""
        async with self._adopting:
            await self._adopt(snapshot)

    async def _adopt(self, snapshot: Snapshot) -> None:
        # Whatever becomes of the rest, and never forgotten: who does not expect anything takes any database for the right one.
        self._metadata.identity.expected = snapshot.config.database_id or self._metadata.identity.expected
        await self._metadata.ping()
        await self._locate(_buckets_of(snapshot))
        try:
            await self._backends.apply(snapshot.backends, snapshot.secrets)
        except ValueError as error:
            await self._locate(_buckets_of(self.snapshot))  # These we go on serving.
            raise ConfigError([str(error)]) from error

    async def _locate(self, buckets: Mapping[str, str]) -> None:
        """In another bucket nothing of a backend would be found, and what is to be deleted would count as deleted: so a name may be used
        anew only where nothing is left of its bytes. From then on the ledger grants nothing to whoever still writes to the old bucket."""
        # Again, should somebody with another configuration, who begins just now, come between.
        while (located := await self._metadata.locate_backends(buckets, self.instance)) != buckets:
            await self._move_backends(located, buckets)

    async def _locate_again(self, name: str) -> None:
        """Raises ConfigError, MetadataError."""
        async with self._adopting:
            await self._locate({each: bucket for each, bucket in self._backends.buckets().items() if each == name})

    async def _move_backends(self, located: Mapping[str, str], buckets: Mapping[str, str]) -> None:
        names, moved = [name for name, bucket in buckets.items() if located[name] != bucket], []
        # Looked at before any is moved: one that goes back has forgotten who closed it.
        held_up = [name for name in names if not (await self._metadata.remains(name)).nothing]
        for name in names if not held_up else ():
            try:
                await self._metadata.move_backend(name, buckets[name], self.instance)
                moved.append(name)
            except BackendInUse:
                held_up.append(name)
        if held_up:
            for name in moved:  # They go on being served where they were, unless somebody else writes there already.
                with suppress(BackendInUse):
                    await self._metadata.move_backend(name, located[name])
            # Without figures: it is tried again and again, and told once.
            raise ConfigNotYet(
                [
                    f"the bytes of backend {name} lie in the bucket {located[name]}, not in {buckets[name]}: "
                    "give another bucket a name of its own, and drain this one"
                    for name in held_up
                ]
            )

    async def run_workers(self) -> None:
        while not self._begun:
            await asyncio.sleep(_BEGIN_AGAIN_S)
            with suppress(MetadataError):  # Readiness says why, and goes on saying it.
                await self.begin()
        await self._driver.run()

    async def end(self) -> None:
        """After the last request: what only we know is settled, and nobody has to wait for our lease to end."""
        try:
            await self._forsaken.settle_all()
        except MetadataError as error:
            log.warning("%s writes of unknown outcome are left to other processes: %s", len(self._forsaken), error)
        try:
            await self._metadata.release_lease(instance_lease(self.instance), self.instance)
        except MetadataError as error:
            log.warning("this process's lease is not given back, and ends by itself: %s", error)

    def _wake_cleanup(self) -> None:
        self._driver.wake(CleanUp.name)

    def wake_checks(self) -> None:
        """There may be backends that were never tried, or that lie where this process looks by now."""
        self._driver.wake(CheckBackends.name)
        self._driver.wake(AgreeOnBuckets.name)

    def _wake_operate(self) -> None:
        self._driver.wake(Operate.name)

    def _publish_counts(self, counts: Mapping[str, BucketUsage]) -> None:
        self._counts = counts

    def _publish(
        self, usage: Mapping[str, Usage], fenced: frozenset[str], depths: Mapping[str, int], registrations: Mapping[str, int]
    ) -> None:
        self._usage.refresh(usage, fenced)
        self._depths, self._registrations = depths, registrations
        self._metrics.set_usage(usage, quotas(self.snapshot))
        self._metrics.set_queue_depths(depths)


def _buckets_of(snapshot: Snapshot) -> dict[str, str]:
    return {backend.name: backend.bucket for backend in snapshot.backends}


def quotas(snapshot: Snapshot) -> dict[str, int | None]:
    return {backend.name: backend.quota_bytes for backend in snapshot.backends}
