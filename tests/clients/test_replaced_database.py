"""A database that is not the one that was served: clients are refused, whatever they ask, and nothing is lost by it. By real processes."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.admin import ask
from tests.support.fleet import BackendShape, Fleet
from tests.support.manifests import write_whole
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy, wait_until
from tests.support.seaweedfs import SeaweedFS

from s3o_crds.compiled import DatabaseConfig
from s3o_crds.digest import digest_of
from s3o_crds.layout import split, static_part
from s3o_proxy.config.loader import load

BODY = b"the only copy"


class Database:
    """One that can be put aside, with another in its place. A SQLite file only while nobody has it open, as on a volume."""

    def __init__(self, path: Path, postgres: PostgresServer | None) -> None:
        self._path, self._postgres = path, postgres
        self._config = postgres.create_database() if postgres else DatabaseConfig(path=str(path))
        self.uri = postgres.uri(self._config) if postgres else None

    @property
    def serves_many(self) -> bool:
        return self._postgres is not None

    def put_aside(self, name: str) -> None:
        self._rename(self._config.database, f"{self._config.database}_{name}")
        if self._postgres:
            self._postgres.execute(f'CREATE DATABASE "{self._config.database}"')

    def bring_back(self, name: str) -> None:
        self._rename(self._config.database, f"{self._config.database}_second")
        self._rename(f"{self._config.database}_{name}", self._config.database)

    def count(self, table: str) -> int:
        if self._postgres:
            ((count,),) = self._postgres.execute(f"SELECT count(*) FROM {table}", database=self._config.database)
        else:
            with sqlite3.connect(self._path) as connection:
                ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            connection.close()
        assert isinstance(count, int)
        return count

    def _rename(self, name: str, to: str) -> None:
        if self._postgres:
            self._postgres.rename_database(name, to)
            return
        for suffix in ("", "-wal", "-shm"):
            there = Path(f"{self._path}{_aside(name)}{suffix}")
            if there.exists():
                there.rename(f"{self._path}{_aside(to)}{suffix}")


def _aside(name: str) -> str:
    return f".{name.rpartition('_')[2]}" if "_" in name else ""


class Pod:
    """A proxy on what an operator would have mounted, expecting what it is told to expect."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet, self._mounted = fleet, directory / "mounted"
        self._mounted.mkdir(parents=True)
        self._generation = 0
        self.proxy = Proxy(10, directory, self._mounted, scheme="http", program=("serve",))
        self.s3: Any = fleet.client(endpoint=self.proxy.endpoint, config=Config(retries={"total_max_attempts": 1}))

    def expect(self, database_id: str) -> None:
        self._generation += 1
        snapshot = load(self.fleet.config, os.environ).snapshot
        config = snapshot.config.model_copy(update={"database_id": database_id, "generation": self._generation})
        config = config.model_copy(update={"digest": digest_of(config, snapshot.secrets)})
        (hot,) = split(config, snapshot.secrets)
        for name, content in (hot | static_part(config, snapshot.secrets)).items():
            write_whole(self._mounted / name, json.dumps(content))

    def status(self) -> dict[str, Any]:
        said: dict[str, Any] = ask(self.proxy, "POST", "reload").json()
        return said

    def readiness(self) -> dict[str, str]:
        said: dict[str, str] = httpx.get(f"{self.proxy.endpoint}/health/ready", trust_env=False, verify=False).json()
        return said


