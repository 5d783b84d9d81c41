"""A change of the files is served without a restart, or refused whole while the generation before keeps serving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.config_files import ORCHESTRATOR, backend, bucket, secret, write, write_sample
from watchfiles._rust_notify import WatchfilesRustInternalError

from s3o_proxy.config.errors import ConfigError, ConfigNotYet
from s3o_proxy.config.loader import Manifests
from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.config.watch import LiveConfig
from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.telemetry.metrics import Metrics


class Adopted:
    """Where new snapshots arrive; `refusal` is raised instead, once."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.refusal: Exception | None = None
        self.changed = asyncio.Event()

    async def __call__(self, snapshot: Snapshot) -> None:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        self.snapshots.append(snapshot)
        self.changed.set()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_sample(tmp_path)
    return tmp_path


@pytest.fixture
def live(directory: Path) -> LiveConfig:
    return LiveConfig(Manifests(directory, {}), Metrics("test"))


@pytest.fixture
def adopted() -> Adopted:
    return Adopted()


def move(source: Path, target: Path) -> None:
    source.rename(target)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_first_reading_fails_with_its_reasons(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no S3Orchestrator"):
        LiveConfig(Manifests(tmp_path, {}), Metrics("test"))


async def test_nothing_changed_means_nothing_to_do(live: LiveConfig, adopted: Adopted, directory: Path) -> None:
    first = live.current
    await live.look(adopted)
    write(directory, "buckets.yaml", "# touched\n" + bucket("photos"))
    await live.look(adopted)
    assert adopted.snapshots == []
    assert live.current is first


async def test_a_backend_is_added_and_a_bucket_removed(live: LiveConfig, adopted: Adopted, directory: Path) -> None:
    write(directory, "new.yaml", backend("c", 5).replace("8333", "8334"))
    (directory / "buckets.yaml").unlink()
    await live.look(adopted)
    assert [one.name for one in live.current.backends] == ["c", "b", "a"]
    assert live.current.bucket("photos") is None
    assert live.current.generation == 2
    assert adopted.snapshots == [live.current]


async def test_an_invalid_change_is_refused_whole_and_named_once(
    live: LiveConfig, adopted: Adopted, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = live.current
    write(directory, "new.yaml", backend("c", 5).replace("8333", "8334"))
    half = write(directory, "buckets.yaml", bucket("photos")[:-10])
    for _ in range(3):
        await live.look(adopted)
    assert live.current is first, "the new backend would have been right, but it is half of a change"
    assert len(refusals(caplog)) == 1
    assert "buckets.yaml" in refusals(caplog)[0]
    write(directory, half.name, bucket("photos"))
    await live.look(adopted)
    assert live.current.generation == 2
    assert live.current.backend("c") is not None


async def test_the_end_of_a_fault_is_told_too(
    live: LiveConfig, adopted: Adopted, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(directory, "buckets.yaml", "a: [")
    await live.look(adopted)
    write(directory, "buckets.yaml", bucket("photos"))
    await live.look(adopted)
    assert live.current.generation == 1
    assert caplog.records[-1].getMessage() == "the files are valid again and say what is served"


async def test_what_needs_a_restart_is_refused(
    live: LiveConfig, adopted: Adopted, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = live.current
    write(directory, "orchestrator.yaml", ORCHESTRATOR + "  database: {path: elsewhere.db}\n")
    await live.look(adopted)
    assert live.current is first
    assert refusals(caplog) == ["configuration change refused: spec.database changed: needs a restart"]


async def test_a_vanished_directory_changes_nothing(
    live: LiveConfig, adopted: Adopted, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, elsewhere = live.current, directory.with_name("elsewhere")
    move(directory, elsewhere)
    await live.look(adopted)
    assert live.current is first
    assert "cannot be read: No such file or directory" in refusals(caplog)[0]
    move(elsewhere, directory)
    write(directory, "music.yaml", bucket("music"), secret("music-keys", "m", "mm"))
    await live.look(adopted)
    assert live.current.bucket("music") is not None


async def test_a_snapshot_that_could_not_be_adopted_is_tried_again(
    live: LiveConfig, adopted: Adopted, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(directory, "new.yaml", backend("c").replace("8333", "8334"))
    for refusal in (MetadataUnavailable("the database is away"), RuntimeError("a fault of ours"), ConfigNotYet(["it is still in use"])):
        adopted.refusal = refusal
        await live.look(adopted)
        assert live.current.generation == 1
    await live.look(adopted)
    assert live.current.generation == 2
    assert refusals(caplog) == [
        "configuration change refused: the database is away",
        "configuration change failed by a fault of this program",
        "configuration change refused: it is still in use",
    ]


async def test_a_snapshot_refused_by_its_adopter_waits_for_the_next_change(live: LiveConfig, adopted: Adopted, directory: Path) -> None:
    write(directory, "new.yaml", backend("c").replace("8333", "8334"))
    adopted.refusal = ConfigError(["not like this"])
    await live.look(adopted)
    await live.look(adopted)
    assert adopted.snapshots == []


async def test_the_refusals_and_the_generation_are_counted(directory: Path, adopted: Adopted) -> None:
    metrics = Metrics("test")
    live = LiveConfig(Manifests(directory, {}), metrics)
    write(directory, "new.yaml", backend("c").replace("8333", "8334"))
    await live.look(adopted)
    write(directory, "new.yaml", "a: [")
    await live.look(adopted)
    text = metrics.render()[0].decode()
    assert "s3o_config_generation 2.0" in text
    assert "s3o_config_refusals_total 1.0" in text
    assert "s3o_config_refused 1.0" in text
    write(directory, "new.yaml", backend("c").replace("8333", "8334"), "# as it was")
    await live.look(adopted)
    text = metrics.render()[0].decode()
    assert "s3o_config_generation 2.0" in text
    assert "s3o_config_refused 0.0" in text


@asynccontextmanager
async def watching(live: LiveConfig, adopted: Adopted) -> AsyncIterator[None]:
    task = asyncio.create_task(live.watch(adopted))
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def noticed(adopted: Adopted, change: Callable[[], object]) -> None:
    """Changes something until it is noticed: nobody tells when the watch has begun."""
    for _ in range(30):
        change()
        try:
            async with asyncio.timeout(1):
                await adopted.changed.wait()
        except TimeoutError:
            continue
        return
    raise AssertionError("no change was noticed")


@pytest.fixture
def told_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look that comes every few seconds, only the system's notices are left."""
    monkeypatch.setattr("s3o_proxy.config.watch._LOOK_AGAIN_MS", 600_000)


async def test_a_written_file_is_noticed_by_itself(live: LiveConfig, adopted: Adopted, directory: Path, told_by_the_system: None) -> None:
    async with watching(live, adopted):
        await noticed(adopted, lambda: write(directory, "new.yaml", backend("c").replace("8333", "8334")))
    assert live.current.backend("c") is not None


async def test_the_switch_of_a_mounted_volume_is_noticed_by_itself(tmp_path: Path, adopted: Adopted, told_by_the_system: None) -> None:
    volume = tmp_path / "volume"
    for version in ("..1", "..2"):
        (volume / version).mkdir(parents=True)
        write_sample(volume / version)
    write(volume / "..2", "backends.yaml", backend("only"))
    (volume / "..data").symlink_to("..1")
    for file in (volume / "..1").iterdir():
        (volume / file.name).symlink_to(f"..data/{file.name}")
    live = LiveConfig(Manifests(volume, {}), Metrics("test"))

    def switch() -> None:
        (volume / "..new").symlink_to("..2")
        (volume / "..new").rename(volume / "..data")

    async with watching(live, adopted):
        await noticed(adopted, switch)
    assert [one.name for one in live.current.backends] == ["only"]


async def test_a_change_before_the_watch_began_is_noticed_all_the_same(
    live: LiveConfig, adopted: Adopted, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3o_proxy.config.watch._LOOK_AGAIN_MS", 200)
    write(directory, "new.yaml", backend("c").replace("8333", "8334"))
    async with watching(live, adopted):
        await asyncio.wait_for(adopted.changed.wait(), 20)
    assert live.current.backend("c") is not None


async def test_where_the_system_gives_no_notice_it_is_looked_all_the_same(
    live: LiveConfig, adopted: Adopted, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a node whose pods of one user have all the inotify instances that it may have."""

    class NoNotice:
        def __init__(self, *_: object) -> None:
            raise WatchfilesRustInternalError("Error creating recommended watcher: Too many open files (os error 24)")

    monkeypatch.setattr("watchfiles.main.RustNotify", NoNotice)
    monkeypatch.setattr("s3o_proxy.config.watch._LOOK_AGAIN_MS", 50)
    async with watching(live, adopted):
        for number in (1, 2):
            adopted.changed.clear()
            write(directory, "new.yaml", backend("c", number).replace("8333", "8334"))
            await asyncio.wait_for(adopted.changed.wait(), 20)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].endswith("Too many open files (os error 24)")
