"""Reservations: exact quotas, abandoned writes, reaped intents."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.ledger import (
    BACKEND,
    BUCKET,
    MINUTE_MS,
    NOW_MS,
    OWNER,
    a_part_intent,
    an_intent,
    an_object,
    an_upload,
    open_upload,
    put,
    put_part,
)

from s3o_proxy.domain.errors import MetadataUnavailable, NoSuchUpload, UploadBusy, WriteLost
from s3o_proxy.domain.model import Usage
from s3o_proxy.metadata.port import Metadata, Reserved


async def held_bytes(ledger: Metadata, backend: str = BACKEND) -> int:
    return (await ledger.usage())[backend].held_bytes


async def test_a_reservation_that_fits_to_the_byte_is_granted(ledger: Metadata) -> None:
    assert await ledger.reserve_write(an_intent("w1", size_bytes=60), 100) == Reserved(granted=True)
    assert await ledger.reserve_write(an_intent("w2", size_bytes=40), 100) == Reserved(granted=True)
    assert await ledger.reserve_write(an_intent("w3", size_bytes=1), 100) == Reserved(granted=False, free_bytes=0)
    assert await ledger.reserve_write(an_intent("w4", size_bytes=0), 100) == Reserved(granted=True)


async def test_a_refusal_says_what_was_left_and_keeps_nothing(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1", size_bytes=60), 100)
    assert await ledger.reserve_write(an_intent("w2", size_bytes=41), 100) == Reserved(granted=False, free_bytes=40)
    assert await ledger.reserve_write(an_intent("w3", size_bytes=41), 30) == Reserved(granted=False, free_bytes=0)
    assert (await ledger.queue_depths())["intents"] == 1


async def test_without_a_quota_everything_is_granted_and_counted(ledger: Metadata) -> None:
    assert (await ledger.reserve_write(an_intent("w1", size_bytes=2**60), None)).granted
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, reserved_bytes=2**60)}


async def test_reserved_used_and_orphaned_bytes_all_count(ledger: Metadata) -> None:
    await put(ledger, "w1", "used", size_bytes=10)
    await put(ledger, "w2", "orphan", size_bytes=20)
    await ledger.delete_object(BUCKET, "orphan", NOW_MS)
    await ledger.reserve_write(an_intent("w3", "reserved", size_bytes=30), None)
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1, size_bytes=15)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, used_bytes=10, orphan_bytes=20, reserved_bytes=45, objects=1)}
    assert await ledger.reserve_write(an_intent("w4", size_bytes=26), 100) == Reserved(granted=False, free_bytes=25)
    assert (await ledger.reserve_write(an_intent("w5", size_bytes=25), 100)).granted


async def test_a_large_one_that_does_not_fit_stands_in_no_small_ones_way(ledger: Metadata) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(ledger.reserve_write(an_intent(f"w{number}", f"k{number}", size_bytes=size), 100))
            for number, size in enumerate([50, 80, 30, 30, 20])
        ]
    assert [one.result().granted for one in asked] == [True, False, True, False, True]


async def test_the_quotas_of_backends_are_apart(ledger: Metadata) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(ledger.reserve_write(an_intent(f"w{number}", f"k{number}", backend=backend, size_bytes=60), quota))
            for number, (backend, quota) in enumerate([("a", 100), ("b", 100), ("a", 100), ("b", None), ("c", 59)])
        ]
    assert [one.result().granted for one in asked] == [True, True, False, True, False]


async def test_one_write_reserves_once_per_backend(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1"), None)
    with pytest.raises(MetadataUnavailable):
        await ledger.reserve_write(an_intent("w1"), None)
    assert await held_bytes(ledger) == 10


async def test_concurrent_reservations_of_two_processes_fill_a_quota_to_the_byte(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """I3: 200 reservations at once, then no room for one byte more, and no byte above the quota."""
    quota = 10_000
    sizes = [(number * 37) % 400 + 1 for number in range(200)]

    async def reserve(number: int, size_bytes: int) -> int:
        intent = an_intent(f"w{number}", f"k{number}", size_bytes=size_bytes)
        return size_bytes if (await two_ledgers[number % 2].reserve_write(intent, quota)).granted else 0

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(reserve(number, size)) for number, size in enumerate(sizes)]
    granted = sum(one.result() for one in asked)
    assert await held_bytes(two_ledgers[0]) == granted <= quota
    free = quota - granted
    assert free < min(size for size, one in zip(sizes, asked, strict=True) if not one.result()), "one that fits was refused"
    assert await two_ledgers[0].reserve_write(an_intent("last", size_bytes=free + 1), quota) == Reserved(granted=False, free_bytes=free)


async def test_a_quota_holds_while_two_processes_write_delete_and_clean_up(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """I3 and I6 under everything at once; the watcher reads the counters all the while."""
    quota = 2_000
    backends = ("a", "b", "c")
    busy = True
    highest = 0

    async def watch() -> None:
        nonlocal highest
        while busy:
            for usage in (await two_ledgers[0].usage()).values():
                highest = max(highest, usage.held_bytes)
            await asyncio.sleep(0)

    async def live(number: int) -> None:
        ledger, other = two_ledgers[number % 2], two_ledgers[(number + 1) % 2]
        for step in range(12):
            write_id, key = f"{number}-{step}", f"key-{(number + step) % 7}"
            backend = backends[(number * 5 + step) % 3]
            intent = an_intent(write_id, key, backend=backend, size_bytes=50 + number * 7 + step)
            if (await ledger.reserve_write(intent, quota)).granted:
                if step % 5 == 4:
                    await ledger.abandon_write(intent, "write_failed", NOW_MS)
                else:
                    await ledger.commit_write(an_object(write_id, key, size_bytes=intent.size_bytes))
            if step % 4 == 3:
                await other.delete_object(BUCKET, key, NOW_MS)
            items = await other.claim_cleanup(f"worker-{number}", NOW_MS, MINUTE_MS, 3)
            await other.finish_cleanup([item.item_id for item in items])

    watcher = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(live(number))
    busy = False
    await watcher
    assert 0 < highest <= quota


async def test_abandoned_bytes_become_orphans_that_a_cleanup_row_mentions(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1", size_bytes=7), None)
    await ledger.abandon_write(an_intent("w1", size_bytes=7), "write_failed", NOW_MS + 5)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=7)}
    assert not await ledger.claim_cleanup("worker", NOW_MS + 4, 1000, 10)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS + 5, 1000, 10)
    assert (item.storage_key, item.size_bytes, item.reason) == (f"{BUCKET}/cat.jpg~w1", 7, "write_failed")
    with pytest.raises(WriteLost):
        await ledger.commit_write(an_object("w1"))


async def test_abandoning_all_backends_of_a_write(ledger: Metadata) -> None:
    for backend in ("a", "b"):
        await ledger.reserve_write(an_intent("w1", backend=backend), None)
    await ledger.abandon_write(an_intent("w1"), "write_failed", NOW_MS)
    assert [usage.orphan_bytes for usage in (await ledger.usage()).values()] == [10, 10]


async def test_abandoning_what_was_committed_does_nothing(ledger: Metadata) -> None:
    await put(ledger, "w1")
    await ledger.abandon_write(an_intent("w1"), "write_failed", NOW_MS)
    assert await ledger.find_object(BUCKET, "cat.jpg") is not None
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, used_bytes=10, objects=1)}


async def test_abandoning_what_was_reaped_mentions_its_bytes_again(ledger: Metadata) -> None:
    """They may have landed after the cleanup looked. They count, over a quota or not: they lie there (I2, I3)."""
    await ledger.reserve_write(an_intent("w1"), 10)
    assert await ledger.reap_intents(NOW_MS, 10) == 1
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    await ledger.finish_cleanup([item.item_id])
    await ledger.abandon_write(an_intent("w1"), "write_failed", NOW_MS + 5)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=10)}
    assert not await ledger.claim_cleanup("worker", NOW_MS + 4, 1000, 10)
    (again,) = await ledger.claim_cleanup("worker", NOW_MS + 5, 1000, 10)
    assert (again.storage_key, again.size_bytes, again.reason) == (item.storage_key, 10, "write_failed")


async def test_a_cleanup_that_waits_is_replaced_and_a_claim_on_it_ends(ledger: Metadata) -> None:
    """Whoever claimed it may have sent its deletion before the bytes landed: what he finishes is no longer there."""
    await ledger.reserve_write(an_intent("w1"), None)
    await ledger.reap_intents(NOW_MS, 10)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    for _ in range(2):
        await ledger.abandon_write(an_intent("w1"), "write_failed", NOW_MS + 5)
    await ledger.finish_cleanup([item.item_id])
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=10)}
    (again,) = await ledger.claim_cleanup("worker", NOW_MS + 5, 1000, 10)
    assert (again.storage_key, again.reason, again.attempts) == (item.storage_key, "reaped", 0)


async def test_an_object_that_moved_since_was_committed_too(ledger: Metadata) -> None:
    await put(ledger, "w1")
    found = await ledger.find_object(BUCKET, "cat.jpg")
    assert found is not None
    moved = an_intent("m1", backend="west")
    await ledger.reserve_write(moved, None)
    assert await ledger.commit_move(found, found.copies[0], moved, NOW_MS)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    await ledger.finish_cleanup([item.item_id])
    for intent in (an_intent("w1"), moved):
        await ledger.abandon_write(intent, "write_failed", NOW_MS)
    assert (await ledger.queue_depths())["cleanup_queue"] == 0


async def test_a_reservation_that_is_taken_back_leaves_nothing_to_clean_up(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    for intent in (an_intent("w1"), a_part_intent("p1", upload, 1)):
        await ledger.reserve_write(intent, None)
        for _ in range(2):
            await ledger.cancel_reservation(intent)
    await ledger.cancel_reservation(an_intent("never"))
    assert await ledger.queue_depths() == {"cleanup_queue": 0, "cleanup_dlq": 0, "intents": 0, "uploads": 1}
    assert (await ledger.usage())[BACKEND].held_bytes == 0


async def test_who_reaps_lives_and_so_do_his_own_intents(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1"), None)
    assert await ledger.reap_intents(NOW_MS, 10, OWNER) == 0
    await ledger.commit_write(an_object("w1"))


async def test_only_intents_of_dead_owners_are_reaped(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    await ledger.acquire_lease("instance/fading", "fading", NOW_MS, 5)
    await ledger.reserve_write(an_intent("live", "a"), None)
    await ledger.reserve_write(an_intent("dead", "b", owner="unheard of"), None)
    await ledger.reserve_write(an_intent("ended", "c", owner="fading"), None)

    assert await ledger.reap_intents(NOW_MS, 10) == 1
    assert await ledger.reap_intents(NOW_MS + 5, 10) == 1
    assert await ledger.reap_intents(NOW_MS + 5, 10) == 0
    items = await ledger.claim_cleanup("worker", NOW_MS + 5, 1000, 10)
    assert [item.storage_key for item in items] == [f"{BUCKET}/b~dead", f"{BUCKET}/c~ended"]
    await ledger.commit_write(an_object("live", "a"))
    with pytest.raises(WriteLost):
        await ledger.commit_write(an_object("dead", "b"))


async def test_what_a_dead_owner_asked_for_is_deleted_when_it_has_settled(ledger: Metadata) -> None:
    await ledger.reserve_write(an_intent("w1", settle_ms=MINUTE_MS), None)
    assert await ledger.reap_intents(NOW_MS, 10) == 1
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=10)}
    assert not await ledger.claim_cleanup("worker", NOW_MS + MINUTE_MS - 1, 1000, 10)
    assert len(await ledger.claim_cleanup("worker", NOW_MS + MINUTE_MS, 1000, 10)) == 1


async def test_a_released_lease_is_a_dead_owner(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    await ledger.reserve_write(an_intent("w1"), None)
    assert await ledger.reap_intents(NOW_MS, 10) == 0
    await ledger.release_lease(f"instance/{OWNER}", OWNER)
    assert await ledger.reap_intents(NOW_MS, 10) == 1


async def test_reaping_goes_on_in_rounds(ledger: Metadata) -> None:
    for number in range(5):
        await ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None)
    assert [await ledger.reap_intents(NOW_MS, 2) for _ in range(4)] == [2, 2, 1, 0]


async def test_two_reapers_and_the_writer_share_one_intent_once(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """Facts §2.3 (the reaper's deadlock): commits and reapers at once; every write is either committed or cleanup, never both."""
    one, other = two_ledgers
    lost = 0

    async def write(number: int) -> None:
        nonlocal lost
        ledger = two_ledgers[number % 2]
        await ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None)
        try:
            await ledger.commit_write(an_object(f"w{number}", f"k{number}"))
        except WriteLost:
            lost += 1

    async def reap(ledger: Metadata) -> int:
        return sum([await ledger.reap_intents(NOW_MS, 3) for _ in range(10)])

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(write(number)) for number in range(60)]
        reapers = [group.create_task(reap(ledger)) for ledger in (one, other)]
    assert all(writer.done() for writer in writers)
    assert lost == sum(reaper.result() for reaper in reapers)
    usage = (await one.usage())[BACKEND]
    assert (usage.objects, usage.orphan_bytes) == (60 - lost, 10 * lost)


