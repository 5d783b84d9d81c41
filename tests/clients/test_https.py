"""The same programs over https, where most of them send their bodies in another form than over http."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fleet import Fleet, Launch
from tests.support.programs import run, run_to_fail
from tests.support.trees import random_bytes, read_tree, write_tree

MIB = 1024**2


@pytest.fixture(scope="module")
def fleet(launch: Launch) -> Fleet:
    return launch(tls=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"empty": b"", "small": b"small", "deep/a b+c": random_bytes(70_000), "big": random_bytes(11 * MIB)}
    return write_tree(tmp_path_factory.mktemp("source"), files)


def test_aws(fleet: Fleet, source: Path, tmp_path: Path) -> None:
    run(["aws", "s3", "sync", source, "s3://photos/aws"], env=fleet.env())
    run(["aws", "s3", "sync", "s3://photos/aws", tmp_path], env=fleet.env())
    assert read_tree(tmp_path) == read_tree(source)


def test_rclone(fleet: Fleet, source: Path) -> None:
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": fleet.endpoint, "REGION": "us-east-1", "ENV_AUTH": "true"}
    env = fleet.env() | {f"RCLONE_CONFIG_S3O_{name}": value for name, value in remote.items()} | {"RCLONE_CONFIG": "/dev/null"}
    small_parts = ["--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M"]
    trust = ["--ca-cert", str(fleet.certificate)]
    run(["rclone", "sync", *small_parts, *trust, source, "s3o:photos/rclone"], env=env)
    run(["rclone", "check", "--download", *trust, source, "s3o:photos/rclone"], env=env)


def test_restic(fleet: Fleet, source: Path, tmp_path: Path) -> None:
    env = fleet.env() | {"RESTIC_REPOSITORY": f"s3:{fleet.endpoint}/photos/restic", "RESTIC_PASSWORD": "a password of the test"}
    trust = ["--cacert", str(fleet.certificate)]
    run(["restic", *trust, "init"], env=env)
    run(["restic", *trust, "backup", "."], env=env, cwd=source)
    run(["restic", *trust, "check", "--read-data"], env=env)
    run(["restic", *trust, "restore", "latest", "--target", tmp_path], env=env)
    assert read_tree(tmp_path) == read_tree(source)


def test_nobody_talks_to_a_certificate_that_is_not_trusted(fleet: Fleet) -> None:
    assert "certificate" in run_to_fail(["curl", "--silent", "--show-error", fleet.endpoint], env=fleet.env()).errors


def test_rows_bytes_and_counters_agree_after_all_of_this(fleet: Fleet) -> None:
    assert fleet.audit() == []
