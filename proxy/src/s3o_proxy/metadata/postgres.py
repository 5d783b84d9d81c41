"""The PostgreSQL engine: one connection that writes, a few that read.

Connections are ours alone and never reset between uses: what a session needs is set once, statements are prepared once. A broken
connection is replaced when it is next needed, with a pause that grows while the server stays away; meanwhile callers are told at
once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from s3o_proxy.domain.errors import MetadataError, MetadataUnavailable
from s3o_proxy.metadata.audit import which_database
from s3o_proxy.metadata.errors import DRIVER_ERRORS, Refused, says_gone, translated, translated_at_commit
from s3o_proxy.metadata.identity import Identity
from s3o_proxy.metadata.migrate import check_postgres, migrate_postgres
from s3o_proxy.metadata.statements import Compiled, fuse, load_statements
from s3o_proxy.metadata.story import Row, Statement, Steps, Together

if TYPE_CHECKING:
    from s3o_proxy.metadata.connect import Connection, Dial, Purpose

T = TypeVar("T")

OLDEST_VERSION = 14
READERS = 4
LONGEST_PAUSE_S = 2.0


class PostgresEngine:
    remote = True

    def __init__(self, dial: Dial, *, read_only: bool) -> None:
        self._dialer = _Dialer(dial)
        self._read_only = read_only
        self._statements = load_statements("postgres")
        self._fusions: dict[str, Compiled] = {}
        self.identity = Identity()
        self._writer: Connection | None = None
        self._reader_slots = asyncio.Semaphore(READERS)
        self._idle_readers: list[Connection] = []
        self._busy_readers: set[Connection] = set()

    async def start(self) -> None:
        """Connect and migrate (or, read only, look at the schema). Raises MetadataUnavailable, MetadataError, SchemaTooNew."""
        connection = await self._dialer.connect("survey")
        try:
            if connection.get_server_version().major < OLDEST_VERSION:
                raise MetadataError(f"PostgreSQL {connection.get_server_version().major} is too old: {OLDEST_VERSION} is needed")
            if self._read_only:
                await check_postgres(connection)
            else:
                await migrate_postgres(connection)
            self.identity.take(await _drive(which_database(), lambda statement: self._fetch(connection, statement)))
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        finally:
            await _hang_up(connection)

    async def identify(self) -> None:
        self.identity.take(await _drive(which_database(), self._read))

    async def _connect(self, purpose: Purpose) -> Connection:
        """Behind a new connection there may be a new database: it says which one it is before it is asked anything else."""
        connection = await self._dialer.connect(purpose)
        try:
            self.identity.take(await _drive(which_database(), lambda statement: self._fetch(connection, statement)))
        except BaseException as error:
            connection.terminate()
            if isinstance(error, DRIVER_ERRORS):
                raise translated(error) from error
            raise
        return connection

    # --- writing ---------------------------------------------------------------------------------------------------

    async def transact(self, steps: Steps[T]) -> T:
        if self._read_only:
            raise MetadataError("the ledger was opened to be read only")
        self.identity.require()
        connection = await self._begin()
        try:
            result = await _drive(steps, lambda statement: self._fetch(connection, statement))
        except asyncio.CancelledError:
            connection.terminate()
            raise
        except BaseException as error:
            await _roll_back(connection)
            if isinstance(error, DRIVER_ERRORS):
                raise translated(error) from error
            raise
        await _commit(connection)
        return result

    async def _begin(self) -> Connection:
        """The writing connection, in a fresh transaction. One that broke while it was idle is replaced: nothing was lost yet."""
        if self._writer is not None and not self._writer.is_closed():
            try:
                await self._writer.execute(BEGIN)
                return self._writer
            except DRIVER_ERRORS:
                self._writer.terminate()
        self._writer = await self._connect("batches")
        try:
            await self._writer.execute(BEGIN)
        except DRIVER_ERRORS as error:
            self._writer.terminate()
            raise translated(error) from error
        return self._writer

    # --- reading ---------------------------------------------------------------------------------------------------

    async def read(self, steps: Steps[T]) -> T:
        self.identity.require()
        return await _drive(steps, self._read)

    async def scan(self, steps: Steps[T]) -> T:
        self.identity.require()
        return await _drive(steps, self._read)

    async def survey(self, steps: Steps[T]) -> T:
        self.identity.require()
        connection = await self._connect("survey")
        try:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return await _drive(steps, lambda statement: self._fetch(connection, statement))
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        finally:
            await _hang_up(connection)

    async def _read(self, statement: Statement | Together) -> list[Row]:
        """On the reader used last; one that broke while it was idle is replaced once."""
        async with self._reader_slots:
            while self._idle_readers:
                connection = self._idle_readers.pop()
                if connection.is_closed():
                    continue
                try:
                    return await self._read_on(connection, statement)
                except DRIVER_ERRORS as error:
                    if not connection.is_closed():
                        raise translated(error) from error
            connection = await self._connect("batches")
            try:
                return await self._read_on(connection, statement)
            except DRIVER_ERRORS as error:
                raise translated(error) from error

    async def _read_on(self, connection: Connection, statement: Statement | Together) -> list[Row]:
        self._busy_readers.add(connection)
        try:
            return await self._fetch(connection, statement)
        except DRIVER_ERRORS as error:
            if says_gone(error):
                connection.terminate()
            raise
        finally:
            self._busy_readers.discard(connection)
            if not connection.is_closed():
                self._idle_readers.append(connection)

    async def _fetch(self, connection: Connection, asked: Statement | Together) -> list[Row]:
        statements = asked.statements if isinstance(asked, Together) else (asked,)
        compiled = [self._statements[statement.name] for statement in statements]
        arguments = [statement.params[name] for statement, one in zip(statements, compiled, strict=True) for name in one.parameters]
        sql = compiled[0].sql if len(compiled) == 1 else self._fused(asked.name, compiled).sql
        return cast("list[Row]", await connection.fetch(sql, *arguments))

    def _fused(self, name: str, compiled: Sequence[Compiled]) -> Compiled:
        if name not in self._fusions:
            self._fusions[name] = fuse(compiled)
        return self._fusions[name]

    async def close(self) -> None:
        for connection in (self._writer, *self._idle_readers, *self._busy_readers):
            if connection is not None:
                await _hang_up(connection)
        self._idle_readers.clear()


BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
"""Said in full: the invariants rest on it, whatever the database's defaults are."""


