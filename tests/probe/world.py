"""What outlives a process: its backends, its database, its clocks. Processes are opened in it one after the other, or side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.probe.calls import Board, WiredBackend, WiredEngine, client_sends
from tests.probe.databases import Database
from tests.probe.lives import Life
from tests.support.stories import BytesBody, backend_config

from s3o_crds.compiled import BackendConfig, BucketConfig, FleetConfig
from s3o_proxy.backends.memory import MemoryBackend, OpenUpload
from s3o_proxy.backends.port import Backend
from s3o_proxy.backends.registry import Backends
from s3o_proxy.config.snapshot import Credential, Loaded, take_snapshot
from s3o_proxy.config.watch import LiveConfig
from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.metadata.ledger import Ledger
from s3o_proxy.operations.context import Placing
from s3o_proxy.proxy import Proxy
from s3o_proxy.s3.operation import ObjectRead, Operation, Result
from s3o_proxy.telemetry.metrics import Metrics
from s3o_proxy.workers.audit import audit
from s3o_proxy.workers.clean_up import CleanUp
from s3o_proxy.workers.operate import Operate

if TYPE_CHECKING:
    pass

BUCKET = "photos"
OTHER_BUCKET = "films"
START_MS = 1_800_000_000_000
STALE_MS = 24 * 3600 * 1000

_METRICS = Metrics("probe")


@dataclass
class World:
    """`now_ms`: the clock of the ledger; `ticks_ms`: of our own leases. Both stand unless they are moved."""

    database: Database
    shelves: dict[str, MemoryBackend]
    configs: tuple[BackendConfig, ...]
    now_ms: int = START_MS
    ticks_ms: int = 0
    real: dict[str, Backend] = field(default_factory=dict)
    """Where the backends are no shelves; they are not put back to what they were."""
    _kept: dict[str, tuple[dict[str, Any], dict[str, OpenUpload]]] = field(default_factory=dict)
    _kept_ms: tuple[int, int] = (0, 0)

    @property
    def config(self) -> FleetConfig:
        return FleetConfig(
            name="main",
            backends=self.configs,
            buckets=(BucketConfig(name=BUCKET, max_multipart_uploads=5), BucketConfig(name=OTHER_BUCKET)),
        )

    @property
    def backends(self) -> dict[str, Backend]:
        return {**self.shelves, **self.real}

    def move_clocks(self, by_ms: int) -> None:
        self.now_ms += by_ms
        self.ticks_ms += by_ms

    async def open(self, max_put_bytes: int | None = None) -> Site:
        """Another process, begun as a real one. `max_put_bytes`: what it takes for the most that one PUT may have."""
        life = Life()
        board = Board(life)
        board.servers_are_real = bool(self.real)
        opened = await self.database.open()
        metadata = Ledger(WiredEngine(opened.engine, board))

        async def open_backend(config: BackendConfig, _secrets: Mapping[str, str]) -> WiredBackend:
            return WiredBackend(self.backends[config.name], board)

        backends = Backends(lambda _: None, open_backend)
        proxy = Proxy(LiveConfig(_Given(self.config), _METRICS), metadata, backends, _METRICS)
        site = Site(self, life, board, proxy, metadata, opened.cut)
        (operate,) = [worker for worker in proxy._driver._workers if isinstance(worker, Operate)]
        # A tale goes on in the bucket that is purged, by the same processes: to the purge it is served no more.
        operate._means = replace(operate._means, placing=lambda: _Dropped(proxy.snapshot))
        if max_put_bytes is not None:
            (cleanup,) = [worker for worker in proxy._driver._workers if isinstance(worker, CleanUp)]
            cleanup._max_put_bytes = max_put_bytes
        await life.start(proxy.begin())
        return site

    async def keep(self) -> None:
        await self.database.keep()
        self._kept = {name: (dict(each.objects), _copied(each.uploads)) for name, each in self.shelves.items()}
        self._kept_ms = self.now_ms, self.ticks_ms

    async def restore(self) -> None:
        await self.database.restore()
        for name, (objects, uploads) in self._kept.items():
            self.shelves[name].objects, self.shelves[name].uploads = dict(objects), _copied(uploads)
        self.now_ms, self.ticks_ms = self._kept_ms

    async def differences(self) -> list[str]:
        """What the audit finds, now. Nobody is at work."""
        quotas = {each.name: each.quota_bytes for each in self.configs}
        observer = await self.database.observe()
        found = [str(difference) async for difference in audit(observer, self.backends, quotas)]
        usage = await observer.usage()
        for name, shelf in self.shelves.items():
            there, counted = _bytes_on(shelf), usage[name].held_bytes
            if there > counted:
                found.append(f"{name}: with the parts of uploads {there} bytes are there, {counted} are counted")
        return found

    def stored(self) -> set[tuple[str, str]]:
        """Backend and storage key of all bytes on the shelves."""
        return {(name, key) for name, shelf in self.shelves.items() for key in shelf.objects}


class _Dropped(Placing):
    def serves(self, bucket: str) -> bool:
        return False


class _Given:
    """Implements `config.watch.Source`."""

    directory = Path()

    def __init__(self, config: FleetConfig) -> None:
        self._config = config

    def files(self) -> list[Path]:
        return []

    def load(self, previous: FleetConfig | None = None) -> Loaded:
        return Loaded(take_snapshot(self._config, {}), ())


@dataclass
class Site:
    """One process in the world."""

    world: World
    life: Life
    board: Board
    proxy: Proxy
    metadata: Ledger
    cut: Callable[[], Awaitable[None]]

    def body(self, data: bytes) -> SentBody:
        return SentBody(self.board, data)

    async def perform(self, operation: Operation, data: bytes = b"") -> Result:
        credential = Credential(("probe/probe",), frozenset((BUCKET, OTHER_BUCKET)))
        return await self.proxy.perform(credential, operation, self.body(data))

    async def read(self, operation: Operation) -> bytes:
        answer = await self.perform(operation)
        assert isinstance(answer, ObjectRead)
        assert answer.body is not None
        async with answer.body as pieces:
            return b"".join([piece async for piece in pieces])

    async def work(self, name: str) -> bool:
        """One run of a worker, as its driver runs it. False when it failed."""
        driver = self.proxy._driver
        worker = next(worker for worker in driver._workers if worker.name == name)
        return await driver._run(worker, 0) is not None

    @property
    def workers(self) -> list[str]:
        return [worker.name for worker in self.proxy._driver._workers]

    async def round(self) -> None:
        """All workers, once; then what they found for the cleanup."""
        async with asyncio.TaskGroup() as group:
            for name in self.workers:
                group.create_task(self.work(name))
        await self.work("clean_up")

    async def become_sure(self) -> None:
        """Renew the lease with ease for as long as it takes to be sure who is dead."""
        for _ in range(3):
            await self.work("hold_lease")
            self.world.move_clocks(LEASE_MS // 2)
        await self.work("hold_lease")

    async def close(self) -> None:
        """Of a process that lives: in good order."""
        await self.life.start(self.proxy.end())
        await self.metadata.close()
        await self.life.bury()

    async def die(self) -> None:
        """Its sessions with the database end; it takes no further step."""
        self.life.end()
        await self.cut()

    async def bury(self) -> None:
        await self.life.bury()


class SentBody(BytesBody):
    """A request's body that comes in three pieces, one of them short."""

    def __init__(self, board: Board, data: bytes) -> None:
        super().__init__(data, piece_bytes=max(1, -(-len(data) * 2 // 5)))
        self._board = board

    async def __aiter__(self) -> Any:
        whole = super().__aiter__()
        async for piece in client_sends(self._board, [piece async for piece in whole]):
            yield piece


def two_shelves(quota_bytes: int | None) -> tuple[dict[str, MemoryBackend], tuple[BackendConfig, ...]]:
    """`first` and `second`, in this order."""
    names = ("first", "second")
    configs = tuple(
        backend_config(name, order=order, quota_bytes=quota_bytes, etag_is_md5=True, bucket=name) for order, name in enumerate(names)
    )
    return {name: MemoryBackend(name) for name in names}, configs


def _copied(uploads: Mapping[str, OpenUpload]) -> dict[str, OpenUpload]:
    return {upload_id: replace(upload, parts=dict(upload.parts)) for upload_id, upload in uploads.items()}


def _bytes_on(shelf: MemoryBackend) -> int:
    parts = (part for upload in shelf.uploads.values() for part in upload.parts.values())
    return sum(len(each.content) for each in (*shelf.objects.values(), *parts))