async def test_a_part_of_an_unknown_or_unopened_upload_is_refused(ledger: Metadata) -> None:
    upload = an_upload("u1")
    with pytest.raises(NoSuchUpload):
        await ledger.reserve_part(a_part_intent("p1", upload, 1), None)
    await ledger.create_upload(upload, None)
    with pytest.raises(NoSuchUpload):
        await ledger.reserve_part(a_part_intent("p1", upload, 1), None)
    assert (await ledger.queue_depths())["intents"] == 0


async def test_a_part_of_an_upload_that_is_being_completed_is_refused(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
    with pytest.raises(UploadBusy):
        await ledger.reserve_part(a_part_intent("p1", upload, 1), None)


async def test_a_part_counts_against_the_quota(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    assert (await ledger.reserve_part(a_part_intent("p1", upload, 1, size_bytes=60), 100)).granted
    assert await ledger.reserve_part(a_part_intent("p2", upload, 2, size_bytes=60), 100) == Reserved(granted=False, free_bytes=40)


async def test_a_part_of_a_dead_owner_stays_reserved(ledger: Metadata) -> None:
    """Its bytes lie inside the upload: only the upload's end frees them."""
    upload = await open_upload(ledger, "u1")
    await ledger.reserve_part(a_part_intent("p1", upload, 1, owner="dead"), None)
    assert await ledger.reap_intents(NOW_MS, 10) == 0
    assert (await ledger.usage())[BACKEND].reserved_bytes == 100
