"""Ledgers over both engines. Each test has an empty database to itself, and ends with the counters equal to what they count (I6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.ledger import check_counters
from tests.support.postgres import PostgresServer

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata


@pytest.fixture(scope="session")
def shared_database(postgres: PostgresServer) -> DatabaseConfig:
    """One migrated PostgreSQL database for all tests here: to make a new one takes longer than most of them."""
    config = postgres.create_database()

    async def migrate() -> None:
        await (await open_ledger(config, {})).close()

    asyncio.run(migrate())
    return config


@pytest.fixture
def migrated_database(postgres: PostgresServer, shared_database: DatabaseConfig) -> DatabaseConfig:
    postgres.wipe(shared_database)
    return shared_database


@pytest.fixture(params=["SQLite", "Postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseConfig:
    """A migrated database of the test's own."""
    if request.param == "SQLite":
        return DatabaseConfig(driver="SQLite", path=str(tmp_path / "ledger.db"))
    config = request.getfixturevalue("migrated_database")
    assert isinstance(config, DatabaseConfig)
    return config


@pytest.fixture
async def ledger(database: DatabaseConfig) -> AsyncIterator[Metadata]:
    ledger = await open_ledger(database, {})
    yield ledger
    await check_counters(ledger)
    await ledger.close()


@pytest.fixture
async def two_ledgers(migrated_database: DatabaseConfig) -> AsyncIterator[tuple[Metadata, Metadata]]:
    """Two processes' worth of ledger over one PostgreSQL database."""
    async with AsyncExitStack() as stack:
        ledgers = [await open_ledger(migrated_database, {}) for _ in range(2)]
        for ledger in ledgers:
            stack.push_async_callback(ledger.close)
        yield ledgers[0], ledgers[1]
        await check_counters(ledgers[0])
