"""Stories of operations told over a real SQLite ledger and backends in memory, which can be made to fail at any moment."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from s3o_crds.compiled import BackendConfig, BucketConfig, DatabaseConfig, FleetConfig, ServerConfig
from s3o_proxy.backends.memory import MemoryBackend
from s3o_proxy.backends.port import Backend
from s3o_proxy.config.snapshot import take_snapshot
from s3o_proxy.domain.errors import BackendUnavailable, BadDigest
from s3o_proxy.domain.forsaken import Forsaken
from s3o_proxy.domain.lease import LEASE_MS, OwnLease
from s3o_proxy.domain.ledger_clock import LedgerClock
from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.moving import MAX_SINGLE_PUT_BYTES
from s3o_proxy.domain.operation import Operation as OneShot
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS, settle_ms
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.operations.context import Context, Placing
from s3o_proxy.operations.dispatch import perform
from s3o_proxy.operations.move_object import move_copy
from s3o_proxy.operations.usage_view import UsageView
from s3o_proxy.s3.checksums import Hasher, new_hasher
from s3o_proxy.s3.operation import ObjectRead, Operation, Result
from s3o_proxy.workers.audit import Difference, audit
from s3o_proxy.workers.clean_up import CleanUp
from s3o_proxy.workers.desk import Desk
from s3o_proxy.workers.hold_lease import HoldLease
from s3o_proxy.workers.means import Means
from s3o_proxy.workers.operate import Operate
from s3o_proxy.workers.reap_intents import ReapIntents

START_MS = 1_800_000_000_000
PUT_SETTLES_MS = settle_ms("PutObject", USUAL_REQUEST_TIMEOUT_MS)
COPY_SETTLES_MS = settle_ms("CopyObject", USUAL_REQUEST_TIMEOUT_MS)


class BytesBody:
    """A request body that is already here, in pieces of `piece_bytes`. `error` is raised in place of its last piece."""

    def __init__(self, data: bytes = b"", *, content_md5: str = "", piece_bytes: int = 64 * 1024, error: Exception | None = None) -> None:
        self.size_bytes, self.content_md5 = len(data), content_md5
        self.md5_hex = ""
        self._data, self._piece_bytes, self._error = data, piece_bytes, error
        self._computes_md5 = bool(content_md5)
        self._wanted: dict[str, Hasher] = {}

    def hand_on_md5(self) -> None:
        self._computes_md5 = False

    def want_md5(self) -> None:
        self._computes_md5 = True

    def want_checksum(self, algorithm: str) -> None:
        self._wanted[algorithm] = new_hasher(algorithm)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = [self._data[start : start + self._piece_bytes] for start in range(0, len(self._data), self._piece_bytes)]
        if self._computes_md5:
            self.md5_hex = hashlib.md5(self._data, usedforsecurity=False).hexdigest()
        for hasher in self._wanted.values():
            hasher.update(self._data)
        for piece in pieces[:-1]:
            yield piece
        if self._error is not None:
            raise self._error
        if self._computes_md5 and self.content_md5 not in ("", content_md5(self._data)):
            raise BadDigest("Content-MD5")
        for piece in pieces[-1:]:
            yield piece

    @property
    def content_hash(self) -> str:
        hasher = new_hasher("CRC64NVME")
        hasher.update(self._data)
        return hasher.base64()

    @property
    def checksums(self) -> Mapping[str, str]:
        return {algorithm: hasher.base64() for algorithm, hasher in self._wanted.items()}

    async def read_all(self, limit_bytes: int) -> bytes:
        assert len(self._data) <= limit_bytes
        return self._data


@dataclass(eq=False)
class Stage:
    """Everything a story needs, with clocks that only move when told to: `now_ms` is the database's, `ticks_ms` that of our own lease."""

    metadata: Metadata
    backends: dict[str, MemoryBackend]
    config: FleetConfig
    now_ms: int = START_MS
    instance: str = "instance-1"
    usage: UsageView = field(default_factory=UsageView)
    forsaken: Forsaken = field(default_factory=Forsaken)
    wakes: int = 0
    moves: list[tuple[str, str, int]] = field(default_factory=list)
    active: list[tuple[str, str]] = field(default_factory=list)
    """What the worker told the metrics of operations."""
    ticks_ms: int = 0
    lease: OwnLease = field(init=False)
    ledger_clock: LedgerClock = field(init=False)
    skews_s: list[float] = field(default_factory=list)
    """What the metrics were told of this machine's clock."""
    _ids: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def __post_init__(self) -> None:
        self.lease = OwnLease(lambda: self.ticks_ms)
        self.ledger_clock = LedgerClock(self.tell_time, self.clock)

    def get(self, name: str) -> Backend:
        if name not in self.backends:
            raise BackendUnavailable(name, "is not configured")
        return self.backends[name]

    def buckets(self) -> Mapping[str, str]:
        return {name: backend.bucket for name, backend in self.backends.items()}

    def clock(self) -> int:
        return self.now_ms

    async def tell_time(self) -> int:
        return self.now_ms

    def wake(self) -> None:
        self.wakes += 1

    def context(self, body: BytesBody | None = None) -> Context:
        return Context(
            snapshot=take_snapshot(self.config, {}),
            buckets=frozenset(bucket.name for bucket in self.config.buckets),
            metadata=self.metadata,
            backends=self,
            usage=self.usage,
            forsaken=self.forsaken,
            instance=self.instance,
            lease=self.lease,
            clock=self.clock,
            new_id=lambda: f"WRITE{self._ids():08d}",
            wake_cleanup=self.wake,
            body=body or BytesBody(),
        )

    async def perform(self, operation: Operation, body: bytes | BytesBody = b"") -> Result:
        return await perform(self.context(body if isinstance(body, BytesBody) else BytesBody(body)), operation)

    async def read(self, operation: Operation) -> bytes:
        answer = await self.perform(operation)
        assert isinstance(answer, ObjectRead)
        assert answer.body is not None
        async with answer.body as pieces:
            return b"".join([piece async for piece in pieces])

    # --- workers -----------------------------------------------------------------------------------------------------

    def clean_up(self, *, max_put_bytes: int = MAX_SINGLE_PUT_BYTES) -> CleanUp:
        return CleanUp(self.metadata, self, self.instance, self.clock, lambda: 4, max_put_bytes)

    def reap_intents(self, instance: str = "another") -> ReapIntents:
        """Of another process, which may take us for dead."""
        return ReapIntents(self.metadata, self.forsaken, instance, self.lease, self.ledger_clock, self.wake)

    async def hold_lease(self) -> None:
        await self.lease_of(self.instance).run_once()

    def lease_of(self, instance: str) -> HoldLease:
        return HoldLease(self.metadata, instance, self.ledger_clock, self.lease, self.clock, self)

    async def hold_lease_for_long(self) -> None:
        """For as long as it takes to be sure who is dead."""
        for _ in range(3):
            await self.hold_lease()
            self.ticks_ms += LEASE_MS // 2
            self.now_ms += LEASE_MS // 2

    @cached_property
    def means(self) -> Means:
        return Means(
            metadata=self.metadata,
            move=lambda found, copy, ranked: move_copy(self.context(), found, copy, ranked),
            placing=lambda: Placing(take_snapshot(self.config, {})),
            usage=lambda: self.usage.by_backend,
            clock=self.clock,
            wake_cleanup=self.wake,
            meter=self,
        )

    def set_clock_skew(self, seconds: float) -> None:
        self.skews_s.append(seconds)

    def set_operations(self, active: Iterable[OneShot]) -> None:
        self.active = [(each.kind, each.state) for each in active]

    def copy_moved(self, source: str, target: str, size_bytes: int) -> None:
        self.moves.append((source, target, size_bytes))

    @cached_property
    def desk(self) -> Desk:
        return Desk(self.means, lambda: f"operation-{self._ids()}", self.wake)

    async def operate(self, worker: Operate | None = None, *, rounds: int = 6) -> None:
        """Let operations and the cleanup take turns."""
        worker = worker or Operate(self.means)
        for _ in range(rounds):
            await worker.run_once()
            await self.clean_up().run_once()

    async def configure(self, *backends: BackendConfig) -> None:
        """Serve another generation, with these backends."""
        await self.metadata.locate_backends({each.name: each.name for each in backends})
        self.config = self.config.model_copy(update={"backends": backends, "generation": self.config.generation + 1})
        for each in backends:
            self.backends.setdefault(each.name, MemoryBackend(each.name))

    def drop_bucket(self, name: str) -> None:
        """Serve another generation, without it."""
        left = tuple(each for each in self.config.buckets if each.name != name)
        self.config = self.config.model_copy(update={"buckets": left, "generation": self.config.generation + 1})

    async def settle(self) -> None:
        """A bounded number of worker rounds, late enough that nothing has to be waited for any more."""
        self.now_ms += 3_600_000
        for _ in range(3):
            await self.reap_intents().run_once()
            await self.clean_up().run_once()

    async def audit(self) -> list[Difference]:
        quotas = {backend.name: backend.quota_bytes for backend in self.config.backends}
        return [difference async for difference in audit(self.metadata, self.backends, quotas)]

    async def used(self, backend: str = "first") -> Usage:
        return (await self.metadata.usage())[backend]


