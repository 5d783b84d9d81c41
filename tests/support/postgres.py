"""A private PostgreSQL server for tests: its own directory, a unix socket and a free TCP port, gone when the tests end.

The binaries are those of the machine (PATH, the places of distributions) or of the package `pgserver`. Where there are none,
tests that need them fail and say so; they are never skipped.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hack.ports import free_port

from s3o_crds.compiled import DatabaseConfig

USER = "s3o"
START_TIMEOUT_S = 30.0

# Durable as in production, so that what tests prove about commits holds there; small, so that many test runs fit on a machine.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "autovacuum_naptime": "10s",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class PostgresMissing(Exception):
    """No PostgreSQL server binaries on this machine."""

    def __init__(self) -> None:
        super().__init__(
            "these tests need PostgreSQL 14 or newer: install the distribution's server package "
            "(Debian: postgresql, Fedora: postgresql-server, macOS: brew install postgresql) or the Python package pgserver; "
            "`initdb` and `postgres` are looked for in PATH and in /usr/lib/postgresql/*/bin"
        )


def find_binaries() -> Path:
    """The folder that holds both `initdb` and `postgres`, newest first. Raises PostgresMissing."""
    candidates = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin", "usr/local/opt/postgresql*/bin"):
        candidates += sorted(Path("/").glob(pattern), reverse=True)
    spec = importlib.util.find_spec("pgserver")
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresMissing


class PostgresServer:
    """One running server. Its superuser `s3o` needs no password, on the socket as over TCP."""

    def __init__(self) -> None:
        self._binaries = find_binaries()
        self._numbers = count(1)
        # The path of a unix socket may have about a hundred bytes: a short folder of our own.
        self.folder = Path(tempfile.mkdtemp(prefix="s3o-pg-", dir="/tmp"))
        self.port = free_port()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            account = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _has_account(name))
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Initialise (the first time) and run; returns when the server answers."""
        data = self.folder / "data"
        if not data.exists():
            # By the rules of a language, "B" stands between "a" and "c": whatever is sorted as the database sorts is out of order for S3.
            # PostgreSQL 14 has such rules from its system alone, which may lack them: there the proof is left to newer ones.
            language = () if "(PostgreSQL) 14." in self._run("initdb", "--version") else ("--locale-provider=icu", "--icu-locale=en")
            self._run(
                *("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", *language),
                *("--no-sync", "--no-instructions"),
            )
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, "-k", self.folder, "-h", "127.0.0.1", "-p", str(self.port), *settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as,
            )
        self._wait_until_it_answers()

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server and keep its data; `immediately` is its crash: it recovers at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None

    def close(self) -> None:
        self.stop(immediately=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, *, template: str = "template0") -> DatabaseConfig:
        """A fresh database (empty, or as `template`), reached over the unix socket."""
        name = f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return DatabaseConfig(driver="Postgres", host=str(self.folder), port=self.port, database=name, user=USER, ssl_mode="disable")

    def drop_database(self, config: DatabaseConfig) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{config.database}" WITH (FORCE)')

    def rename_database(self, name: str, to: str) -> None:
        """Whoever is connected to it: nobody comes in between, neither before nor after."""
        self.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        self.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
        self.execute(f'ALTER DATABASE "{name}" RENAME TO "{to}"')
        self.execute(f'ALTER DATABASE "{to}" ALLOW_CONNECTIONS true')

    def wipe(self, config: DatabaseConfig) -> None:
        """Empty every table of a migrated database, whoever is still connected: a hundred times faster than a new database."""
        others = f"pid <> pg_backend_pid() AND datname = '{config.database}'"
        self.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")
        tables = self.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND relname NOT IN ('schema_migrations', 'which_database') "
            # Referring tables first.
            "ORDER BY (SELECT count(*) FROM pg_constraint WHERE confrelid = pg_class.oid)",
            database=config.database,
        )
        self.execute("; ".join(f'DELETE FROM "{table}"' for (table,) in tables), database=config.database)

    def uri(self, config: DatabaseConfig) -> str:
        """The same database over TCP."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{config.database}?sslmode=disable"

    def execute(self, sql: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """One statement (or several, without their rows) as superuser; usable inside and outside an event loop."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._execute(sql, database)).result()

    async def _execute(self, sql: str, database: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(host=str(self.folder), port=self.port, user=USER, database=database, timeout=START_TIMEOUT_S)
        try:
            if ";" in sql:
                await connection.execute(sql)
                return []
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run([self._binaries / program, *arguments], cwd=self.folder, capture_output=True, check=False, **self._as)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")
        return str(done.stdout, "utf-8", "replace")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.execute("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError) as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log[-2000:]}") from error
                time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server that all tests of a run share."""
    yield from _running()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that no other test needs: it may be stopped in the middle."""
    yield from _running()


def _running() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[DatabaseConfig]:
    """An empty database of the test's own."""
    config = postgres.create_database()
    yield config
    postgres.drop_database(config)


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
