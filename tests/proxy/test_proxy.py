"""A name that is given to another bucket: while some processes do not know it yet, and while one process is about to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.seaweedfs import SeaweedFS
from tests.support.stories import BytesBody, backend_config

from s3o_crds.compiled import BackendConfig, BucketConfig, DatabaseConfig, FleetConfig
from s3o_proxy.backends.client import new_session
from s3o_proxy.backends.memory import MemoryBackend
from s3o_proxy.backends.port import Unguarded
from s3o_proxy.backends.registry import Backends
from s3o_proxy.backends.wire.backend import open_backend
from s3o_proxy.config.errors import ConfigError, ConfigNotYet
from s3o_proxy.config.snapshot import Credential, Loaded, Snapshot, take_snapshot
from s3o_proxy.config.watch import LiveConfig
from s3o_proxy.domain.errors import AllBackendsFailed, BackendUnavailable, MetadataUnavailable, NoCopyReadable, NoSuchUpload
from s3o_proxy.domain.operation import Wish
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.proxy import Proxy
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CreateMultipartUpload,
    DeleteObject,
    GetObject,
    ObjectRead,
    Operation,
    PartWritten,
    PutObject,
    Result,
    UploadCreated,
    UploadPart,
)
from s3o_proxy.telemetry.metrics import Metrics
from s3o_proxy.workers.agree_on_buckets import PATIENCE_MS, AgreeOnBuckets
from s3o_proxy.workers.check_backends import Check
from s3o_proxy.workers.clean_up import CleanUp
from s3o_proxy.workers.report import Report

BUCKET = "photos"
_METRICS = Metrics("test_proxy")


def generation(**buckets: str) -> Snapshot:
    """With these backends in these buckets."""
    return serving(*(backend_config(name, bucket=bucket, order=order) for order, (name, bucket) in enumerate(buckets.items())))


def serving(*backends: BackendConfig, secrets: Mapping[str, str] | None = None) -> Snapshot:
    return take_snapshot(FleetConfig(name="main", backends=backends, buckets=(BucketConfig(name=BUCKET),)), secrets or {})


class Given:
    """Implements `config.watch.Source`."""

    directory = Path()

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def files(self) -> list[Path]:
        return []

    def load(self, previous: FleetConfig | None = None) -> Loaded:
        return Loaded(self._snapshot, ())


class Process:
    """`opening`: while it is not set, no client of a backend is ready. `provider`: its buckets."""

    def __init__(self, ledger: Metadata, provider: dict[str, MemoryBackend], served: Snapshot) -> None:
        self.opening, self.waits = asyncio.Event(), asyncio.Event()
        self.opening.set()
        self._provider = provider
        self._live = LiveConfig(Given(served), _METRICS)
        self.backends = Backends(lambda _: None, self._open)
        self.proxy = Proxy(self._live, ledger, self.backends, _METRICS)

    async def _open(self, config: BackendConfig, _secrets: Mapping[str, str]) -> Unguarded:
        self.waits.set()
        await self.opening.wait()
        if config.bucket == "broken":
            raise ValueError("broken")
        shelf = self._provider.setdefault(config.bucket, MemoryBackend(config.bucket))
        opened = MemoryBackend(config.name)
        opened.bucket, opened.objects, opened.uploads = config.bucket, shelf.objects, shelf.uploads
        return opened

    async def adopt(self, snapshot: Snapshot) -> None:
        await self.proxy.adopt(snapshot)
        self._live.current = snapshot

    async def put(self, key: str) -> None:
        await self.perform(PutObject(BUCKET, key), b"data")

    async def perform(self, operation: Operation, body: bytes = b"") -> Result:
        return await self.proxy.perform(Credential((), frozenset({BUCKET})), operation, BytesBody(body))

    async def create_upload(self, key: str) -> str:
        created = await self.perform(CreateMultipartUpload(BUCKET, key))
        assert isinstance(created, UploadCreated)
        return created.upload.upload_id

    async def put_part(self, key: str, upload_id: str) -> str:
        written = await self.perform(UploadPart(BUCKET, key, upload_id, 1), b"data")
        assert isinstance(written, PartWritten)
        return written.etag

    async def clean_up(self) -> Report:
        (worker,) = [worker for worker in self.proxy._driver._workers if isinstance(worker, CleanUp)]
        return await worker.run_once()

    async def get(self, key: str) -> bytes:
        answer = await self.perform(GetObject(BUCKET, key))
        assert isinstance(answer, ObjectRead)
        assert answer.body is not None
        async with answer.body as pieces:
            return b"".join([piece async for piece in pieces])


class RealProcess(Process):
    """Its backends are S3 servers."""

    async def _open(self, config: BackendConfig, secrets: Mapping[str, str]) -> Unguarded:
        return await open_backend(config, secrets, new_session())


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Metadata]:
    ledger = await open_ledger(DatabaseConfig(path="ledger.db"), {}, base_dir=tmp_path)
    yield ledger
    await ledger.close()


async def begun(ledger: Metadata, provider: dict[str, MemoryBackend], **buckets: str) -> Process:
    process = Process(ledger, provider, generation(**buckets))
    await process.proxy.begin()
    return process


async def test_a_process_that_still_serves_the_old_bucket_writes_nothing_there(ledger: Metadata) -> None:
    provider: dict[str, MemoryBackend] = {}
    one, other = await begun(ledger, provider, n="old"), await begun(ledger, provider, n="old")
    await other.adopt(generation(n="new"))
    with pytest.raises(AllBackendsFailed, match="this process looks in"):
        await one.put("k")
    with pytest.raises(AllBackendsFailed, match="this process looks in"):
        await one.create_upload("k")
    await other.put("k")
    with pytest.raises(NoCopyReadable, match="n: its bytes lie in the bucket new, this process looks in old"):
        await one.get("k")
    await one.adopt(generation(n="new"))
    await one.put("l")
    assert [await process.get(key) for process in (one, other) for key in "kl"] == [b"data"] * 4
    assert {name: len(shelf.objects) for name, shelf in provider.items()} == {"old": 0, "new": 2}


async def test_while_the_clients_of_a_new_bucket_are_opened_nothing_is_written_to_the_old_one(ledger: Metadata) -> None:
    provider: dict[str, MemoryBackend] = {}
    process = await begun(ledger, provider, n="old")
    process.opening.clear()
    process.waits.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(process.adopt(generation(n="new")))
        await process.waits.wait()
        with pytest.raises(AllBackendsFailed, match="this process looks in"):
            await process.put("k")
        process.opening.set()
    await process.put("k")
    assert await process.get("k") == b"data"
    assert provider["old"].objects == {}


async def test_when_one_name_may_not_move_the_others_go_on_where_they_are(ledger: Metadata) -> None:
    provider: dict[str, MemoryBackend] = {}
    process = await begun(ledger, provider, used="b1")
    await process.put("k")
    await process.adopt(generation(empty="b2", used="b1"))
    with pytest.raises(ConfigError, match="lie in the bucket b1, not in b3"):
        await process.adopt(generation(empty="b4", used="b3"))
    await process.put("l")
    assert [await process.get(key) for key in "kl"] == [b"data"] * 2
    assert [len(provider[name].objects) for name in ("b1", "b2")] == [1, 1]


async def test_one_that_is_drained_stays_closed_when_another_name_may_not_move(ledger: Metadata) -> None:
    process = await begun(ledger, {}, drained="b1", used="b2")
    await process.put("k")
    (used,) = [name for name, usage in (await ledger.usage()).items() if usage.objects]
    other = {"drained": "used", "used": "drained"}[used]
    await process.proxy.desk.ask(Wish("Drain", "uid", "drain", other))
    assert await ledger.fences() == {other}
    with pytest.raises(ConfigNotYet):
        await process.adopt(generation(drained="b3", used="b4"))
    assert await ledger.fences() == {other}


async def test_when_a_client_cannot_be_opened_the_old_bucket_goes_on(ledger: Metadata) -> None:
    provider: dict[str, MemoryBackend] = {}
    process = await begun(ledger, provider, n="old")
    with pytest.raises(ConfigError, match="broken"):
        await process.adopt(generation(n="broken"))
    await process.put("k")
    assert await process.get("k") == b"data"


async def test_a_process_that_still_serves_the_old_bucket_deletes_nothing_of_the_new_one(ledger: Metadata) -> None:
    """There the key is not found, which S3 answers as a success: the row was finished, and no row mentioned the bytes any more."""
    provider: dict[str, MemoryBackend] = {}
    one, other = await begun(ledger, provider, n="old", west="w"), await begun(ledger, provider, n="old", west="w")
    await other.adopt(generation(n="new", west="w"))
    await other.put("k")
    await other.perform(DeleteObject(BUCKET, "k"))
    assert await one.clean_up() == Report()
    assert len(provider["new"].objects) == 1
    assert await other.clean_up() == Report(done=1)
    assert provider["new"].objects == {}


async def test_nor_on_real_servers_where_the_deletion_of_nothing_is_a_success(ledger: Metadata, seaweedfs: SeaweedFS) -> None:
    old, new = seaweedfs.endpoint(), seaweedfs.endpoint()
    before, after = serving(old.config("n"), secrets=old.secrets), serving(new.config("n"), secrets=new.secrets)
    one, other = RealProcess(ledger, {}, before), RealProcess(ledger, {}, before)
    async with AsyncExitStack() as stack:
        for process in (one, other):
            stack.push_async_callback(process.backends.close)
            await process.proxy.begin()
        await other.adopt(after)
        await other.put("k")
        upload_id = await other.create_upload("u")
        await other.put_part("u", upload_id)
        with pytest.raises(BackendUnavailable, match="lie in"):
            await one.put_part("u", upload_id)
        for ended in (DeleteObject(BUCKET, "k"), AbortMultipartUpload(BUCKET, "u", upload_id)):
            await one.perform(ended)
        there = other.backends.get("n")
        for process, left in ((one, 1), (other, 0)):
            await process.clean_up()
            assert len([found async for found in there.list()]) == len([found async for found in there.list_multipart()]) == left
        assert (await ledger.remains("n")).nothing


async def test_what_is_not_found_in_the_old_bucket_is_not_said_to_be_gone(ledger: Metadata) -> None:
    """A client that hears NoSuchUpload gives up an upload whose parts all lie in the new one."""
    provider: dict[str, MemoryBackend] = {}
    one, other = await begun(ledger, provider, n="old"), await begun(ledger, provider, n="old")
    await other.adopt(generation(n="new"))
    upload_id = await other.create_upload("k")
    with pytest.raises(BackendUnavailable, match="new"):
        await one.put_part("k", upload_id)
    etag = await other.put_part("k", upload_id)
    listed = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>".encode()
    with pytest.raises(BackendUnavailable, match="new"):
        await one.perform(CompleteMultipartUpload(BUCKET, "k", upload_id), listed)
    await other.perform(CompleteMultipartUpload(BUCKET, "k", upload_id), listed)
    assert await other.get("k") == b"data"
    with pytest.raises(NoSuchUpload):
        await other.put_part("k", upload_id)


async def agree(process: Process) -> Report:
    (worker,) = [worker for worker in process.proxy._driver._workers if isinstance(worker, AgreeOnBuckets)]
    return await worker.run_once()


async def agree_for_long(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough that no new configuration is on its way any more."""
    await agree(process)
    (worker,) = [worker for worker in process.proxy._driver._workers if isinstance(worker, AgreeOnBuckets)]
    ticks = worker._ticks() + PATIENCE_MS
    monkeypatch.setattr(worker, "_ticks", lambda: ticks)
    await agree(process)


