"""Migrations: once, in order, under a lock; never backwards."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from tests.support.ledger import BUCKET, put
from tests.support.postgres import PostgresServer

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import MetadataError, SchemaTooNew
from s3o_proxy.metadata.migrate import CREATE_TABLE, load_migrations, migrate_sqlite
from s3o_proxy.metadata.open import open_ledger

NEWEST = len(load_migrations("sqlite"))


@pytest.fixture(params=["SQLite", "Postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseConfig:
    if request.param == "SQLite":
        return DatabaseConfig(path=str(tmp_path / "ledger.db"))
    config = request.getfixturevalue("postgres_database")
    assert isinstance(config, DatabaseConfig)
    return config


def change(request: pytest.FixtureRequest, database: DatabaseConfig, sql: str) -> None:
    if database.driver == "SQLite":
        with sqlite3.connect(database.path, isolation_level=None) as connection:
            connection.execute(sql)
        connection.close()
    else:
        server = request.getfixturevalue("postgres")
        assert isinstance(server, PostgresServer)
        server.execute(sql, database=database.database)


def test_both_engines_have_the_same_migrations() -> None:
    assert [(one.version, one.name) for one in load_migrations("postgres")] == [
        (one.version, one.name) for one in load_migrations("sqlite")
    ]
    for migration in (*load_migrations("postgres"), *load_migrations("sqlite")):
        assert migration.statements


async def test_an_empty_database_is_migrated_and_then_left_alone(empty_database: DatabaseConfig) -> None:
    for write_id in ("w1", "w2"):
        ledger = await open_ledger(empty_database, {})
        await put(ledger, write_id, write_id)
        assert await ledger.find_object(BUCKET, "w1")
        await ledger.close()


async def test_a_newer_database_is_refused(request: pytest.FixtureRequest, empty_database: DatabaseConfig) -> None:
    await (await open_ledger(empty_database, {})).close()
    change(request, empty_database, f"INSERT INTO schema_migrations VALUES ({NEWEST + 1}, 'from the future')")
    for read_only in (False, True):
        with pytest.raises(SchemaTooNew, match=f"schema {NEWEST + 1}.*knows {NEWEST}"):
            await open_ledger(empty_database, {}, read_only=read_only)


async def test_an_older_database_is_not_read_but_migrated_first(request: pytest.FixtureRequest, empty_database: DatabaseConfig) -> None:
    await (await open_ledger(empty_database, {})).close()
    change(request, empty_database, "DELETE FROM schema_migrations")
    with pytest.raises(MetadataError, match="start the proxy once"):
        await open_ledger(empty_database, {}, read_only=True)


async def test_a_migration_that_fails_leaves_nothing_behind(request: pytest.FixtureRequest, empty_database: DatabaseConfig) -> None:
    change(request, empty_database, "CREATE TABLE outbox (a integer)")
    with pytest.raises(MetadataError):
        await open_ledger(empty_database, {})
    change(request, empty_database, "DROP TABLE outbox")
    await (await open_ledger(empty_database, {})).close()


def test_backends_of_the_first_schema_are_open(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    connection.execute(CREATE_TABLE)
    for statement in load_migrations("sqlite")[0].statements:
        connection.execute(statement)
    connection.execute("INSERT INTO schema_migrations VALUES (1, 'ledger')")
    connection.execute("INSERT INTO backends (name) VALUES ('east')")
    migrate_sqlite(connection)
    assert connection.execute("SELECT name, fenced_by FROM backends").fetchall() == [("east", "")]
    connection.close()


async def test_two_processes_may_start_at_once(postgres_database: DatabaseConfig) -> None:
    async with asyncio.TaskGroup() as group:
        opened = [group.create_task(open_ledger(postgres_database, {})) for _ in range(4)]
    for number, one in enumerate(opened):
        await put(one.result(), f"w{number}")
        await one.result().close()


async def test_a_database_that_was_never_migrated_cannot_be_read(empty_database: DatabaseConfig) -> None:
    with pytest.raises(MetadataError):
        await open_ledger(empty_database, {}, read_only=True)
