"""restic: a backup is worth what its restore gives back. It signs every chunk of its uploads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.fleet import Fleet, Launch
from tests.support.postgres import PostgresServer
from tests.support.programs import Completed, run
from tests.support.trees import random_bytes, read_tree, write_tree


@pytest.fixture(scope="module")
def fleet(launch: Launch, postgres: PostgresServer) -> Fleet:
    return launch(database_uri=postgres.uri(postgres.create_database()))


def restic(fleet: Fleet, *arguments: str | Path, cwd: Path | None = None) -> Completed:
    repository = {"RESTIC_REPOSITORY": f"s3:{fleet.endpoint}/{fleet.bucket}/backups", "RESTIC_PASSWORD": "a password of the test"}
    return run(["restic", *arguments], env=fleet.env() | repository, cwd=cwd)


def test_backup_check_restore_and_prune(fleet: Fleet, tmp_path: Path) -> None:
    home = write_tree(tmp_path / "home", {f"d{number % 5}/f{number}": random_bytes(1000 * number + 1, number) for number in range(60)})
    write_tree(home, {"big": random_bytes(9 * 1024**2)})
    restic(fleet, "init")
    restic(fleet, "backup", ".", cwd=home)
    first = read_tree(home)

    shutil.rmtree(home / "d0")
    write_tree(home, {"new": random_bytes(300_000, 99)})
    restic(fleet, "backup", ".", cwd=home)
    restic(fleet, "check", "--read-data")

    snapshots = [line.split()[0] for line in restic(fleet, "snapshots", "--compact").lines[2:4]]
    restic(fleet, "restore", snapshots[0], "--target", tmp_path / "first")
    restic(fleet, "restore", "latest", "--target", tmp_path / "latest")
    assert read_tree(tmp_path / "first") == first
    assert read_tree(tmp_path / "latest") == read_tree(home)

    restic(fleet, "forget", "--keep-last", "1", "--prune")
    restic(fleet, "check", "--read-data")
    restic(fleet, "restore", "latest", "--target", tmp_path / "after-prune")
    assert read_tree(tmp_path / "after-prune") == read_tree(home)
    assert fleet.audit() == []