async def test_a_name_that_a_process_gave_away_before_it_vanished_comes_back(
    ledger: Metadata, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others never hear of its configuration: they would be refused until they start again."""
    provider: dict[str, MemoryBackend] = {}
    one, other = await begun(ledger, provider, n="old"), await begun(ledger, provider, n="new")
    assert (await agree(one)).failed == 1
    assert "the database has its bytes in the bucket new, the configuration that is served here names old" in caplog.text
    await agree_for_long(one, monkeypatch)
    with pytest.raises(AllBackendsFailed, match="this process looks in"):
        await one.put("k")
    assert one.proxy.checks["n"].reason == "BucketElsewhere", "somebody who lives serves it there"
    await other.proxy.end()
    await agree_for_long(one, monkeypatch)
    await one.put("k")
    assert await agree(one) == Report()
    assert one.proxy.checks == {}


async def test_a_name_of_which_bytes_are_left_where_a_process_gave_it_stays_there(
    ledger: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider: dict[str, MemoryBackend] = {}
    one, other = await begun(ledger, provider, n="old"), await begun(ledger, provider, n="new")
    await other.put("k")
    await other.proxy.end()
    for _ in range(2):
        await agree_for_long(one, monkeypatch)
    assert one.proxy.checks["n"] == Check(
        "BucketElsewhere",
        "the bytes of backend n lie in the bucket new, not in old: give another bucket a name of its own, and drain this one",
    )
    third = await begun(ledger, provider, n="new")
    assert await third.get("k") == b"data"


async def test_when_the_one_who_said_where_a_backend_lies_ends_another_says_the_same(
    ledger: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider: dict[str, MemoryBackend] = {}
    stale, one, other = [await begun(ledger, provider, n=bucket) for bucket in ("old", "new", "new")]
    await other.proxy.end()
    assert await agree(one) == Report(done=1)
    await agree_for_long(stale, monkeypatch)
    await one.put("k")


async def test_a_name_that_was_forgotten_stays_so_for_those_who_have_not_heard_of_it(
    ledger: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left the configuration: what one process still wrote there the others could not read."""
    process = await begun(ledger, {}, n="old")
    await ledger.forget_backend("n")
    for _ in range(2):
        await agree_for_long(process, monkeypatch)
    with pytest.raises(AllBackendsFailed, match="this process looks in"):
        await process.put("k")
    said = "backend n: the database knows it no more, the configuration that is served here names old"
    assert process.proxy.checks == {"n": Check("BucketElsewhere", said)}


async def test_a_process_ends_cleanly_while_the_database_is_away(
    ledger: Metadata, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease ends by itself."""
    process = await begun(ledger, {}, n="b")

    async def is_away(*_: object) -> None:
        raise MetadataUnavailable("connection refused")

    monkeypatch.setattr(ledger, "release_lease", is_away)
    await process.proxy.end()
    assert "lease is not given back, and ends by itself: connection refused" in caplog.text
