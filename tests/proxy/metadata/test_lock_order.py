"""Whoever changes many rows at once takes their locks in one order: there is no deadlock, not even one that is tried again unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, permutations
from typing import Any

import pytest
from tests.support.ledger import NOW_MS, an_intent, an_object, check_counters
from tests.support.postgres import PostgresServer

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import OperationConflict, WriteLost
from s3o_proxy.domain.operation import Operation
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.metadata.postgres import PostgresEngine

BUCKET = "photos"
BACKENDS = ("east", "west", "north", "south")
PAIRS = list(permutations(BACKENDS, 2))
KEYS = 40
ROUNDS = 6


async def write(ledger: Metadata, name: str, number: int) -> None:
    for backend in PAIRS[number % len(PAIRS)]:
        await ledger.reserve_write(an_intent(name, f"k{number}", backend=backend), 10**6)
    try:
        await ledger.commit_write(an_object(name, f"k{number}"))
    except WriteLost:
        return  # The reaper was there first.


async def move(ledger: Metadata, name: str, number: int) -> None:
    found = await ledger.find_object(BUCKET, f"k{number}")
    if found is None or not found.copies:
        return
    intent = an_intent(name, f"k{number}", backend=BACKENDS[number % 4])
    await ledger.reserve_write(intent, None)
    try:
        await ledger.commit_move(found, found.copies[0], intent, NOW_MS)
    except WriteLost:
        return


async def clean(ledger: Metadata, name: str) -> None:
    items = await ledger.claim_cleanup(name, NOW_MS, 60_000, 100)
    await ledger.finish_cleanup([item.item_id for item in reversed(items)])


async def drain(ledger: Metadata, name: str, number: int) -> None:
    """Fences the backend and opens it again."""
    try:
        await ledger.ask_operation(Operation(name, "Drain", "uid", name, NOW_MS, BACKENDS[number]))
    except OperationConflict:
        return  # Another process is at it.
    await ledger.cancel_operation(name, NOW_MS)


async def one_process(ledger: Metadata, process: str, *, backwards: bool) -> None:
    numbers = range(KEYS)[::-1] if backwards else range(KEYS)
    for turn in range(ROUNDS):
        name = f"{process}-{turn}"
        async with asyncio.TaskGroup() as group:
            for each in chain(
                (write(ledger, f"{name}-w{number}", number) for number in numbers),
                (ledger.delete_object(BUCKET, f"k{number}", NOW_MS) for number in numbers if number % 3 == turn % 3),
                (move(ledger, f"{name}-m{number}", number) for number in numbers),
                (ledger.reap_intents(NOW_MS, 5) for _ in range(4)),
                (clean(ledger, name) for _ in range(4)),
                (drain(ledger, f"{name}-d{number}", number) for number in range(len(BACKENDS))),
            ):
                group.create_task(each)


async def test_writes_deletes_moves_reapers_and_cleanups_of_three_processes_never_deadlock(
    migrated_database: DatabaseConfig, postgres: PostgresServer
) -> None:
    """Reference bugs 22 and 23: batches of deletes met in other orders, and the reaper took an intent before the lock of its key."""
    ledgers = [await open_ledger(migrated_database, {}) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for number, ledger in enumerate(ledgers):
            group.create_task(one_process(ledger, f"p{number}", backwards=number == 1))
    await check_counters(ledgers[0])
    await _end_without_a_deadlock(ledgers, migrated_database, postgres)


async def test_a_backend_is_opened_beside_reservations_without_a_deadlock(
    migrated_database: DatabaseConfig, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process opens `west` and then reserves on `east`, in one transaction; the other reserves on both, in the order of names."""
    one, other = [await open_ledger(migrated_database, {}) for _ in range(2)]
    await one.reserve_write(an_intent("w0", backend="east"), 100)  # Now there is a row for it, as there is for `west`.
    await one.ask_operation(Operation("o1", "Drain", "uid", "t1", NOW_MS, "west"))
    opened, go_on = asyncio.Event(), asyncio.Event()
    fetch = PostgresEngine._fetch

    async def wait_before_the_first_reserves(engine: PostgresEngine, connection: Any, asked: Any) -> Any:
        if asked.name == "lock_backends" and not opened.is_set():
            opened.set()
            await go_on.wait()
        return await fetch(engine, connection, asked)

    monkeypatch.setattr(PostgresEngine, "_fetch", wait_before_the_first_reserves)
    async with asyncio.TaskGroup() as group:
        group.create_task(one.cancel_operation("o1", NOW_MS))
        group.create_task(one.reserve_write(an_intent("w1", backend="east"), 100))
        await opened.wait()
        others = [group.create_task(other.reserve_write(an_intent("w2", backend=backend), 100)) for backend in ("east", "west")]
        await asyncio.wait(others, timeout=0.5)
        go_on.set()
    assert [each.result().granted for each in others] == [True, True]
    await _end_without_a_deadlock([one, other], migrated_database, postgres)


async def _end_without_a_deadlock(ledgers: Sequence[Metadata], database: DatabaseConfig, postgres: PostgresServer) -> None:
    # Sessions tell their counts when they end.
    for ledger in ledgers:
        await ledger.close()
    question = f"SELECT deadlocks, xact_commit > 0 FROM pg_stat_database WHERE datname = '{database.database}'"
    assert postgres.execute(question) == [(0, True)]