async def _drive(steps: Steps[T], fetch: Callable[[Statement | Together], Awaitable[list[Row]]]) -> T:
    rows: list[Row] | None = None
    while True:
        try:
            statement = next(steps) if rows is None else steps.send(rows)
        except StopIteration as done:
            return cast(T, done.value)
        rows = await fetch(statement)


async def _commit(connection: Connection) -> None:
    try:
        answer = await connection.execute("COMMIT")
    except BaseException as error:
        # Whatever state the session is in: a new one is cheaper than finding out.
        connection.terminate()
        if isinstance(error, Exception):  # Whichever: only what the database itself refused is certain (I8).
            raise translated_at_commit(error) from error
        raise
    if answer != "COMMIT":
        raise Refused(f"the database answered COMMIT with {answer}")


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except DRIVER_ERRORS:
        # Without its connection the server rolls back by itself.
        connection.terminate()


async def _hang_up(connection: Connection) -> None:
    try:
        await connection.close(timeout=1.0)
    except DRIVER_ERRORS:
        connection.terminate()


class _Dialer:
    """Connects, and after a failure leaves the server alone for a pause that doubles up to a limit."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._pause_s = 0.0
        self._not_before_s = 0.0

    async def connect(self, purpose: Purpose) -> Connection:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._not_before_s:
            raise MetadataUnavailable("database: no connection, and it was tried a moment ago")
        try:
            connection = await self._dial(purpose)
        except DRIVER_ERRORS as error:
            self._pause_s = min(LONGEST_PAUSE_S, max(0.05, self._pause_s * 2))
            self._not_before_s = now_s + self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects, guards nothing
            raise MetadataUnavailable(f"database: no connection: {error or type(error).__name__}") from error
        self._pause_s = self._not_before_s = 0.0
        return connection
