"""Every row of a ledger, of either engine, read beside the proxy that works with it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import asyncpg

Rows = dict[str, list[str]]

_NOT_OF_REQUESTS = {"leases", "schema_migrations", "sqlite_sequence"}
"""What the workers touch in their own time, and what only migrations write."""


def read_rows(database: Path, uri: str | None) -> Rows:
    """The rows of every table at one moment, as sorted texts; of usage the sums, since only they mean anything."""
    return asyncio.run(_postgres(uri)) if uri else _sqlite(database)


def _sqlite(path: Path) -> Rows:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    with closing(connection):
        connection.execute("BEGIN")
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {table: [str(row) for row in connection.execute(query)] for table, query in _queries(names)}
    return _sorted(found)


async def _postgres(uri: str) -> Rows:
    connection = await asyncpg.connect(uri)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            names = [name for (name,) in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]
            return _sorted({table: [str(tuple(row)) for row in await connection.fetch(query)] for table, query in _queries(names)})
    finally:
        await connection.close()


def _queries(tables: list[str]) -> list[tuple[str, str]]:
    sums = "SELECT backend, SUM(used_bytes), SUM(orphan_bytes), SUM(reserved_bytes), SUM(objects) FROM usage GROUP BY backend"
    return [(table, sums if table == "usage" else f'SELECT * FROM "{table}"') for table in tables if table not in _NOT_OF_REQUESTS]


def _sorted(found: dict[str, list[str]]) -> Rows:
    return {table: sorted(rows) for table, rows in sorted(found.items())}
