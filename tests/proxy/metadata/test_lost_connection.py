"""PostgreSQL goes away in the middle: what certainly did not happen, what nobody knows, and that counters stay right (I6, I8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.support.ledger import BACKEND, BUCKET, NOW_MS, a_part_intent, an_intent, an_object, check_counters, open_upload, put
from tests.support.postgres import PostgresServer
from tests.support.stories import Stage, backend_config

from s3o_crds.compiled import BucketConfig, DatabaseConfig, FleetConfig
from s3o_proxy.backends.memory import MemoryBackend
from s3o_proxy.domain.errors import MetadataUnavailable, OutcomeUnknown, WriteLost
from s3o_proxy.domain.model import ListQuery
from s3o_proxy.metadata.connect import dial_with
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.s3.errors import to_s3_error
from s3o_proxy.s3.operation import GetObject, PutObject

if TYPE_CHECKING:
    from s3o_proxy.metadata.connect import Connection

KILL = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
SOMEBODY_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
NOBODY_COMMITS = (
    "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'COMMIT%' AND state = 'active'"
)
INTENT_COLUMNS = ("write_id", "backend", "bucket", "key", "storage_key", "size_bytes", "owner", "created_ms", "upload_id", "part_number")
SOMEBODY_LOCKED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture
async def ledger(migrated_database: DatabaseConfig) -> AsyncIterator[Metadata]:
    ledger = await open_ledger(migrated_database, {})
    yield ledger
    await check_counters(ledger)
    await ledger.close()


@pytest.fixture
async def side(migrated_database: DatabaseConfig) -> AsyncIterator[Connection]:
    """Another session in the same database."""
    connection = await dial_with(migrated_database, {}, read_only=False)("survey")
    yield connection
    await connection.close()


async def until(side: Connection, question: str) -> None:
    """What is waited for happens in another process: it can only be asked for."""
    async with asyncio.timeout(10):
        while not await side.fetchval(question):  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.005)


@asynccontextmanager
async def held(side: Connection, key: str) -> AsyncIterator[None]:
    """While another process holds the lock of `key`."""
    name = f"key/{BUCKET}/{key}"
    await side.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", name)
    yield
    await side.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", name)


async def test_idle_connections_that_broke_are_replaced_unnoticed(ledger: Metadata, side: Connection) -> None:
    await put(ledger, "w1")
    assert await ledger.find_object(BUCKET, "cat.jpg")
    await side.execute(KILL)
    assert await ledger.find_object(BUCKET, "cat.jpg")
    await put(ledger, "w2")
    await side.execute(KILL)
    await put(ledger, "w3")
    assert (await ledger.list_objects(ListQuery(BUCKET))).objects[0].etag == "etag-w3"


async def test_before_commit_nothing_happened_for_any_member(ledger: Metadata, side: Connection) -> None:
    for number in range(5):
        await ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None)
    async with held(side, "k3"):
        commits = [asyncio.create_task(ledger.commit_write(an_object(f"w{number}", f"k{number}"))) for number in range(5)]
        await until(side, SOMEBODY_WAITS)
        await side.execute(KILL)
        for commit in commits:
            with pytest.raises(MetadataUnavailable):
                await commit
    # The intents are still there: the same writes can be committed now.
    for number in range(5):
        await ledger.commit_write(an_object(f"w{number}", f"k{number}"))


@pytest.fixture
async def slow_commits(side: Connection) -> AsyncIterator[None]:
    """COMMIT itself waits, for a lock that `side` holds: where a commit is when nobody knows whether it happened."""
    await side.execute(
        "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON objects DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION wait_at_commit();"
        "SELECT pg_advisory_lock(7)"
    )
    yield
    await side.execute("SELECT pg_advisory_unlock_all(); DROP TRIGGER at_commit ON objects; DROP FUNCTION wait_at_commit()")


@pytest.mark.usefixtures("slow_commits")
async def test_during_commit_nobody_knows(ledger: Metadata, side: Connection) -> None:
    await ledger.reserve_write(an_intent("w1"), None)
    commit = asyncio.create_task(ledger.commit_write(an_object("w1")))
    await until(side, SOMEBODY_WAITS)
    await side.execute(KILL)
    with pytest.raises(OutcomeUnknown):
        await commit
    # Nothing was deleted on this. The ledger knows: the intent is still there, so it was not committed.
    await ledger.abandon_write(an_intent("w1"), "write_failed", NOW_MS)
    with pytest.raises(WriteLost):
        await ledger.commit_write(an_object("w1"))
    assert (await ledger.usage())[BACKEND].orphan_bytes == 10


@pytest.mark.usefixtures("slow_commits")
@pytest.mark.parametrize("happened", [False, True])
async def test_a_group_that_is_cut_at_its_commit_is_told_so_and_keeps_its_bytes(ledger: Metadata, side: Connection, happened: bool) -> None:
    """I8, from above: five PUTs share a transaction, the connection breaks while it commits, and each client is answered 503. No byte goes
    before the ledger says how it ended; then what was committed is read, and the rest is cleaned up."""
    await ledger.locate_backends({"first": "first"})
    config = FleetConfig(name="main", backends=(backend_config("first"),), buckets=(BucketConfig(name=BUCKET),))
    stage = Stage(ledger, {"first": MemoryBackend("first")}, config)
    await stage.hold_lease_for_long()
    puts = [asyncio.create_task(stage.perform(PutObject(BUCKET, f"k{number}"), b"%d" % number)) for number in range(5)]
    await until(side, SOMEBODY_WAITS)
    if happened:
        writer = cast("Any", ledger)._engine._writer
        writer.terminate()  # The server goes on: it learns only later that nobody listens.
    else:
        await side.execute(KILL)
    answers = await asyncio.wait_for(_outcomes(puts), 20)
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 5, "one transaction, one fate"
    assert {to_s3_error(answer).status for answer in answers if isinstance(answer, Exception)} == {503}
    assert len(stage.backends["first"].objects) == 5, "nothing is deleted on this"

    await side.execute("SELECT pg_advisory_unlock_all()")
    await until(side, NOBODY_COMMITS)
    await stage.settle()
    assert await stage.audit() == []
    page = await ledger.list_objects(ListQuery(BUCKET))
    assert len(page.objects) == len(stage.backends["first"].objects) == (5 if happened else 0)
    for number, listed in enumerate(page.objects):
        assert await stage.read(GetObject(BUCKET, listed.key)) == b"%d" % number


async def _outcomes(tasks: Sequence[asyncio.Task[object]]) -> list[BaseException | None]:
    await asyncio.wait(tasks)
    return [task.exception() for task in tasks]


@pytest.mark.parametrize("of_a_part", [False, True])
async def test_a_reservation_whose_commit_is_still_at_work_is_taken_back_when_it_is_done(
    ledger: Metadata, side: Connection, migrated_database: DatabaseConfig, of_a_part: bool
) -> None:
    """Our connection is gone, the server does not know it yet: the row appears only after we have asked to take it back."""
    intent = a_part_intent("p1", await open_upload(ledger, "u1"), 1) if of_a_part else an_intent("w1")
    lock = "upload/u1" if of_a_part else f"backend/{BACKEND}"
    shared = "" if of_a_part else "_shared"
    slow = await dial_with(migrated_database, {}, read_only=False)("batches")
    await slow.execute("BEGIN")
    await slow.execute(f"SELECT pg_advisory_xact_lock{shared}(hashtextextended($1, 0))", lock)
    columns = {name: getattr(intent, name) for name in INTENT_COLUMNS}
    values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await slow.execute(f"INSERT INTO intents ({', '.join(columns)}) VALUES ({values})", *columns.values())
    await slow.execute(
        "INSERT INTO usage VALUES ($1, 99, 0, 0, $2, 0)",
        intent.backend,
        intent.size_bytes,
    )
    cancelling = asyncio.create_task(ledger.cancel_reservation(intent))
    await until(side, SOMEBODY_WAITS)
    await slow.execute("COMMIT")
    await cancelling
    await slow.close()
    assert (await ledger.queue_depths())["intents"] == 0
    assert (await ledger.usage())[BACKEND].held_bytes == 0


@pytest.mark.usefixtures("slow_commits")
async def test_a_constraint_that_speaks_at_commit_rolls_back_for_certain(ledger: Metadata, side: Connection) -> None:
    await side.execute(
        "CREATE OR REPLACE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.key = ''bad'' THEN RAISE check_violation; END IF; RETURN NULL; END'"
    )
    for key in ("good", "bad"):
        await ledger.reserve_write(an_intent(key, key), None)
    good = asyncio.create_task(ledger.commit_write(an_object("good", "good")))
    with pytest.raises(MetadataUnavailable):
        await ledger.commit_write(an_object("bad", "bad"))
    await good
    await ledger.abandon_write(an_intent("bad", "bad"), "write_failed", NOW_MS)


async def test_a_deadlock_is_tried_again(ledger: Metadata, side: Connection) -> None:
    """Somebody who keeps no order (a person at a prompt) deadlocks with us; we or they are the victim, our write succeeds."""
    await put(ledger, "w1")
    await ledger.reserve_write(an_intent("w2"), None)
    await side.execute("SET deadlock_timeout = '10s'")  # so that it is our side that notices, and is the victim
    transaction = side.transaction()
    await transaction.start()
    await side.execute("SELECT * FROM copies FOR UPDATE")
    commit = asyncio.create_task(ledger.commit_write(an_object("w2")))
    await until(side, SOMEBODY_LOCKED)
    # We hold the key's lock and wait for the copies; they hold the copies and ask for the lock.
    await side.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"key/{BUCKET}/cat.jpg")
    await transaction.rollback()
    await commit
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert found.write_id == "w2"


async def test_a_caller_that_gave_up_holds_no_lock(ledger: Metadata, side: Connection) -> None:
    """Reference bug 38: the request was cancelled, and so was its unlock; the lock was held until the pooled connection died."""
    await put(ledger, "w1")
    await ledger.reserve_write(an_intent("w2"), None)
    await ledger.reserve_write(an_intent("w3"), None)
    transaction = side.transaction()
    await transaction.start()
    await side.execute("SELECT * FROM copies FOR UPDATE")
    commit = asyncio.create_task(ledger.commit_write(an_object("w2")))
    await until(side, SOMEBODY_LOCKED)
    commit.cancel()
    await asyncio.wait({commit})
    assert commit.cancelled()
    await transaction.rollback()
    await ledger.commit_write(an_object("w3"))
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert found.write_id == "w3"
    assert await side.fetchval(SOMEBODY_LOCKED) == 0


async def test_a_server_that_crashes_under_load_loses_nothing_acknowledged(own_postgres: PostgresServer) -> None:
    """I1, I6: kill the server, start it, ask again."""
    ledger = await open_ledger(own_postgres.create_database(), {})
    acknowledged: list[str] = []
    unknown: set[str] = set()
    enough = asyncio.Event()

    async def write(name: str) -> None:
        number = 0
        while True:
            number += 1
            key = f"{name}-{number}"
            try:
                await put(ledger, key, key)
            except OutcomeUnknown:
                unknown.add(key)
                return
            except MetadataUnavailable:
                return
            acknowledged.append(key)
            if len(acknowledged) > 300:
                enough.set()

    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(write(f"writer-{number}"))
        await enough.wait()
        await asyncio.to_thread(own_postgres.stop, immediately=True)
    with pytest.raises(MetadataUnavailable):
        await ledger.find_object(BUCKET, acknowledged[0])
    await asyncio.to_thread(own_postgres.start)

    async with asyncio.timeout(10):
        while True:
            try:
                await ledger.ping()
                break
            except MetadataUnavailable:
                await asyncio.sleep(0.02)  # it leaves a server that was away alone for a moment
    for key in acknowledged:
        assert await ledger.find_object(BUCKET, key), key
    page = await ledger.list_objects(ListQuery(BUCKET, limit=100_000))
    listed = {listed.key for listed in page.objects}
    assert set(acknowledged) <= listed <= set(acknowledged) | unknown
    await check_counters(ledger)
    await ledger.close()
