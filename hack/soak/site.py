"""What a soak runs on: a PostgreSQL, S3 servers as backends, and the configuration of the proxies between clients and them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from hack.bench.ours import postgres, resource
from hack.seaweedfs import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Server
from hack.soak.client import Access

BUCKET = "soak"
REGION = "us-east-1"
_CLIENT_KEY_ID, _CLIENT_SECRET = "soak-access-key", "soak-secret-key"
_NAMES = ("first", "second", "third")


@dataclass(frozen=True)
class Site:
    """`backends`: by name, in the order in which they are filled. Everything that is written lies in `directory`."""

    directory: Path
    database_uri: str
    backends: Mapping[str, Access]

    @property
    def config(self) -> Path:
        return self.directory / "config"

    def access(self, port: int) -> Access:
        """For clients, over the proxy on that port."""
        return Access(port, BUCKET, _CLIENT_KEY_ID, _CLIENT_SECRET, REGION)

    def write_config(self, quota_bytes: int) -> None:
        self.config.mkdir()
        (self.config / "soak.yaml").write_text(yaml.safe_dump_all(self._resources(quota_bytes), sort_keys=False))

    async def audit(self) -> list[str]:
        """What `s3o audit` reports: nothing, when rows, bytes and counters agree."""
        program = await asyncio.create_subprocess_exec(
            *(_s3o(), "audit", self.config), cwd=self.directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await program.communicate()
        if program.returncode == 0:
            return []
        return (output or errors).decode(errors="replace").splitlines() or [f"exit code {program.returncode}"]

    def _resources(self, quota_bytes: int) -> list[dict[str, object]]:
        owner = {"orchestratorRef": {"name": "soak"}}
        database = {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}}
        # The first backend is filled to its last byte before the second: so quotas are reached all the time, not only in the end.
        server = {"server": {"region": REGION}, "database": database, "routing": {"strategy": "Pack"}}
        found = [
            _secret("database", {"uri": self.database_uri}),
            _key_pair("clients", _CLIENT_KEY_ID, _CLIENT_SECRET),
            resource("S3Orchestrator", "soak", server),
            resource("VirtualBucket", BUCKET, owner | {"credentials": [{"name": "soak", "secretRef": {"name": "clients"}}]}),
        ]
        for order, (name, access) in enumerate(self.backends.items()):
            spec = {
                "endpoint": f"http://127.0.0.1:{access.port}",
                "bucket": access.bucket,
                "region": access.region,
                "credentialsSecretRef": {"name": name},
                "etagIsMD5": True,
                "order": order,
                "quota": {"bytes": quota_bytes},
                # What a killed Complete may have joined settles in two minutes: the time-out ten times, and a margin.
                "timeouts": {"request": "10s"},
            }
            found += [_key_pair(name, access.access_key_id, access.secret_access_key), resource("StorageBackend", name, owner | spec)]
        return found


@contextlib.contextmanager
def new_site(directory: Path) -> Iterator[Site]:
    """A PostgreSQL and three S3 servers of its own, ended with the block."""
    with contextlib.ExitStack() as started:
        backends = _start_backends(directory, started)
        _, uri = started.enter_context(postgres(directory))
        yield Site(directory, uri, backends)


def _start_backends(directory: Path, started: contextlib.ExitStack) -> dict[str, Access]:
    """All at once: each takes seconds to come up."""

    def start(name: str) -> Access:
        server = Server.start(directory / name)
        started.callback(server.kill)
        server.create_bucket(BUCKET)
        return Access(server.listeners["s3.port"], BUCKET, ACCESS_KEY_ID, SECRET_ACCESS_KEY)

    with ThreadPoolExecutor(len(_NAMES)) as pool:
        return dict(zip(_NAMES, pool.map(start, _NAMES), strict=True))


def _secret(name: str, values: Mapping[str, str]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}


def _key_pair(name: str, access_key_id: str, secret_access_key: str) -> dict[str, object]:
    return _secret(name, {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key})


def _s3o() -> Path:
    """The program beside this interpreter: the checkout's own."""
    return Path(sys.executable).with_name("s3o")
