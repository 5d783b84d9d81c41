"""Numbered migrations, each applied once, under a lock; a database from a newer release is refused.

A migration is `migrations/NNNN_name.sql`: one statement per block, blocks apart by blank lines. A block that opens with
`-- @postgres` or `-- @sqlite` is for that engine alone.

A dump of an older release that is brought back with `pg_restore --clean` takes away the tables that it has, and leaves those that it does
not know: so a table that comes later is made only where there is none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from importlib.resources import files

import asyncpg

from s3o_proxy.domain.errors import MetadataError, SchemaTooNew
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.metadata.statements import Dialect, translate

MIGRATION_LOCK = 0x73336F  # "s3o"

CREATE_TABLE = "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL)"
NEWEST = "SELECT coalesce(max(version), 0) FROM schema_migrations"


@frozen
class Migration:
    version: int
    name: str
    statements: tuple[str, ...]


def load_migrations(dialect: Dialect) -> Sequence[Migration]:
    """In order of their numbers, which have no gaps."""
    folder = files("s3o_proxy.metadata") / "migrations"
    found = []
    for file in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name):
        number, _, name = file.name.removesuffix(".sql").partition("_")
        found.append(Migration(int(number), name, tuple(_blocks(file.read_text(encoding="utf-8"), dialect))))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are numbered from 0001 without gaps")
    return found


async def migrate_postgres(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async with connection.transaction(isolation="read_committed"):
        # Two processes may start at once: the second waits here, and then finds nothing to do.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        await connection.execute(CREATE_TABLE)
        for migration in _missing(await connection.fetchval(NEWEST), "postgres"):
            for statement in migration.statements:
                await connection.execute(statement)
            await connection.execute("INSERT INTO schema_migrations VALUES ($1, $2)", migration.version, migration.name)


def migrate_sqlite(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        connection.execute(CREATE_TABLE)
        for migration in _missing(connection.execute(NEWEST).fetchone()[0], "sqlite"):
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_migrations VALUES (?, ?)", (migration.version, migration.name))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


async def check_postgres(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """For who only reads and so does not migrate."""
    migrated = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
    _refuse_other_than_newest(await connection.fetchval(NEWEST) if migrated else 0, "postgres")


def check_sqlite(connection: sqlite3.Connection) -> None:
    """For who only reads and so does not migrate."""
    migrated = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone()
    _refuse_other_than_newest(connection.execute(NEWEST).fetchone()[0] if migrated else 0, "sqlite")


def _refuse_other_than_newest(found: int, dialect: Dialect) -> None:
    if _missing(found, dialect):
        raise MetadataError(f"the database has schema {found}, older than this program's: start the proxy once, it migrates")


def _missing(found: int, dialect: Dialect) -> Sequence[Migration]:
    known = load_migrations(dialect)
    if found > len(known):
        raise SchemaTooNew(found, len(known))
    return known[found:]


def _blocks(text: str, dialect: Dialect) -> list[str]:
    chosen = []
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        written_for = lines[0].removeprefix("-- @") if lines and lines[0].startswith("-- @") else dialect
        if written_for == dialect and not all(line.startswith("--") for line in lines):
            chosen.append(translate("\n".join(lines), dialect))
    return chosen
