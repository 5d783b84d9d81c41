"""What the operator mounts is served as one piece: whole, genuine, never older than what is served, and changed live."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.config_files import backend, write, write_sample

from s3o_crds.compiled import FleetConfig
from s3o_crds.digest import digest_of, digest_of_document
from s3o_crds.layout import CONFIG_FILE, SECRETS_FILE, Files, split, static_part
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.loader import load
from s3o_proxy.config.mounted import MountedConfig
from s3o_proxy.config.snapshot import Snapshot
from s3o_proxy.config.watch import LiveConfig
from s3o_proxy.telemetry.metrics import Metrics

Secrets = dict[str, str]


@pytest.fixture
def compiled(tmp_path: Path) -> tuple[FleetConfig, Secrets]:
    source = tmp_path / "source"
    source.mkdir()
    write_sample(source)
    snapshot = load(source, {}).snapshot
    return snapshot.config, dict(snapshot.secrets)


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    directory = tmp_path / "mount"
    directory.mkdir()
    return directory


def numbered(config: FleetConfig, secrets: Secrets, generation: int, **change: object) -> FleetConfig:
    changed = config.model_copy(update={"generation": generation, **change})
    return changed.model_copy(update={"digest": digest_of(changed, secrets)})


def put(mount: Path, config: FleetConfig, secrets: Secrets) -> None:
    """As the kubelet does it: a new folder, then the link turned to it, at once."""
    folder = mount / f"..{config.generation}-{config.digest[:8]}"
    folder.mkdir()
    (folder / CONFIG_FILE).write_text(config.model_dump_json(by_alias=True))
    (folder / SECRETS_FILE).write_text(json.dumps(secrets))
    (mount / "..new").symlink_to(folder.name)
    (mount / "..new").rename(mount / "..data")
    for name in (CONFIG_FILE, SECRETS_FILE):
        if not (mount / name).is_symlink():
            (mount / name).symlink_to(f"..data/{name}")


def reasons(mount: Path, previous: FleetConfig | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        MountedConfig(mount).load(previous)
    return caught.value.reasons


def test_a_compiled_configuration_is_served_with_its_generation(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    put(mount, numbered(config, secrets, 7), secrets)
    snapshot = MountedConfig(mount).load().snapshot
    assert (snapshot.generation, [one.name for one in snapshot.backends]) == (7, ["b", "a"])
    assert snapshot.find_access_key("photos-id") is not None


def test_a_directory_that_is_no_volume_is_read_as_well(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    (mount / CONFIG_FILE).write_text(config.model_dump_json(by_alias=True))
    (mount / SECRETS_FILE).write_text(json.dumps(secrets))
    assert MountedConfig(mount).load().snapshot.digest == config.digest


def test_another_secret_than_the_digest_stands_for_is_refused(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    put(mount, config, secrets | {"default/photos-keys/AWS_SECRET_ACCESS_KEY": "forged-value"})
    (reason,) = reasons(mount)
    assert "do not belong together" in reason
    assert "forged-value" not in reason


def test_fields_of_a_newer_operator_are_ignored_and_still_covered_by_the_digest(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    put(mount, config, secrets)
    written = config.model_dump(mode="json", by_alias=True) | {"replication": {"factor": 2}}
    written["digest"] = digest_of_document(written, secrets)
    (mount / "..data" / CONFIG_FILE).write_text(json.dumps(written))
    assert MountedConfig(mount).load().snapshot.digest == written["digest"]
    written["replication"]["factor"] = 3
    (mount / "..data" / CONFIG_FILE).write_text(json.dumps(written))
    assert "do not belong together" in reasons(mount)[0]


def test_an_older_generation_than_the_one_served_is_refused(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    put(mount, numbered(config, secrets, 3), secrets)
    assert reasons(mount, numbered(config, secrets, 4)) == ("config.json holds generation 3, older than 4, which is served",)


def test_what_cannot_be_understood_is_named_without_a_value(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    assert reasons(mount) == ("config.json: cannot be read: No such file or directory",)
    put(mount, config, secrets)
    (mount / "..data" / SECRETS_FILE).write_text('{"default/k/id": ["hidden"]}')
    assert reasons(mount) == ("secrets.json: default/k/id: Input should be a valid string",)
    (mount / "..data" / SECRETS_FILE).write_text("hidden")
    assert reasons(mount)[0].startswith("secrets.json: Invalid JSON: ")
    assert "hidden" not in reasons(mount)[0]
    (mount / "..data" / SECRETS_FILE).write_text("{}")
    (mount / "..data" / CONFIG_FILE).write_text('{"name": "main", "buckets": [{}]}')
    assert reasons(mount) == ("config.json: buckets.0.name: Field required",)


def test_a_secret_without_a_value_is_named(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    fewer = {ref: value for ref, value in secrets.items() if not ref.startswith("default/photos-keys/")}
    put(mount, numbered(config, fewer, 1), fewer)
    assert reasons(mount)[0] == "secret default/photos-keys/AWS_ACCESS_KEY_ID is referred to and has no value"


async def test_changes_are_taken_live_and_an_older_one_or_one_that_needs_a_restart_is_refused(
    mount: Path, tmp_path: Path, compiled: tuple[FleetConfig, Secrets]
) -> None:
    adopted: list[int] = []

    async def adopt(snapshot: Snapshot) -> None:
        adopted.append(snapshot.generation)

    config, secrets = compiled
    put(mount, numbered(config, secrets, 5), secrets)
    live = LiveConfig(MountedConfig(mount), Metrics("test"))
    put(mount, numbered(config, secrets, 6, buckets=()), secrets)
    await live.look(adopt)
    assert (live.current.generation, live.current.buckets, live.refusal) == (6, (), ())
    put(mount, numbered(config, secrets, 4), secrets)
    await live.look(adopt)
    assert live.refusal == ("config.json holds generation 4, older than 6, which is served",)
    elsewhere = config.database.model_copy(update={"path": "elsewhere.db"})
    put(mount, numbered(config, secrets, 7, database=elsewhere), secrets)
    await live.look(adopt)
    assert live.refusal == ("spec.database changed: needs a restart",)
    write(tmp_path / "source", "backends.yaml", backend("only"))
    fewer = load(tmp_path / "source", {}).snapshot
    put(mount, numbered(fewer.config, dict(fewer.secrets), 8), dict(fewer.secrets))
    await live.look(adopt)
    assert [one.name for one in live.current.backends] == ["only"]
    assert adopted == [6, 8]


def put_parts(mount: Path, files: Files) -> None:
    """As a projected volume of several Secrets: still one folder, and one link."""
    folder = mount / f"..{len(list(mount.iterdir()))}"
    folder.mkdir()
    for name, document in files.items():
        (folder / name).write_text(json.dumps(document))
    (mount / "..new").symlink_to(folder.name)
    (mount / "..new").rename(mount / "..data")
    for name in files:
        if not (mount / name).is_symlink():
            (mount / name).symlink_to(f"..data/{name}")


def in_parts(config: FleetConfig, secrets: Secrets) -> Files:
    files = static_part(config, secrets)
    for part in split(config, secrets, part_bytes=2500):
        files |= part
    return files


async def test_parts_of_two_generations_are_refused_until_the_rest_has_come(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    async def adopt(_: Snapshot) -> None:
        pass

    few, secrets = compiled
    config = few.model_copy(
        update={"buckets": tuple(few.buckets[0].model_copy(update={"name": f"photos-{number:02}"}) for number in range(40))}
    )
    old = numbered(config, secrets, 5)
    before = in_parts(old, secrets)
    assert "part-1.json" in before
    put_parts(mount, before)
    live = LiveConfig(MountedConfig(mount), Metrics("test"))
    assert (live.current.digest, len(live.current.buckets)) == (old.digest, 40)
    new = numbered(config, secrets, 6, buckets=config.buckets[1:])
    after = in_parts(new, secrets)
    put_parts(mount, before | {CONFIG_FILE: after[CONFIG_FILE]})
    await live.look(adopt)
    assert live.current.generation == 5
    assert "do not belong together" in live.refusal[0]
    put_parts(mount, after)
    await live.look(adopt)
    assert (live.current.generation, live.refusal, live.current.bucket("photos-00")) == (6, (), None)


def test_a_process_keeps_the_database_that_it_was_started_with(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    old = config.model_copy(update={"database": config.database.model_copy(update={"path": "old.db"})})
    # The static part is another Secret, whose name a pod never changes; the hot one is of a newer generation, with another database.
    put_parts(mount, static_part(old, secrets) | split(numbered(config, secrets, 9), secrets)[0])
    snapshot = MountedConfig(mount).load(old).snapshot
    assert (snapshot.config.database.path, snapshot.generation) == ("old.db", 9)


def test_a_part_that_makes_no_sense_is_named(mount: Path, compiled: tuple[FleetConfig, Secrets]) -> None:
    config, secrets = compiled
    put(mount, config, secrets)
    (mount / "..data" / "part-1.json").write_text('{"buckets": "hidden", "secrets": {}}')
    assert reasons(mount) == ("part-1.json: buckets: Input should be a valid array",)
