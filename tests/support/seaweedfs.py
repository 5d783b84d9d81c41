"""Real S3 servers for tests: SeaweedFS processes that live for a session, and buckets that live for a test."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession
from hack.seaweedfs import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Server

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.client import new_session
from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.backends.wire.backend import open_backend

Adapter = Callable[[BackendConfig, Mapping[str, str], AioSession | None], Awaitable[S3Backend]]
"""What opens a client of a backend."""

_numbers = itertools.count(1)


@functools.cache
def _session() -> AioSession:
    """botocore reads the description of S3 from its files once, not for each test."""
    return new_session()


@dataclass(frozen=True)
class Endpoint:
    """One empty bucket on one server, and the keys to it."""

    url: str
    bucket: str
    region: str = REGION
    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = SECRET_ACCESS_KEY

    def config(self, name: str = "b1", **changes: Any) -> BackendConfig:
        """What a proxy is given for it; its secrets are `self.secrets`."""
        fields: dict[str, object] = {
            "name": name,
            "endpoint": self.url,
            "region": self.region,
            "bucket": self.bucket,
            "access_key_id": "test/seaweedfs/access",
            "secret_access_key": "test/seaweedfs/secret",
            "etag_is_md5": True,
            "verifies_content_md5": True,
        }
        return BackendConfig.model_validate(fields | changes)

    async def open(self, name: str = "b1", *, adapter: Adapter = open_backend, **changes: Any) -> S3Backend:
        return await adapter(self.config(name, **changes), self.secrets, _session())

    @property
    def secrets(self) -> dict[str, str]:
        return {"test/seaweedfs/access": self.access_key_id, "test/seaweedfs/secret": self.secret_access_key}


class SeaweedFS:
    """Servers that are started when first asked for. `endpoint(n)` gives a fresh bucket on the n-th of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: dict[int, Server] = {}

    def server(self, number: int = 0) -> Server:
        if number not in self._servers:
            self._servers[number] = Server.start(self._directory / f"server-{number}")
        return self._servers[number]

    def endpoint(self, number: int = 0) -> Endpoint:
        server = self.server(number)
        bucket = f"test-{next(_numbers)}"
        server.create_bucket(bucket)
        return Endpoint(server.endpoint, bucket)

    def endpoints(self, count: int) -> list[Endpoint]:
        """Fresh buckets on as many separate servers."""
        return [self.endpoint(number) for number in range(count)]

    def stop(self) -> None:
        for server in self._servers.values():
            server.kill()
        self._servers.clear()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    servers = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))
    yield servers
    servers.stop()
