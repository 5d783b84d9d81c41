"""The SQLite engine: one file, one process, one writer thread.

Transactions run in the writer thread, durable when they return (WAL, synchronous=FULL). Point reads run where they are asked for,
on a connection of their own: they cost less than a hop to a thread. Scans run in a second thread, so that they stall nobody.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

from s3o_proxy.domain.errors import MetadataError, MetadataUnavailable
from s3o_proxy.metadata.audit import which_database
from s3o_proxy.metadata.errors import translated, translated_at_commit
from s3o_proxy.metadata.identity import Identity
from s3o_proxy.metadata.migrate import check_sqlite, migrate_sqlite
from s3o_proxy.metadata.statements import Compiled, load_statements
from s3o_proxy.metadata.story import Row, Statement, Steps, Together

T = TypeVar("T")

OLDEST_VERSION = (3, 38, 0)
"""The first with `->>`, on which batches rest."""

BUSY_TIMEOUT_MS = 5_000


class SQLiteEngine:
    remote = False

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Opens (and, unless read only, locks and migrates) the file. Raises MetadataError, MetadataUnavailable, SchemaTooNew."""
        if sqlite3.sqlite_version_info < OLDEST_VERSION:
            raise MetadataError(f"SQLite {sqlite3.sqlite_version} is too old: {'.'.join(map(str, OLDEST_VERSION))} is needed")
        self._statements = load_statements("sqlite")
        self._read_only = read_only
        self.identity = Identity()
        self._connections: list[sqlite3.Connection] = []
        self._lock = None if read_only else _lock_file(path)
        try:
            self._writer = None if read_only else self._connect(path, read_only=False)
            if self._writer is not None:
                migrate_sqlite(self._writer)
                # Whoever held a lease or a claim had this file open, and now we have it: nobody has to wait for the dead.
                self._writer.execute("DELETE FROM leases")
                self._writer.execute("UPDATE cleanup_queue SET claimed_until_ms = 0")
            self._point_reader = self._connect(path, read_only=True)
            self._scanner = self._connect(path, read_only=True)
            check_sqlite(self._point_reader)
            self.identity.take(_drive(self._point_reader, self._statements, which_database()))
        except BaseException as error:
            self._release()
            if isinstance(error, sqlite3.Error):
                raise MetadataUnavailable(f"{path}: {error}") from error
            raise
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="metadata-writer")
        self._scan_thread = ThreadPoolExecutor(1, thread_name_prefix="metadata-scan")

    async def transact(self, steps: Steps[T]) -> T:
        self.identity.require()
        return await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._transact, steps)

    async def read(self, steps: Steps[T]) -> T:
        self.identity.require()
        return self._read(self._point_reader, steps)

    async def scan(self, steps: Steps[T]) -> T:
        self.identity.require()
        return await asyncio.get_running_loop().run_in_executor(self._scan_thread, self._read, self._scanner, steps)

    async def survey(self, steps: Steps[T]) -> T:
        self.identity.require()
        return await asyncio.get_running_loop().run_in_executor(self._scan_thread, self._survey, steps)

    async def identify(self) -> None:
        self.identity.take(self._read(self._point_reader, which_database()))

    async def close(self) -> None:
        await asyncio.to_thread(self._writer_thread.shutdown)
        await asyncio.to_thread(self._scan_thread.shutdown)
        self._release()

    def _connect(self, path: Path, *, read_only: bool) -> sqlite3.Connection:
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
        self._connections.append(connection)
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _transact(self, steps: Steps[T]) -> T:
        if self._writer is None:
            raise MetadataError("the ledger was opened to be read only")
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            result = _drive(self._writer, self._statements, steps)
        except BaseException as error:
            self._roll_back(self._writer)
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise
        try:
            self._writer.execute("COMMIT")
        except Exception as error:  # Whichever: only what the database itself refused is certain (I8).
            self._roll_back(self._writer)
            raise translated_at_commit(error) from error
        return result

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        # Some errors (a full disk) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _read(self, connection: sqlite3.Connection, steps: Steps[T]) -> T:
        try:
            return _drive(connection, self._statements, steps)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _survey(self, steps: Steps[T]) -> T:
        try:
            self._scanner.execute("BEGIN")
            return _drive(self._scanner, self._statements, steps)
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            self._roll_back(self._scanner)

    def _release(self) -> None:
        # The writer last: only it can fold the write-ahead log into the file, which is then whole by itself.
        for connection in reversed(self._connections):
            connection.close()
        if self._lock is not None:
            os.close(self._lock)


def _drive(connection: sqlite3.Connection, statements: Mapping[str, Compiled], steps: Steps[T]) -> T:
    rows: list[Row] | None = None
    while True:
        try:
            statement: Statement | Together = next(steps) if rows is None else steps.send(rows)
        except StopIteration as done:
            return cast(T, done.value)
        for one in statement.statements if isinstance(statement, Together) else (statement,):
            rows = connection.execute(statements[one.name].sql, dict(one.params)).fetchall()


def _lock_file(path: Path) -> int:
    """Hold `<path>.lock` while we live: SQLite itself would let a second process in, whose reads and groups know nothing of ours."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MetadataError(f"cannot open {path}.lock: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise MetadataError(f"{path} is in use by another process; SQLite serves one, use PostgreSQL for several") from error
    return descriptor
