"""The cleanup queue: claims, retries, burials, and counters that move once."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.ledger import BACKEND, NOW_MS, an_intent, put

from s3o_proxy.domain.model import CleanupItem, Usage
from s3o_proxy.metadata.port import Metadata

LEASE_MS = 1000


async def orphan(ledger: Metadata, count: int, *, due_ms: int = NOW_MS) -> None:
    for number in range(count):
        write_id = f"w{due_ms}-{number}"
        await ledger.reserve_write(an_intent(write_id, f"k{number}"), None)
        await ledger.abandon_write(an_intent(write_id, f"k{number}"), "write_failed", due_ms + number)


async def claim(ledger: Metadata, owner: str = "worker", now_ms: int = NOW_MS + 100, limit: int = 100) -> list[CleanupItem]:
    return list(await ledger.claim_cleanup(owner, now_ms, LEASE_MS, limit))


async def test_due_rows_come_oldest_first(ledger: Metadata) -> None:
    await orphan(ledger, 5)
    first = await claim(ledger, now_ms=NOW_MS + 3, limit=2)
    assert [item.storage_key.partition("~")[2] for item in first] == [f"w{NOW_MS}-0", f"w{NOW_MS}-1"]
    rest = await claim(ledger, now_ms=NOW_MS + 3)
    assert [item.storage_key.partition("~")[2] for item in rest] == [f"w{NOW_MS}-2", f"w{NOW_MS}-3"]


async def test_a_claim_lasts_as_long_as_its_lease(ledger: Metadata) -> None:
    await orphan(ledger, 1)
    assert await claim(ledger, "one")
    assert not await claim(ledger, "two", NOW_MS + 100 + LEASE_MS - 1)
    assert await claim(ledger, "two", NOW_MS + 100 + LEASE_MS)


async def test_a_claim_may_leave_backends_out(ledger: Metadata) -> None:
    await orphan(ledger, 2)
    for backend in ("east-1", "as"):
        await ledger.reserve_write(an_intent(backend, backend=backend), None)
        await ledger.abandon_write(an_intent(backend, backend=backend), "write_failed", NOW_MS)
    items = await ledger.claim_cleanup("worker", NOW_MS + 100, LEASE_MS, 100, {BACKEND, "west"})
    assert {item.backend for item in items} == {"east-1", "as"}
    assert [item.backend for item in await claim(ledger)] == [BACKEND, BACKEND]


async def test_who_would_look_in_another_bucket_claims_nothing_there(ledger: Metadata) -> None:
    await ledger.locate_backends({BACKEND: "new", "west": "w"})
    for backend in (BACKEND, "west", "never-located"):
        await ledger.reserve_write(an_intent(backend, backend=backend), None)
        await ledger.abandon_write(an_intent(backend, backend=backend), "write_failed", NOW_MS)
    serving = {BACKEND: "old", "west": "w", "never-located": "anywhere"}
    items = await ledger.claim_cleanup("stale", NOW_MS, LEASE_MS, 100, serving=serving)
    assert {item.backend for item in items} == {"west", "never-located"}
    items = await ledger.claim_cleanup("current", NOW_MS, LEASE_MS, 100, serving={BACKEND: "new"})
    assert [item.backend for item in items] == [BACKEND]


async def test_two_workers_never_hold_one_row(two_ledgers: tuple[Metadata, Metadata]) -> None:
    await orphan(two_ledgers[0], 40)
    async with asyncio.TaskGroup() as group:
        claims = [group.create_task(claim(two_ledgers[n % 2], f"worker-{n}", limit=7)) for n in range(8)]
    held = [item.item_id for one in claims for item in one.result()]
    assert len(held) == len(set(held)) == 40


async def test_finishing_lowers_the_counter_once(ledger: Metadata) -> None:
    await orphan(ledger, 3)
    items = await claim(ledger)
    ids = [item.item_id for item in items]
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ledger.finish_cleanup(ids[:2]))
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=10)}
    await ledger.finish_cleanup(ids)
    await ledger.finish_cleanup([])
    assert await ledger.usage() == {BACKEND: Usage(BACKEND)}


async def test_two_processes_that_finish_one_row_lower_the_counter_once(two_ledgers: tuple[Metadata, Metadata]) -> None:
    await orphan(two_ledgers[0], 30)
    ids = [item.item_id for item in await claim(two_ledgers[0])]
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(two_ledgers[number % 2].finish_cleanup(ids if number % 3 else ids[::-1]))
    assert await two_ledgers[0].usage() == {BACKEND: Usage(BACKEND)}


async def test_a_failed_attempt_is_counted_and_waits(ledger: Metadata) -> None:
    await orphan(ledger, 1)
    (item,) = await claim(ledger)
    assert item.attempts == 0
    await ledger.retry_cleanup(item.item_id, "timed out", NOW_MS + 500)
    assert not await claim(ledger, now_ms=NOW_MS + 499)
    (item,) = await claim(ledger, now_ms=NOW_MS + 500)
    assert item.attempts == 1


async def test_a_buried_row_still_counts(ledger: Metadata) -> None:
    await orphan(ledger, 1)
    (item,) = await claim(ledger)
    await ledger.bury_cleanup(item.item_id, "access denied", NOW_MS)
    await ledger.bury_cleanup(item.item_id, "access denied", NOW_MS)
    depths = await ledger.queue_depths()
    assert (depths["cleanup_queue"], depths["cleanup_dlq"]) == (0, 1)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=10)}
    # What was buried cannot be finished by a worker that still holds the item.
    await ledger.finish_cleanup([item.item_id])
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=10)}


async def test_what_is_gone_cannot_be_retried_or_buried(ledger: Metadata) -> None:
    await ledger.retry_cleanup(1, "error", NOW_MS)
    await ledger.bury_cleanup(1, "error", NOW_MS)
    assert (await ledger.queue_depths())["cleanup_dlq"] == 0


async def test_an_id_is_never_given_twice(ledger: Metadata) -> None:
    """A worker that lost its claim may still finish by id: that must never be another row's."""
    await orphan(ledger, 1)
    (old,) = await claim(ledger)
    await ledger.finish_cleanup([old.item_id])
    await orphan(ledger, 1, due_ms=NOW_MS + 1)
    await ledger.finish_cleanup([old.item_id])
    (new,) = await claim(ledger)
    assert new.item_id != old.item_id


@pytest.mark.parametrize("size_bytes", [0, 2**40])
async def test_sizes_at_the_edges(ledger: Metadata, size_bytes: int) -> None:
    await put(ledger, "w1", size_bytes=size_bytes)
    await put(ledger, "w2", size_bytes=size_bytes)
    (item,) = await claim(ledger)
    assert item.size_bytes == size_bytes