def backend_config(name: str, **fields: object) -> BackendConfig:
    return BackendConfig.model_validate(
        {"name": name, "endpoint": "http://unused", "region": "r", "bucket": "b", "accessKeyId": "", "secretAccessKey": ""} | fields
    )


async def open_stage(
    directory: Path, backends: Sequence[BackendConfig] = (), *, strategy: str = "Pack", buckets: Sequence[str] = ("photos", "films")
) -> Stage:
    """Two backends, `first` and `second`, where none are given. Close `metadata` afterwards."""
    configs = tuple(backends) or (backend_config("first"), backend_config("second"))
    metadata = await open_ledger(DatabaseConfig(path="ledger.db"), {}, base_dir=directory)
    await metadata.locate_backends({config.name: config.name for config in configs})
    config = FleetConfig.model_validate(
        {
            "name": "main",
            "routingStrategy": strategy,
            "server": ServerConfig(),
            "backends": configs,
            "buckets": [BucketConfig(name=name, max_multipart_uploads=3) for name in buckets],
        }
    )
    # When it is sure who is dead, it is START_MS.
    stage = Stage(metadata, {each.name: MemoryBackend(each.name) for each in configs}, config, now_ms=START_MS - 3 * (LEASE_MS // 2))
    await stage.hold_lease_for_long()
    return stage


def content_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
