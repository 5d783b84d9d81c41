"""Real proxies for tests: processes of the `s3o` program over a directory of custom resources, with real S3 servers behind them.

`launch` is the fixture: it starts a Fleet and ends it with the module that asked. What proxies wrote is shown when a test fails.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from botocore.config import Config
from tests.support import clients, manifests, programs
from tests.support.proxy import Proxy, wait_until
from tests.support.seaweedfs import Endpoint, SeaweedFS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
_SHARED_KEYS = "bucket-keys"
_TIMEOUTS = {"request": "10s"}
"""What a killed Complete may have joined settles in two minutes then: ten times that, and a margin."""


@dataclass(frozen=True)
class BackendShape:
    """One StorageBackend on an empty bucket of its own. `spec`: any further field, by its name in the resource."""

    name: str
    order: int = 100
    server: int = 0
    """Which SeaweedFS server it lies on."""
    endpoint: str = ""
    """Where proxies reach it, when that is not the server itself but something in between."""
    spec: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyPair:
    access_key_id: str = field(default_factory=lambda: f"TEST{secrets.token_hex(8).upper()}")
    secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))


class Fleet:
    """Proxies over one configuration directory. `bucket` and `keys` are what most tests use; `config` is the directory."""

    def __init__(
        self,
        directory: Path,
        seaweedfs: SeaweedFS,
        *,
        backends: Sequence[BackendShape] = (BackendShape("first", 1), BackendShape("second", 2), BackendShape("third", 3)),
        buckets: Sequence[str] = ("photos",),
        strategy: str = "Pack",
        proxies: int = 1,
        database_uri: str | None = None,
        server: Mapping[str, object] | None = None,
        tls: bool = False,
        processes: int = 1,
    ) -> None:
        """`database_uri` None: SQLite. `server`: fields of `spec.server`. `processes`: of each proxy, on its one port."""
        self.directory, self.config = directory, directory / "config"
        self.config.mkdir(parents=True)
        self.keys = KeyPair()
        self.bucket = buckets[0]
        self.certificate: Path | None = None
        self._seaweedfs = seaweedfs
        self._places: dict[str, Endpoint] = {}
        if tls:
            self.certificate, private_key = manifests.self_signed_certificate(directory)
            values = {"tls.crt": self.certificate.read_text(), "tls.key": private_key.read_text()}
            manifests.write(self.config / "tls.yaml", manifests.secret("endpoint-tls", values, "kubernetes.io/tls"))
        self._strategy, self._database_uri = strategy, database_uri
        self.write_server(**(server or {}))
        for shape in backends:
            self.write_backend(shape)
        self._write_keys()
        for bucket in buckets:
            self.write_bucket(bucket)
        scheme, program = "https" if tls else "http", ("run", "--processes", str(processes)) if processes > 1 else ("run",)
        self.proxies = [Proxy(number, directory, self.config, scheme=scheme, program=program) for number in range(proxies)]

    # --- what its user does -----------------------------------------------------------------------------------------

    def write_server(self, **fields: object) -> None:
        """Set fields of `spec.server`; what is not named has its default."""
        database: dict[str, object] = {"driver": "SQLite", "path": str(self.directory / "s3o.db")}
        others = []
        if self._database_uri is not None:
            database = {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}}
            others.append(manifests.secret("database", {"uri": self._database_uri}))
        server = {"region": REGION} | ({"tls": {"secretName": "endpoint-tls"}} if self.certificate else {}) | fields
        manifests.write(
            self.config / "orchestrator.yaml", manifests.orchestrator(database=database, strategy=self._strategy, server=server), *others
        )

    def write_backend(self, shape: BackendShape, keys: KeyPair | None = None) -> None:
        """Add or change a StorageBackend; its bucket stays the one it had. `keys`: others than those that open it."""
        place = self._places.get(shape.name)
        if place is None:
            place = self._places[shape.name] = self._seaweedfs.endpoint(shape.server)
        secret_name = f"{shape.name}-keys"
        resource = manifests.backend(
            shape.name,
            endpoint=shape.endpoint or place.url,
            bucket=place.bucket,
            region=place.region,
            secret_name=secret_name,
            order=shape.order,
            **({"etagIsMD5": True, "timeouts": _TIMEOUTS} | dict(shape.spec)),
        )
        pair = keys or KeyPair(place.access_key_id, place.secret_access_key)
        secret = manifests.key_pair(secret_name, pair.access_key_id, pair.secret_access_key)
        manifests.write(self.config / f"backend-{shape.name}.yaml", resource, secret)

    def remove_backend(self, name: str) -> None:
        (self.config / f"backend-{name}.yaml").unlink()

    def write_bucket(self, name: str, keys: KeyPair | None = None, **spec: object) -> None:
        """Add or change a VirtualBucket; with `keys` it has a Secret of its own, else it shares the fleet's."""
        secret_name, secret = _SHARED_KEYS, []
        if keys is not None:
            secret_name = f"{name}-keys"
            secret = [manifests.key_pair(secret_name, keys.access_key_id, keys.secret_access_key)]
        manifests.write(self.config / f"bucket-{name}.yaml", manifests.bucket(name, secret_name=secret_name, **spec), *secret)

    def remove_bucket(self, name: str) -> None:
        (self.config / f"bucket-{name}.yaml").unlink()

    def rotate_keys(self) -> None:
        """Replace the key pair of every bucket that shares it."""
        self.keys = KeyPair()
        self._write_keys()

    def _write_keys(self) -> None:
        pair = manifests.key_pair(_SHARED_KEYS, self.keys.access_key_id, self.keys.secret_access_key)
        manifests.write(self.config / "keys.yaml", pair)

    @contextmanager
    def next_generation(self, number: int = 0) -> Iterator[None]:
        """After the block, waits until proxy `number` serves a newer configuration than before."""
        proxy = self.proxies[number]
        before = proxy.generation
        yield
        wait_until(lambda: proxy.generation > before, f"generation {before} is still served")

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        for proxy in self.proxies:
            proxy.start()

    def kill(self, number: int = 0) -> None:
        self.proxies[number].kill()

    def stop(self, number: int = 0) -> int:
        """SIGTERM and wait; returns the exit code."""
        return self.proxies[number].stop()

    def restart(self, number: int = 0) -> None:
        """Start it again, after ending it when it still runs."""
        self.proxies[number].end()
        self.proxies[number].start()

    def end(self) -> None:
        for proxy in self.proxies:
            proxy.ask_to_end()
        for proxy in self.proxies:
            proxy.end()

    def audit(self) -> list[str]:
        """What `s3o audit` reports: nothing, when rows, bytes and counters agree."""
        completed = programs.run(["s3o", "audit", self.config], cwd=self.directory, exit_code=None)
        if completed.exit_code == 0:
            return []
        assert completed.exit_code == 1, f"s3o audit exited with {completed.exit_code}:\n{completed.text}{completed.errors}"
        return completed.lines or [completed.errors]

    # --- clients ----------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        return self.proxies[0].endpoint

    def client(
        self, number: int = 0, *, keys: KeyPair | None = None, config: Config | None = None, endpoint: str | None = None
    ) -> S3Client:
        """boto3 with its default settings, on proxy `number`, which may be called by another name (`endpoint`)."""
        pair = keys or self.keys
        return clients.make(
            endpoint_url=endpoint or self.proxies[number].endpoint,
            region_name=REGION,
            aws_access_key_id=pair.access_key_id,
            aws_secret_access_key=pair.secret_access_key,
            verify=str(self.certificate) if self.certificate else None,
            config=config,
        )

    def presigned_url(self, method: str, key: str, *, signature_version: str = "s3v4", expires_s: int = 60) -> str:
        """A URL for `key` of `bucket`; `method` in the words of boto3 (`put_object`). Signature version 2 is `s3`."""
        client = self.client(config=Config(signature_version=signature_version))
        return client.generate_presigned_url(method, Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=expires_s)

    def env(self) -> dict[str, str]:
        """For programs: the endpoint and the keys of `bucket` in the words of AWS, and nothing of the machine's own settings."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return variables | ({"AWS_CA_BUNDLE": str(self.certificate)} if self.certificate else {})

    def backend_client(self, name: str) -> S3Client:
        """boto3 on the backend itself."""
        place = self._places[name]
        return clients.make(
            endpoint_url=place.url,
            region_name=place.region,
            aws_access_key_id=place.access_key_id,
            aws_secret_access_key=place.secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    def discard(self, name: str) -> None:
        """Delete a backend's bucket with all that is in it. Only so the disk is free again: a deleted object stays there for a while."""
        self.backend_client(name).delete_bucket(Bucket=self._places[name].bucket)

    def stored(self, name: str, prefix: str = "", *, bucket: str = "") -> dict[str, int]:
        """What lies on a backend: sizes by storage key, of the keys of `bucket` (the fleet's first) that begin with `prefix`."""
        pages = (
            self.backend_client(name)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._places[name].bucket, Prefix=f"{bucket or self.bucket}/{prefix}")
        )
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


