"""The databases that processes share, or that one has after the other: opened, looked at from outside, and put back to what they were."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.metadata.connect import dial_with
from s3o_proxy.metadata.engine import Engine
from s3o_proxy.metadata.ledger import Ledger
from s3o_proxy.metadata.postgres import PostgresEngine
from s3o_proxy.metadata.sqlite import SQLiteEngine

if TYPE_CHECKING:
    from s3o_proxy.metadata.connect import Connection, Purpose


class Database(Protocol):
    """One database file or server, that processes open, and that can be put back to what it was."""

    name: str
    shared: bool
    """Several processes may use it at once."""

    async def open(self) -> Opened: ...

    async def observe(self) -> Ledger:
        """For looking alone, beside whoever writes."""
        ...

    async def keep(self) -> None:
        """Remember what it holds now; nobody writes."""
        ...

    async def restore(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Opened:
    """`cut`: what becomes of a process's database sessions when it dies. Returns when the database knows."""

    engine: Engine
    cut: Callable[[], Awaitable[None]]


class SQLiteFile:
    name = "SQLite"
    shared = False

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ledger.db"
        self._kept = directory / "kept.db"
        self._side: sqlite3.Connection | None = None
        self._observer: Ledger | None = None
        self._tables: list[str] = []

    async def open(self) -> Opened:
        engine = SQLiteEngine(self._path, read_only=False)
        assert engine._writer is not None
        engine._writer.execute("PRAGMA synchronous = OFF")  # Processes die here, not machines.
        # What its thread is at when it dies is done: that it is not, is what dying a little earlier shows.
        return Opened(engine, engine.close)

    async def observe(self) -> Ledger:
        if self._observer is None:
            self._observer = Ledger(SQLiteEngine(self._path, read_only=True))
        return self._observer

    async def keep(self) -> None:
        self._side = sqlite3.connect(self._path, isolation_level=None)
        self._side.execute("PRAGMA synchronous = OFF")
        self._side.execute("VACUUM INTO ?", (str(self._kept),))
        self._side.execute("ATTACH ? AS kept", (str(self._kept),))
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_migrations'"
        self._tables = [name for (name,) in self._side.execute(names)]

    async def restore(self) -> None:
        assert self._side is not None
        put_back = "; ".join(
            f'DELETE FROM main."{table}"; INSERT INTO main."{table}" SELECT * FROM kept."{table}"' for table in self._tables
        )
        self._side.executescript(f"BEGIN IMMEDIATE; {put_back}; COMMIT")

    async def close(self) -> None:
        if self._observer is not None:
            await self._observer.close()
        if self._side is not None:
            self._side.close()


class PostgresDatabase:
    name = "PostgreSQL"
    shared = True

    def __init__(self, config: DatabaseConfig) -> None:
        self._dial = dial_with(config, {}, read_only=False)
        self._idle: dict[Purpose, list[Connection]] = {}
        self._beginning: set[asyncio.Task[Connection]] = set()
        self._side: Connection | None = None
        self._observer: Ledger | None = None
        self._tables: list[str] = []

    async def open(self) -> Opened:
        sessions: list[_Lent] = []

        async def dial(purpose: Purpose) -> Connection:
            idle = self._idle.setdefault(purpose, [])
            lent = _Lent(idle.pop() if idle else await self._begin_session(purpose), idle)
            sessions.append(lent)
            return cast("Connection", lent)

        async def cut() -> None:
            broken = [pid for lent in sessions if (pid := lent.cut()) is not None]
            side = await self._connection()
            while broken and await side.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", broken):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.001)

        engine = PostgresEngine(dial, read_only=False)
        await engine.start()
        return Opened(engine, cut)

    async def _begin_session(self, purpose: Purpose) -> Connection:
        """Who dies meanwhile leaves it to the next."""
        beginning = asyncio.get_running_loop().create_task(self._new_session(purpose), context=Context())
        self._beginning.add(beginning)
        session = await asyncio.shield(beginning)
        self._beginning.discard(beginning)
        return session

    async def _new_session(self, purpose: Purpose) -> Connection:
        connection = await self._dial(purpose)
        await connection.execute("SET synchronous_commit = off")  # Processes die here, not machines.
        return connection

    async def observe(self) -> Ledger:
        if self._observer is None:
            self._observer = Ledger(_OneSession(PostgresEngine(self._dial, read_only=True)))
        return self._observer

    async def keep(self) -> None:
        side = await self._connection()
        rows = await side.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'schema_migrations' "
            # Referring tables first.
            "ORDER BY (SELECT count(*) FROM pg_constraint WHERE confrelid = pg_class.oid)"
        )
        self._tables = [row["relname"] for row in rows]
        copies = "; ".join(f'CREATE TABLE kept."{table}" AS TABLE public."{table}"' for table in self._tables)
        await side.execute(f"DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept; {copies}")

    async def restore(self) -> None:
        side = await self._connection()
        empty = "; ".join(f'DELETE FROM public."{table}"' for table in self._tables)
        fill = "; ".join(f'INSERT INTO public."{table}" OVERRIDING SYSTEM VALUE TABLE kept."{table}"' for table in reversed(self._tables))
        await side.execute(f"{empty}; {fill}")

    async def close(self) -> None:
        if self._observer is not None:
            await self._observer.close()
        begun = [await each for each in self._beginning]
        for connection in (self._side, *begun, *chain.from_iterable(self._idle.values())):
            if connection is not None:
                await connection.close()

    async def _connection(self) -> Connection:
        if self._side is None:
            self._side = await self._new_session("survey")
        return self._side


class _Lent:
    """A session that the next process may use again, where this one left nothing open on it: new ones take longer than most trials."""

    def __init__(self, session: Connection, idle: list[Connection]) -> None:
        self._session, self._idle = session, idle
        self._asks = False
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def is_closed(self) -> bool:
        return self._ended or self._session.is_closed()

    async def execute(self, query: str, *arguments: object) -> str:
        self._asks = True
        answer = await self._session.execute(query, *arguments)
        self._asks = False
        return answer

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        self._asks = True
        rows = await self._session.fetch(query, *arguments)
        self._asks = False
        return rows

    async def close(self, timeout: float = 0) -> None:
        self._end()

    def terminate(self) -> None:
        self._asks = True
        self._end()

    def cut(self) -> int | None:
        """Returns the server process that has to notice."""
        if self._ended:
            return None
        pid = self._session.get_server_pid()
        self._end()
        return pid if self._session.is_closed() else None

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._asks or self._session.is_closed() or self._session.is_in_transaction():
            self._session.terminate()
        else:
            self._idle.append(self._session)


class _OneSession:
    """Surveys on the sessions of reads: while everybody stands still, all statements see one moment anyway."""

    remote = True

    def __init__(self, engine: PostgresEngine) -> None:
        self.transact, self.read, self.scan, self.close = engine.transact, engine.read, engine.scan, engine.close
        self.survey, self.identify, self.identity = engine.scan, engine.identify, engine.identity
