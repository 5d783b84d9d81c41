"""Whoever changes many rows at once takes their locks in one order: there is no deadlock, not even one that is tried again unnoticed."""

from __future__ import annotations

import asyncio
from itertools import chain, permutations

from tests.support.ledger import NOW_MS, an_intent, an_object, check_counters
from tests.support.postgres import PostgresServer

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import WriteLost
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata

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
    # Sessions tell their counts when they end.
    for ledger in ledgers:
        await ledger.close()
    question = f"SELECT deadlocks, xact_commit > 0 FROM pg_stat_database WHERE datname = '{migrated_database.database}'"
    assert postgres.execute(question) == [(0, True)]
