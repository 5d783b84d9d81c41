"""Every story is struck at every point, on PostgreSQL: I1, I2, I3, I4, I6 and I8 hold (tests/probe/trial.py says how that is seen)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.probe.databases import PostgresDatabase
from tests.probe.points import EVERYTHING, names_of_workers, strike_all
from tests.probe.tales import TALES, Tale, of_worker
from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if EVERYTHING else 300)]

Record = Callable[[str, object], None]


@pytest.mark.parametrize("tale", TALES, ids=lambda tale: tale.name)
async def test_a_story(tale: Tale, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    await strike_all(PostgresDatabase(postgres.create_database()), tale, monkeypatch, record_property)


async def test_each_worker(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    """Each that a process runs, whoever adds one."""
    for name in await names_of_workers(PostgresDatabase(postgres.create_database())):
        await strike_all(PostgresDatabase(postgres.create_database()), of_worker(name), monkeypatch, record_property)
