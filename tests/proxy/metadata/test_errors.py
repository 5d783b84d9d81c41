"""What drivers raise, as the domain's errors: a table, and the real thing where it can be made to happen."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import asyncpg
import pytest
from tests.support.ledger import BACKEND, an_intent, an_object, check_counters

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import MetadataUnavailable, OutcomeUnknown
from s3o_proxy.metadata.errors import Refused, says_gone, translated, translated_at_commit
from s3o_proxy.metadata.ledger import Ledger
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.sqlite import SQLiteEngine


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


GONE = [
    OSError("refused"),
    TimeoutError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.QueryCanceledError("statement timeout"),
    asyncpg.IdleInTransactionSessionTimeoutError("idle"),
    sqlite_error("SQLITE_FULL"),
    sqlite_error("SQLITE_BUSY"),
    sqlite_error("SQLITE_IOERR_FSYNC"),
    sqlite_error("SQLITE_READONLY"),
]
BY_CHANCE = [asyncpg.DeadlockDetectedError("deadlock"), asyncpg.SerializationError("serialize"), asyncpg.LockNotAvailableError("lock")]
REFUSED = [
    asyncpg.UniqueViolationError("unique"),
    asyncpg.CheckViolationError("check"),
    asyncpg.CharacterNotInRepertoireError("invalid byte sequence"),
    asyncpg.UntranslatableCharacterError("\\u0000"),
    asyncpg.OutOfMemoryError("out of shared memory"),
    asyncpg.DiskFullError("disk full"),
    sqlite_error("SQLITE_CONSTRAINT_UNIQUE"),
    sqlite_error("SQLITE_ERROR"),
]


def named(errors: list[Exception]) -> list[object]:
    return [pytest.param(error, id=f"{type(error).__name__} {error}") for error in errors]


@pytest.mark.parametrize("error", named([*GONE]))
def test_before_commit_a_lost_database_did_nothing(error: Exception) -> None:
    assert type(translated(error)) is MetadataUnavailable


@pytest.mark.parametrize("error", named([*BY_CHANCE, *REFUSED]))
def test_a_refusal_concerns_the_members(error: Exception) -> None:
    refused = translated(error)
    assert isinstance(refused, Refused)
    assert refused.by_chance == (error in BY_CHANCE)


@pytest.mark.parametrize(
    "error", named([error for error in GONE if "FULL" not in str(error) and "BUSY" not in str(error) and "READ" not in str(error)])
)
def test_at_commit_a_lost_database_is_an_unknown_outcome(error: Exception) -> None:
    """I8."""
    assert isinstance(translated_at_commit(error), OutcomeUnknown)


@pytest.mark.parametrize("error", named([*BY_CHANCE, *REFUSED, sqlite_error("SQLITE_FULL"), sqlite_error("SQLITE_BUSY")]))
def test_at_commit_a_refusal_is_certain(error: Exception) -> None:
    assert isinstance(translated_at_commit(error), MetadataUnavailable)


def test_a_time_out_of_a_statement_leaves_the_connection_whole() -> None:
    assert not says_gone(asyncpg.QueryCanceledError("statement timeout"))
    assert says_gone(asyncpg.AdminShutdownError("shutdown"))
    assert says_gone(TimeoutError())


@pytest.mark.parametrize("error", named([MemoryError(), RuntimeError("of the driver's own"), KeyError("state")]))
def test_at_commit_whatever_nobody_expected_is_unknown(error: Exception) -> None:
    """Taken for a refusal, the batch would be tried again in halves, find its intents gone, and delete what it had committed."""
    assert isinstance(translated_at_commit(error), OutcomeUnknown)


class _Unforeseen:
    """A connection whose COMMIT takes effect, and then fails in a way that no table of errors foresees."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        cursor = self._real.execute(sql, *arguments)  # type: ignore[arg-type]  # handed through
        if sql == "COMMIT":
            raise RuntimeError("of the driver's own")
        return cursor

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


async def test_a_commit_that_fails_in_an_unforeseen_way_is_not_tried_again(tmp_path: Path) -> None:
    ledger = await open_ledger(DatabaseConfig(path=str(tmp_path / "ledger.db")), {})
    assert isinstance(ledger, Ledger)
    assert isinstance(ledger._engine, SQLiteEngine)
    for number in range(3):
        await ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None)
    real = ledger._engine._writer
    assert real is not None
    ledger._engine._writer = _Unforeseen(real)  # type: ignore[assignment]  # a connection to all who use it
    commits = [asyncio.create_task(ledger.commit_write(an_object(f"w{number}", f"k{number}"))) for number in range(3)]
    await asyncio.wait(commits)
    ledger._engine._writer = real
    assert {type(commit.exception()) for commit in commits} == {OutcomeUnknown}
    for number in range(3):
        await ledger.abandon_write(an_intent(f"w{number}", f"k{number}"), "write_failed", 0)
    assert (await ledger.usage())[BACKEND].objects == 3
    assert (await ledger.queue_depths())["cleanup_queue"] == 0
    await ledger.close()


async def test_a_full_disk_refuses_and_the_ledger_goes_on(tmp_path: Path) -> None:
    ledger = await open_ledger(DatabaseConfig(path=str(tmp_path / "ledger.db")), {})
    assert isinstance(ledger, Ledger)
    assert isinstance(ledger._engine, SQLiteEngine)
    writer = ledger._engine._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    granted = 0

    async def fill_up() -> None:
        nonlocal granted
        while True:
            await ledger.reserve_write(an_intent(f"w{granted}", f"k{granted}" * 100), None)
            granted += 1

    with pytest.raises(MetadataUnavailable, match="full"):
        await fill_up()
    await check_counters(ledger)
    assert await ledger.queue_depths() == {"cleanup_queue": 0, "cleanup_dlq": 0, "intents": granted, "uploads": 0}

    writer.execute("PRAGMA max_page_count = 100000")
    await ledger.reserve_write(an_intent("after"), None)
    await ledger.commit_write(an_object("after"))
    assert (await ledger.usage())[BACKEND].objects == 1
    await ledger.close()
