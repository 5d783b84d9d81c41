"""Copies that change their place: a move is committed only for the object that was read, and every byte stays mentioned."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.ledger import BACKEND, BUCKET, MINUTE_MS, NOW_MS, an_intent, an_object, an_upload, open_upload, put

from s3o_proxy.domain.errors import WriteLost
from s3o_proxy.domain.model import StoredObject, Usage
from s3o_proxy.domain.operation import Operation
from s3o_proxy.metadata.operation_records import recorded_values
from s3o_proxy.metadata.port import Contents, Metadata, PinnedUpload, Weight

TARGET = "west"


async def read(ledger: Metadata, key: str = "cat.jpg") -> StoredObject:
    found = await ledger.find_object(BUCKET, key)
    assert found is not None
    return found


async def move(ledger: Metadata, found: StoredObject, intent_id: str = "m1", target: str = TARGET) -> bool:
    intent = an_intent(intent_id, found.key, backend=target, size_bytes=found.size_bytes)
    assert (await ledger.reserve_write(intent, None)).granted
    return await ledger.commit_move(found, found.copies[0], intent, NOW_MS)


async def cleanups(ledger: Metadata) -> list[tuple[str, str, str]]:
    items = await ledger.claim_cleanup("worker", NOW_MS, 1, 100)
    return sorted((item.backend, item.storage_key, item.reason) for item in items)


async def test_a_move_changes_where_an_object_lies_and_nothing_else(ledger: Metadata) -> None:
    await put(ledger, "w1")
    before = await read(ledger)
    assert await move(ledger, before)
    after = await read(ledger)
    assert [(copy.backend, copy.storage_key) for copy in after.copies] == [(TARGET, f"{BUCKET}/cat.jpg~m1")]
    assert replace(after, copies=before.copies) == before
    assert await cleanups(ledger) == [(BACKEND, f"{BUCKET}/cat.jpg~w1", "moved")]
    assert await ledger.usage() == {
        BACKEND: Usage(BACKEND, orphan_bytes=10),
        TARGET: Usage(TARGET, used_bytes=10, objects=1),
    }


@pytest.mark.parametrize("rival", ["overwritten", "deleted", "deleted and written again"])
async def test_who_changed_the_object_meanwhile_wins(ledger: Metadata, rival: str) -> None:
    await put(ledger, "w1")
    found = await read(ledger)
    if rival != "overwritten":
        await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS)
    if rival != "deleted":
        await put(ledger, "w2")
    assert not await move(ledger, found)
    assert (TARGET, f"{BUCKET}/cat.jpg~m1", "move_superseded") in await cleanups(ledger)
    left = await ledger.find_object(BUCKET, "cat.jpg")
    assert (left.write_id if left else "") == ("" if rival == "deleted" else "w2")


async def test_of_two_that_move_the_same_copy_one_wins(two_ledgers: tuple[Metadata, Metadata]) -> None:
    await put(two_ledgers[0], "w1")
    found = await read(two_ledgers[0])
    async with asyncio.TaskGroup() as group:
        moves = [group.create_task(move(ledger, found, f"m{n}", f"target-{n}")) for n, ledger in enumerate(two_ledgers)]
    assert sorted(one.result() for one in moves) == [False, True]
    assert len((await read(two_ledgers[0])).copies) == 1


async def test_two_copies_of_an_object_never_come_to_lie_on_one_backend(ledger: Metadata) -> None:
    for backend in ("a", "b"):
        await ledger.reserve_write(an_intent("w1", backend=backend), None)
    await ledger.commit_write(an_object("w1"))
    found = await read(ledger)
    assert await move(ledger, found, "m1", "c")
    other = await read(ledger)
    intent = an_intent("m2", backend="c")
    await ledger.reserve_write(intent, None)
    assert not await ledger.commit_move(other, other.copies[0], intent, NOW_MS)
    assert [copy.backend for copy in (await read(ledger)).copies] == ["b", "c"]


async def test_a_move_whose_intent_was_reaped_is_lost_and_changes_nothing(ledger: Metadata) -> None:
    await put(ledger, "w1")
    found = await read(ledger)
    intent = an_intent("m1", backend=TARGET)
    await ledger.reserve_write(intent, None)
    assert await ledger.reap_intents(NOW_MS, 10) == 1
    with pytest.raises(WriteLost):
        await ledger.commit_move(found, found.copies[0], intent, NOW_MS)
    assert (await read(ledger)).copies == found.copies


async def test_many_moves_share_a_transaction_and_each_has_its_outcome(ledger: Metadata) -> None:
    for number in range(20):
        await put(ledger, f"w{number}", f"k{number}")
    found = [await read(ledger, f"k{number}") for number in range(20)]
    for number in range(0, 20, 2):
        await put(ledger, f"new{number}", f"k{number}")
    async with asyncio.TaskGroup() as group:
        moves = [group.create_task(move(ledger, each, f"m{number}")) for number, each in enumerate(found)]
    assert [one.result() for one in moves] == [number % 2 == 1 for number in range(20)]
    assert (await ledger.usage())[TARGET].objects == 10


async def test_the_copies_on_a_backend_come_in_pages_with_their_objects(ledger: Metadata) -> None:
    for number in range(5):
        await put(ledger, f"w{number}", f"k{number}")
    await put(ledger, "w9", "elsewhere", backend=TARGET)
    first = await ledger.copies_on(BACKEND, "", 3)
    rest = await ledger.copies_on(BACKEND, first[-1].storage_key, 3)
    assert [placed.found.key for placed in (*first, *rest) if placed.found] == [f"k{number}" for number in range(5)]
    assert all(placed.copy and placed.copy.storage_key == placed.storage_key for placed in first)


async def test_a_copy_that_is_dropped_takes_its_object_along_when_it_was_the_last(ledger: Metadata) -> None:
    for backend in ("a", "b"):
        await ledger.reserve_write(an_intent("w1", backend=backend), None)
    await ledger.commit_write(an_object("w1"))
    found = await read(ledger)
    assert await ledger.drop_copy(found, found.copies[0], NOW_MS)
    left = await read(ledger)
    assert [copy.backend for copy in left.copies] == ["b"]
    assert await ledger.drop_copy(left, left.copies[0], NOW_MS)
    assert await ledger.find_object(BUCKET, "cat.jpg") is None
    assert not await ledger.drop_copy(left, left.copies[0], NOW_MS)
    assert [backend for backend, _, reason in await cleanups(ledger) if reason == "purged"] == ["a", "b"]


async def test_a_backend_is_weighed_by_size_and_by_who_else_holds_a_copy(ledger: Metadata) -> None:
    for number, size in enumerate((5, 7, 500)):
        await put(ledger, f"w{number}", f"k{number}", size_bytes=size)
    for backend in (BACKEND, TARGET):
        await ledger.reserve_write(an_intent("w9", "twice", backend=backend, size_bytes=6), None)
    await ledger.commit_write(an_object("w9", "twice", size_bytes=6))
    weights = sorted(await ledger.weigh_backend(BACKEND), key=lambda weight: (weight.largest_bytes, weight.bytes))
    assert weights == [
        Weight(frozenset({TARGET}), 1, 6, 6),
        Weight(frozenset(), 2, 12, 7),
        Weight(frozenset(), 1, 500, 500),
    ]


async def test_what_a_bucket_has_is_counted(ledger: Metadata) -> None:
    await put(ledger, "w1")
    await put(ledger, "w2", bucket="films")
    await ledger.reserve_write(an_intent("w3"), None)
    await open_upload(ledger, "u1")
    assert await ledger.bucket_remains(BUCKET) == Contents(objects=1, bytes=10, intents=1, uploads=1)
    assert (await ledger.bucket_remains("nobody's")).nothing


async def test_uploads_are_found_by_backend_and_by_bucket_also_those_that_are_not_open_yet(ledger: Metadata) -> None:
    await open_upload(ledger, "u1", "k1")
    await ledger.create_upload(an_upload("u2", "k2"), None)
    await open_upload(ledger, "u3", "k3", bucket="films", backend=TARGET)
    found = [PinnedUpload("u1", is_open=True, initiated_ms=NOW_MS), PinnedUpload("u2", is_open=False, initiated_ms=NOW_MS)]
    assert await ledger.uploads_to_end(BACKEND, "", 10) == await ledger.uploads_to_end("", BUCKET, 10) == found
    assert await ledger.uploads_to_end(BACKEND, "", 1) == found[:1]
    assert await ledger.uploads_to_end("", "films", 10) == [PinnedUpload("u3", is_open=True, initiated_ms=NOW_MS)]


async def test_an_intent_of_a_move_is_reaped_like_any_other(ledger: Metadata) -> None:
    await put(ledger, "w1")
    await ledger.acquire_lease("instance/proxy-1", "proxy-1", NOW_MS, MINUTE_MS)
    await ledger.reserve_write(an_intent("m1", backend=TARGET), None)
    assert await ledger.reap_intents(NOW_MS + MINUTE_MS, 10) == 1
    assert (await ledger.usage())[TARGET] == Usage(TARGET, orphan_bytes=10)


def test_an_operation_without_a_plan_keeps_none() -> None:
    assert recorded_values(Operation("o", "Drain", "uid", "t", NOW_MS, BACKEND))["plan"] == ""
