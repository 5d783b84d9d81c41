"""Parts of multipart uploads: commit, replace, release, list."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.ledger import BACKEND, MINUTE_MS, NOW_MS, OWNER, a_part, a_part_intent, open_upload, put_part

from s3o_proxy.domain.errors import WriteLost
from s3o_proxy.metadata.port import Metadata


async def reserved_bytes(ledger: Metadata) -> int:
    return (await ledger.usage())[BACKEND].reserved_bytes


async def test_parts_are_listed_in_order_and_in_pages(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    for number in (10000, 2, 1, 7):
        await put_part(ledger, upload, number)
    parts, more = await ledger.list_parts("u1", 0, 10)
    assert ([part.part_number for part in parts], more) == ([1, 2, 7, 10000], False)
    assert parts[0] == a_part(1, etag="u1-1")
    parts, more = await ledger.list_parts("u1", 1, 2)
    assert ([part.part_number for part in parts], more) == ([2, 7], True)
    parts, more = await ledger.list_parts("u1", 2, 2)
    assert ([part.part_number for part in parts], more) == ([7, 10000], False)
    assert await ledger.list_parts("u1", 0, 0) == ((), False)
    assert await ledger.list_parts("unknown", 0, 10) == ((), False)


async def test_a_part_replaces_the_earlier_one_of_its_number_and_frees_its_space(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1, size_bytes=100, write_id="first")
    await put_part(ledger, upload, 1, size_bytes=40, write_id="second")
    parts, _ = await ledger.list_parts("u1", 0, 10)
    assert [(part.etag, part.size_bytes) for part in parts] == [("second", 40)]
    assert await reserved_bytes(ledger) == 40


async def test_parts_of_one_number_committed_at_once_leave_one(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    upload = await open_upload(ledger, "u1")
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(put_part(ledger, upload, 1, size_bytes=10 + number, write_id=f"w{number}"))
    ((part,), _) = await ledger.list_parts("u1", 0, 10)
    assert await reserved_bytes(ledger) == part.size_bytes


async def test_parts_of_one_number_committed_by_two_processes_leave_one(two_ledgers: tuple[Metadata, Metadata]) -> None:
    await two_ledgers[0].acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    upload = await open_upload(two_ledgers[0], "u1")
    async with asyncio.TaskGroup() as group:
        for number in range(24):
            write_id = f"w{number}"
            group.create_task(put_part(two_ledgers[number % 2], upload, number % 3 + 1, size_bytes=10 + number, write_id=write_id))
    parts, _ = await two_ledgers[0].list_parts("u1", 0, 10)
    assert await reserved_bytes(two_ledgers[0]) == sum(part.size_bytes for part in parts)


async def test_a_part_frees_dead_attempts_at_its_number_but_no_live_ones(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    upload = await open_upload(ledger, "u1")
    await ledger.reserve_part(a_part_intent("crashed", upload, 1, size_bytes=1, owner="dead"), None)
    await ledger.reserve_part(a_part_intent("live", upload, 1, size_bytes=2), None)
    await ledger.reserve_part(a_part_intent("unsure", upload, 1, size_bytes=4), None)
    await ledger.release_part("unsure", certainly_not_landed=False)
    await ledger.reserve_part(a_part_intent("other number", upload, 2, size_bytes=8, owner="dead"), None)
    assert await reserved_bytes(ledger) == 15

    await put_part(ledger, upload, 1, size_bytes=16)
    assert await reserved_bytes(ledger) == 16 + 2 + 8
    await ledger.commit_part("live", a_part(1, size_bytes=2))
    assert await reserved_bytes(ledger) == 2 + 8


async def test_a_part_that_certainly_did_not_land_frees_its_space(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await ledger.reserve_part(a_part_intent("p1", upload, 1), None)
    await ledger.release_part("p1", certainly_not_landed=True)
    assert await reserved_bytes(ledger) == 0
    with pytest.raises(WriteLost):
        await ledger.commit_part("p1", a_part(1))
    await ledger.release_part("p1", certainly_not_landed=True)
    await ledger.release_part("p1", certainly_not_landed=False)


async def test_a_part_that_may_have_landed_can_still_be_committed(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await ledger.reserve_part(a_part_intent("p1", upload, 1), None)
    await ledger.release_part("p1", certainly_not_landed=False)
    assert await reserved_bytes(ledger) == 100
    await ledger.commit_part("p1", a_part(1))
    assert await reserved_bytes(ledger) == 100


async def test_a_part_is_committed_once(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1, write_id="p1")
    with pytest.raises(WriteLost):
        await ledger.commit_part("p1", a_part(1))
    with pytest.raises(WriteLost):
        await ledger.commit_part("never reserved", a_part(1))


async def test_what_a_part_occupies_is_what_was_reserved_for_it(ledger: Metadata) -> None:
    """On the backend a part may be larger than its client thinks (encryption frames it)."""
    upload = await open_upload(ledger, "u1")
    await ledger.reserve_part(a_part_intent("p1", upload, 1, size_bytes=120), None)
    await ledger.commit_part("p1", replace(a_part(1), size_bytes=100))
    assert await reserved_bytes(ledger) == 120
    ((part,), _) = await ledger.list_parts("u1", 0, 1)
    assert part.size_bytes == 100


async def test_committing_a_part_races_with_aborting_its_upload(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """Whichever comes first: no part and no intent outlives the upload."""
    one, other = two_ledgers
    lost = 0

    async def commit(upload_id: str, number: int) -> None:
        nonlocal lost
        try:
            await one.commit_part(f"{upload_id}-{number}", a_part(number))
        except WriteLost:
            lost += 1

    for upload_id in ("u1", "u2", "u3"):
        upload = await open_upload(one, upload_id, upload_id)
        for number in range(1, 9):
            await one.reserve_part(a_part_intent(f"{upload_id}-{number}", upload, number), None)
        async with asyncio.TaskGroup() as group:
            for number in range(1, 9):
                group.create_task(commit(upload_id, number))
            group.create_task(other.abort_upload(upload_id, "upload_aborted", NOW_MS))
        assert await one.list_parts(upload_id, 0, 10) == ((), False)
    assert (await one.queue_depths())["intents"] == 0
    assert await reserved_bytes(one) == 0