@pytest.fixture(params=["SQLite", "Postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return Database(tmp_path / "s3o.db", request.getfixturevalue("postgres") if request.param == "Postgres" else None)


@pytest.fixture
def pod(database: Database, tmp_path: Path, seaweedfs: SeaweedFS) -> Iterator[Pod]:
    """It has stored an object, and expects the database that it has."""
    fleet = Fleet(tmp_path, seaweedfs, backends=[BackendShape("first")], database_uri=database.uri)
    pod = Pod(fleet, tmp_path)
    try:
        pod.expect("")
        pod.proxy.start()
        pod.s3.put_object(Bucket="photos", Key="cat.jpg", Body=BODY)
        pod.expect(pod.status()["databaseId"])
        yield pod
    finally:
        pod.proxy.end()
        print(pod.proxy.tail())  # shown with a test that failed


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    error = raised.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
    return str(error["Error"]["Message"])


def all_refused(s3: Any) -> None:
    """Not one of them may say that something does not exist."""
    calls: list[Callable[[], object]] = [
        lambda: s3.get_object(Bucket="photos", Key="cat.jpg"),
        lambda: s3.list_objects_v2(Bucket="photos"),
        lambda: s3.put_object(Bucket="photos", Key="dog.jpg", Body=b"new"),
        lambda: s3.delete_object(Bucket="photos", Key="cat.jpg"),
        lambda: s3.create_multipart_upload(Bucket="photos", Key="film"),
        lambda: s3.list_buckets(),
        lambda: s3.get_bucket_location(Bucket="photos"),
    ]
    for call in calls:
        assert "The records of this store are not the ones that it was set up with" in refusal(call)
    for head in (lambda: s3.head_object(Bucket="photos", Key="cat.jpg"), lambda: s3.head_bucket(Bucket="photos")):
        refusal(head)


def test_what_expects_its_own_database_serves_on(pod: Pod) -> None:
    assert (pod.status()["generation"], pod.status()["troubles"]) == (2, [])
    assert pod.s3.get_object(Bucket="photos", Key="cat.jpg")["Body"].read() == BODY


def test_an_empty_database_is_not_served_and_the_old_one_heals_everything(pod: Pod, database: Database) -> None:
    first = pod.status()["databaseId"]
    pod.proxy.kill()
    database.put_aside("first")
    start_unready(pod)
    status = pod.status()
    assert status["databaseId"] not in ("", first)
    words = f"the database has the id {status['databaseId']}, and {first} is expected: it is another database, or an empty one"
    assert status["troubles"] == [words]
    assert pod.readiness() == {"status": "not ready", "reason": "DatabaseReplaced"}
    all_refused(pod.s3)
    assert [database.count(table) for table in ("backends", "leases", "objects", "intents")] == [0, 0, 0, 0]
    assert pod.proxy.process.poll() is None
    if database.serves_many:
        database.bring_back("first")
    else:
        assert pod.proxy.stop() == 0
        database.bring_back("first")
        start_unready(pod)
    wait_until(lambda: pod.proxy.health() == 200, "it does not heal")
    assert pod.s3.get_object(Bucket="photos", Key="cat.jpg")["Body"].read() == BODY
    pod.s3.put_object(Bucket="photos", Key="dog.jpg", Body=b"new")


def test_a_database_that_is_adopted_is_served_without_a_restart(pod: Pod, database: Database) -> None:
    pod.proxy.kill()
    database.put_aside("first")
    start_unready(pod)
    pod.expect(pod.status()["databaseId"])
    wait_until(lambda: pod.status()["generation"] == 3 and pod.proxy.health() == 200, "it is not served")
    pod.s3.put_object(Bucket="photos", Key="dog.jpg", Body=b"new")
    listed = pod.s3.list_objects_v2(Bucket="photos")["Contents"]
    assert [one["Key"] for one in listed] == ["dog.jpg"]


@pytest.mark.parametrize("database", ["Postgres"], indirect=True)
def test_a_database_that_is_replaced_under_running_processes_is_noticed_by_the_next_request(
    pod: Pod, database: Database, tmp_path: Path
) -> None:
    """Another process has made its tables by then."""
    database.put_aside("first")
    other = Pod(pod.fleet, tmp_path / "other")
    other.expect("")
    try:
        other.proxy.start()
        all_refused(pod.s3)
        wait_until(lambda: pod.readiness()["reason"] == "DatabaseReplaced", "it says that it is ready")
        database.bring_back("first")
        wait_until(lambda: pod.proxy.health() == 200, "it does not heal")
        assert pod.s3.get_object(Bucket="photos", Key="cat.jpg")["Body"].read() == BODY
    finally:
        other.proxy.end()


def test_a_proxy_that_ends_before_another_database_ends_well(pod: Pod, database: Database) -> None:
    pod.proxy.kill()
    database.put_aside("first")
    start_unready(pod)
    assert pod.proxy.stop() == 0


def start_unready(pod: Pod) -> None:
    """It lives, and is asked nothing else."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pod.proxy, "health", lambda: Proxy.health(pod.proxy, "/health"))
        pod.proxy.start()
