"""Leases: one owner at a time, until it ends."""

from __future__ import annotations

import asyncio
import time

from tests.support.ledger import NOW_MS

from s3o_proxy.metadata.port import Metadata


async def test_a_lease_is_held_until_it_ends(ledger: Metadata) -> None:
    assert await ledger.acquire_lease("cleanup", "one", NOW_MS, 100)
    assert not await ledger.acquire_lease("cleanup", "two", NOW_MS + 99, 100)
    assert await ledger.acquire_lease("cleanup", "two", NOW_MS + 100, 100)
    assert not await ledger.acquire_lease("cleanup", "one", NOW_MS + 101, 100)


async def test_its_owner_renews_it(ledger: Metadata) -> None:
    assert await ledger.acquire_lease("cleanup", "one", NOW_MS, 100)
    assert await ledger.acquire_lease("cleanup", "one", NOW_MS + 50, 100)
    assert not await ledger.acquire_lease("cleanup", "two", NOW_MS + 149, 100)


async def test_its_owner_alone_releases_it(ledger: Metadata) -> None:
    await ledger.acquire_lease("cleanup", "one", NOW_MS, 100)
    await ledger.release_lease("cleanup", "two")
    assert not await ledger.acquire_lease("cleanup", "two", NOW_MS, 100)
    await ledger.release_lease("cleanup", "one")
    assert await ledger.acquire_lease("cleanup", "two", NOW_MS, 100)


async def test_the_database_tells_its_time(ledger: Metadata) -> None:
    """Which is this machine's, here."""
    before_ms = time.time_ns() // 1_000_000
    told_ms = await ledger.now_ms()
    assert before_ms - 1 <= told_ms <= time.time_ns() // 1_000_000 + 1


async def test_leases_have_names(ledger: Metadata) -> None:
    assert await ledger.acquire_lease("cleanup", "one", NOW_MS, 100)
    assert await ledger.acquire_lease("reaper", "two", NOW_MS, 100)


async def test_one_of_many_processes_gets_it(two_ledgers: tuple[Metadata, Metadata]) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(two_ledgers[n % 2].acquire_lease("cleanup", f"owner-{n}", NOW_MS, 100)) for n in range(20)]
    assert sum(one.result() for one in asked) == 1


async def test_the_bucket_of_a_backend_is_the_first_that_was_said_until_it_is_forgotten(ledger: Metadata) -> None:
    """Under another bucket its bytes would not be found, and what is to be deleted would count as deleted."""
    await ledger.register_backends(["east"])
    assert await ledger.locate_backends({"east": "one", "west": "two"}) == {"east": "one", "west": "two"}
    assert await ledger.locate_backends({"west": "other", "east": "one"}) == {"east": "one", "west": "two"}
    await ledger.forget_backend("west")
    assert await ledger.locate_backends({"west": "other"}) == {"west": "other"}


async def test_whoever_said_last_where_a_backend_lies_vouches_for_it_while_he_lives(ledger: Metadata) -> None:
    for owner in ("one", "two"):
        await ledger.acquire_lease(f"instance/{owner}", owner, NOW_MS, 100)
    await ledger.locate_backends({"east": "b"}, "one")
    await ledger.locate_backends({"west": "b"})
    assert await ledger.vouched(NOW_MS) == {"east"}, "of the other nobody says who said so"
    await ledger.locate_backends({"east": "other", "west": "b"}, "two")
    await ledger.release_lease("instance/two", "two")
    assert await ledger.vouched(NOW_MS) == {"east"}, "who would say otherwise does not vouch"
    assert await ledger.vouched(NOW_MS + 100) == frozenset()
    assert await ledger.located() == {"east": "b", "west": "b"}
