"""Our proxy as the benchmark runs it: `s3o run` on resources like those in config/local, with SQLite or a private PostgreSQL.

Nothing is switched off: signatures are verified, the backend has a quota, requests are logged, and PostgreSQL is durable (its defaults).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from hack.bench.processes import CannotRunError, answers, process, tail, until_ready
from hack.ports import free_port

BUCKET = "bench"
REGION = "us-east-1"
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "bench-access-key", "bench-secret-key"

_PHYSICAL_BUCKET = "behind"
_API_VERSION = "s3orchestrator.io/v1alpha1"


@contextlib.contextmanager
def proxy(
    scratch: Path, upstream_port: int, database_uri: str | None, processes: int = 1, location_cache: str | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yields its process and port. `database_uri` None: SQLite. `location_cache`: how old what it remembers may be."""
    port, log, config = free_port(), scratch / "s3o.log", scratch / "config"
    config.mkdir()
    resources = _resources(scratch, upstream_port, database_uri, location_cache)
    (config / "bench.yaml").write_text(yaml.safe_dump_all(resources, sort_keys=False))
    # The program beside this interpreter: the checkout's own, whatever else is on the PATH.
    program = Path(sys.executable).with_name("s3o")
    several = ["--processes", str(processes)] if processes > 1 else []
    command = [str(program), "run", str(config), "--listen", f"127.0.0.1:{port}", *several]
    with process("s3o", command, log, cwd=scratch) as server:
        until_ready("s3o", server, log, lambda: answers(port, "/health/ready"))
        yield server, port


def _resources(scratch: Path, upstream_port: int, database_uri: str | None, location_cache: str | None) -> list[dict[str, object]]:
    owner = {"orchestratorRef": {"name": "bench"}}
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    database: dict[str, object] = {"driver": "SQLite", "path": str(scratch / "s3o.db")}
    if database_uri:
        database = {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}}
    server: dict[str, object] = {"region": REGION}
    if location_cache:
        server["locationCache"] = {"maxAge": location_cache}
    backend = {
        "endpoint": f"http://127.0.0.1:{upstream_port}",
        "bucket": _PHYSICAL_BUCKET,
        "credentialsSecretRef": {"name": "keys"},
        "etagIsMD5": True,  # the stub's is none, but nobody compares it, and so our proxy takes the path that it takes with most providers
        "quota": {"bytes": "100Ti"},
    }
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}, "stringData": {"uri": database_uri or "unused"}},
        resource("S3Orchestrator", "bench", {"server": server, "database": database}),
        resource("StorageBackend", "stub", owner | backend),
        resource("VirtualBucket", BUCKET, owner | {"credentials": [{"name": "bench", "secretRef": {"name": "keys"}}]}),
    ]


def resource(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def postgres_programs() -> Path | None:
    """The directory with initdb and postgres, from the PATH or where Debian keeps them; None when there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextlib.contextmanager
def postgres(scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A PostgreSQL of our own, with the defaults of a new cluster; yields its process and URI."""
    programs = postgres_programs()
    if programs is None:
        raise CannotRunError("PostgreSQL is missing; on Debian and Ubuntu: apt-get install postgresql (or take --database sqlite)")
    home, port, log = scratch / "postgres", free_port(), scratch / "postgres.log"
    home.mkdir()
    user = _unprivileged()
    if user:
        shutil.chown(home, user)
    data = home / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "bench", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    with process("initdb", initdb, log, cwd=home, user=user) as creating:
        if creating.wait():
            raise CannotRunError(f"initdb failed:\n{tail(log)}")
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(home)]
    # SIGINT: PostgreSQL ends its sessions at once; on SIGTERM it would wait for them.
    with process("PostgreSQL", command, log, cwd=home, user=user, ending=signal.SIGINT) as server:
        until_ready("PostgreSQL", server, log, lambda: _says_ready(data / "postmaster.pid"))
        yield server, f"postgresql://bench@127.0.0.1:{port}/postgres"


def _says_ready(lock_file: Path) -> bool:
    """As pg_ctl asks: the last line is the state. A port that accepts is no proof, for PostgreSQL listens before it has recovered."""
    return lock_file.exists() and lock_file.read_text().split()[-1:] == ["ready"]


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: then the user that its package made, or nobody. Otherwise whoever we are."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