class Launch(Protocol):
    """Starts a Fleet of the given shape: the arguments of Fleet, after its first two."""

    def __call__(
        self,
        *,
        backends: Sequence[BackendShape] = ...,
        buckets: Sequence[str] = ...,
        strategy: str = ...,
        proxies: int = ...,
        database_uri: str | None = ...,
        server: Mapping[str, object] | None = ...,
        tls: bool = ...,
        processes: int = ...,
    ) -> Fleet: ...


_running: list[Fleet] = []


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory, seaweedfs: SeaweedFS) -> Iterator[Launch]:
    mine: list[Fleet] = []

    def start(**shape: object) -> Fleet:
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), seaweedfs, **shape)  # type: ignore[arg-type]  # Launch says what they are
        mine.append(fleet)
        _running.append(fleet)
        fleet.start()
        return fleet

    yield start
    for fleet in mine:
        _running.remove(fleet)
        for proxy in fleet.proxies:
            proxy.ask_to_end()
    for fleet in mine:
        fleet.end()


def logs_of_running_proxies() -> list[tuple[str, str]]:
    """Title and text of what each running proxy wrote last, for the report of a failed test."""
    return [(str(proxy.log), proxy.tail()) for fleet in _running for proxy in fleet.proxies if proxy.log.exists()]
