"""Commits, deletes and lookups of whole objects."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.ledger import BACKEND, BUCKET, NOW_MS, an_intent, an_object, open_upload, put, put_part

from s3o_proxy.domain.errors import NoSuchKey, PreconditionFailed, WriteLost
from s3o_proxy.domain.model import Conditions, Copy, StoredObject, Usage
from s3o_proxy.metadata.port import Deletion, Metadata

IF_NONE = Conditions(if_none_match="*")


async def test_a_committed_object_is_found_as_it_was_described(ledger: Metadata) -> None:
    new = an_object("w1", part_sizes=(6, 4))
    await ledger.reserve_write(an_intent("w1"), None)
    await ledger.commit_write(new)

    assert await ledger.find_object(BUCKET, "cat.jpg") == StoredObject(
        BUCKET,
        "cat.jpg",
        "w1",
        10,
        "etag-w1",
        NOW_MS,
        new.description,
        new.digests,
        (Copy(BACKEND, f"{BUCKET}/cat.jpg~w1", 10),),
        (6, 4),
    )


async def test_nothing_is_found_before_the_commit(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1"), None)
    assert await ledger.find_object(BUCKET, "cat.jpg") is None


async def test_lookups_of_one_tick_get_each_their_own_object(ledger: Metadata) -> None:
    for number in range(20):
        await put(ledger, f"w{number}", f"key-{number}")
    async with asyncio.TaskGroup() as group:
        lookups = [group.create_task(ledger.find_object(BUCKET, f"key-{number % 25}")) for number in range(200)]
    found = [lookup.result() for lookup in lookups]
    assert [one and one.write_id for one in found] == [f"w{n % 25}" if n % 25 < 20 else None for n in range(200)]


async def test_a_lookup_that_is_cancelled_disturbs_no_other(ledger: Metadata) -> None:
    await put(ledger, "w1")
    impatient = asyncio.create_task(ledger.find_object(BUCKET, "cat.jpg"))
    patient = asyncio.create_task(ledger.find_object(BUCKET, "cat.jpg"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is not None


@pytest.mark.parametrize("key", ["%_\\", "a b+c", "~", "\U0001f408/\ue000\uffff", "\x01\x7f", "k" * 1024, "'; --", '"{}"', "é", "e\u0301"])
async def test_awkward_keys_are_kept_apart_and_whole(ledger: Metadata, key: str) -> None:
    await put(ledger, "w1", key)
    found = await ledger.find_object(BUCKET, key)
    assert found is not None
    assert found.key == key
    assert found.copies[0].storage_key == f"{BUCKET}/{key}~w1"


async def test_buckets_do_not_share_keys(ledger: Metadata) -> None:
    await put(ledger, "w1", bucket="one")
    await put(ledger, "w2", bucket="two")
    await ledger.delete_object("one", "cat.jpg", NOW_MS)
    assert await ledger.find_object("one", "cat.jpg") is None
    assert await ledger.find_object("two", "cat.jpg") is not None


async def test_an_overwrite_orphans_the_bytes_that_it_displaces(ledger: Metadata) -> None:
    await put(ledger, "w1", size_bytes=7)
    await put(ledger, "w2", size_bytes=5, backend="west")

    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert found.copies == (Copy("west", f"{BUCKET}/cat.jpg~w2", 5),)
    assert await ledger.usage() == {
        BACKEND: Usage(BACKEND, used_bytes=0, orphan_bytes=7, objects=0),
        "west": Usage("west", used_bytes=5, objects=1),
    }
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    assert (item.backend, item.storage_key, item.size_bytes, item.backend_upload_id) == (BACKEND, f"{BUCKET}/cat.jpg~w1", 7, "")


async def test_a_write_to_two_backends_becomes_two_copies(ledger: Metadata) -> None:
    for backend in ("west", "east"):
        await ledger.reserve_write(an_intent("w1", backend=backend), None)
    await ledger.commit_write(an_object("w1"))
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert [copy.backend for copy in found.copies] == ["east", "west"]


async def test_a_commit_without_its_intent_is_lost_and_changes_nothing(ledger: Metadata) -> None:
    await put(ledger, "w1")
    with pytest.raises(WriteLost):
        await ledger.commit_write(an_object("w2"))
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert found.write_id == "w1"


async def test_a_commit_takes_effect_once(ledger: Metadata) -> None:
    await put(ledger, "w1")
    with pytest.raises(WriteLost):
        await ledger.commit_write(an_object("w1"))


async def test_conditions_are_decided_in_the_commit(ledger: Metadata) -> None:
    await put(ledger, "w1", conditions=IF_NONE)
    await put(ledger, "w2", conditions=Conditions(if_match="etag-w1"))
    for conditions in (IF_NONE, Conditions(if_match="etag-w1")):
        await ledger.reserve_write(an_intent("w3"), None)
        with pytest.raises(PreconditionFailed):
            await ledger.commit_write(an_object("w3"), conditions)
        # The intent is still there: what was written is the caller's to abandon.
        assert (await ledger.queue_depths())["intents"] == 1
        await ledger.abandon_write(an_intent("w3"), "write_failed", NOW_MS)
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert found.write_id == "w2"


async def test_if_match_on_nothing_is_no_such_key(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1"), None)
    with pytest.raises(NoSuchKey):
        await ledger.commit_write(an_object("w1"), Conditions(if_match="*"))
    with pytest.raises(NoSuchKey):
        await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS, Conditions(if_match="etag"))


async def test_a_delete_orphans_the_copies(ledger: Metadata) -> None:
    await put(ledger, "w1", size_bytes=7)
    assert await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS) == Deletion(existed=True)
    assert await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS) == Deletion(existed=False)
    assert await ledger.find_object(BUCKET, "cat.jpg") is None
    assert (await ledger.usage())[BACKEND] == Usage(BACKEND, orphan_bytes=7)


@pytest.mark.parametrize("change", ["overwritten", "deleted", "completed"])
async def test_every_copy_of_what_is_displaced_goes(ledger: Metadata, change: str) -> None:
    """Reference bug 2: the copies of an overwritten object on other backends stayed for ever."""
    for backend in ("east", "west", "north"):
        await ledger.reserve_write(an_intent("w1", backend=backend, size_bytes=7), None)
    await ledger.commit_write(an_object("w1", size_bytes=7))
    if change == "overwritten":
        await put(ledger, "w2", backend="west")
    elif change == "deleted":
        await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS)
    else:
        upload = await open_upload(ledger, "u1", "cat.jpg")
        await put_part(ledger, upload, 1, size_bytes=10)
        await ledger.commit_complete("u1", an_object(upload.write_id), Conditions())
    items = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    assert {(item.backend, item.size_bytes) for item in items if item.storage_key.endswith("~w1")} == {
        ("east", 7),
        ("west", 7),
        ("north", 7),
    }
    found = await ledger.find_object(BUCKET, "cat.jpg")
    left = [copy.backend for copy in found.copies] if found else []
    assert left == {"overwritten": ["west"], "deleted": [], "completed": ["east"]}[change]


async def test_a_conditional_delete_spares_another_version(ledger: Metadata) -> None:
    await put(ledger, "w1")
    with pytest.raises(PreconditionFailed):
        await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS, Conditions(if_match="other"))
    assert await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS, Conditions(if_match="etag-w1")) == Deletion(existed=True)


async def test_a_delete_leaves_nothing_that_an_older_intent_could_revive(ledger: Metadata) -> None:
    """Facts §2.3: an intent whose commit failed, then a DELETE, then the reaper."""
    await ledger.reserve_write(an_intent("w1", owner="dead"), None)
    await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS)
    assert await ledger.reap_intents(NOW_MS, 10) == 1
    assert await ledger.find_object(BUCKET, "cat.jpg") is None
    with pytest.raises(WriteLost):
        await ledger.commit_write(an_object("w1"))


async def test_concurrent_writes_of_one_key_leave_one_object_and_orphans(ledger: Metadata) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(put(ledger, f"w{number}", size_bytes=number))
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert (await ledger.usage())[BACKEND] == Usage(
        BACKEND, used_bytes=found.size_bytes, orphan_bytes=sum(range(50)) - found.size_bytes, objects=1
    )


async def test_racing_conditional_writes_have_one_winner(ledger: Metadata) -> None:
    winners = await _race(ledger, ledger)
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert winners == [found.write_id]


async def test_racing_conditional_writes_of_two_processes_have_one_winner(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """I4, over two processes: 64 writers, one of them wins, and it is the one that is found."""
    winners = await _race(*two_ledgers)
    for ledger in two_ledgers:
        found = await ledger.find_object(BUCKET, "cat.jpg")
        assert found is not None
        assert winners == [found.write_id]


async def _race(one: Metadata, other: Metadata) -> list[str]:
    won: list[str] = []

    async def write(ledger: Metadata, write_id: str) -> None:
        await ledger.reserve_write(an_intent(write_id), None)
        try:
            await ledger.commit_write(replace(an_object(write_id), modified_ms=NOW_MS), IF_NONE)
        except PreconditionFailed:
            await ledger.abandon_write(an_intent(write_id), "write_failed", NOW_MS)
        else:
            won.append(write_id)

    async with asyncio.TaskGroup() as group:
        for number in range(32):
            group.create_task(write(one, f"one-{number}"))
            group.create_task(write(other, f"other-{number}"))
    return won


async def test_compare_and_swap_over_two_processes_counts_every_step(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """I4: increments by If-Match, retried on failure; none is lost, none applied twice."""
    await put(two_ledgers[0], "w-0")
    steps = 0

    async def increment(ledger: Metadata, name: str, times: int) -> None:
        nonlocal steps
        tries = 0
        while times:
            seen = await ledger.find_object(BUCKET, "cat.jpg")
            assert seen is not None
            tries += 1
            write_id = f"{name}-{tries}"
            await ledger.reserve_write(an_intent(write_id, size_bytes=seen.size_bytes + 1), None)
            try:
                await ledger.commit_write(an_object(write_id, size_bytes=seen.size_bytes + 1), Conditions(if_match=seen.etag))
            except PreconditionFailed:
                await ledger.abandon_write(an_intent(write_id), "write_failed", NOW_MS)
            else:
                times -= 1
                steps += 1

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(increment(two_ledgers[number % 2], f"t{number}", 5))
    found = await two_ledgers[0].find_object(BUCKET, "cat.jpg")
    assert found is not None
    assert found.size_bytes == 10 + steps == 40


async def test_when_a_bucket_was_first_seen_is_remembered(ledger: Metadata) -> None:
    assert await ledger.bucket_created_ms(BUCKET, 5) == 5
    assert await ledger.bucket_created_ms(BUCKET, 9) == 5
    assert await ledger.bucket_created_ms("other", 9) == 9


async def test_a_bucket_first_seen_by_two_processes_has_one_age(two_ledgers: tuple[Metadata, Metadata]) -> None:
    async with asyncio.TaskGroup() as group:
        seen = [group.create_task(ledger.bucket_created_ms(BUCKET, now)) for now, ledger in enumerate(two_ledgers)]
    assert seen[0].result() == seen[1].result()
