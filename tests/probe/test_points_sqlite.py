"""Every story is struck at every point, on SQLite: I1, I2, I3, I4, I6 and I8 hold (tests/probe/trial.py says how that is seen)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.probe.databases import SQLiteFile
from tests.probe.points import EVERYTHING, names_of_workers, strike_all
from tests.probe.tales import TALES, Tale, of_worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if EVERYTHING else 300)]

Record = Callable[[str, object], None]


@pytest.mark.parametrize("tale", TALES, ids=lambda tale: tale.name)
async def test_a_story(tale: Tale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    await strike_all(SQLiteFile(tmp_path), tale, monkeypatch, record_property)


async def test_each_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    """Each that a process runs, whoever adds one."""
    for name in await names_of_workers(SQLiteFile(tmp_path)):
        (tmp_path / name).mkdir()
        await strike_all(SQLiteFile(tmp_path / name), of_worker(name), monkeypatch, record_property)
