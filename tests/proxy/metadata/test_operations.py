"""Operations are asked for once, recorded while they stand, cancelled by a state; and the fence that a drain puts up is exact."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.support.ledger import (
    BACKEND,
    BUCKET,
    NOW_MS,
    a_part_intent,
    an_intent,
    an_object,
    an_upload,
    open_upload,
    put,
    put_part,
)

from s3o_proxy.domain.errors import BackendFenced, BackendInUse, NoSuchOperation, OperationConflict
from s3o_proxy.domain.operation import Flow, Operation, Plan, Progress, Remains, State
from s3o_proxy.metadata.port import Metadata, Reserved
from s3o_proxy.metadata.postgres import PostgresEngine

FENCED = Reserved(granted=False, fenced=True)


def a_drain(operation_id: str = "o1", *, token: str = "t1", subject: str = "uid", backend: str = BACKEND) -> Operation:
    return Operation(operation_id, "Drain", subject, token, NOW_MS, backend)


# --- rows ---------------------------------------------------------------------------------------------------------------------------


async def test_an_operation_is_the_same_when_it_is_asked_for_again(ledger: Metadata) -> None:
    asked = await ledger.ask_operation(a_drain())
    assert await ledger.ask_operation(a_drain("o2")) == asked
    assert await ledger.record_operation(replace(asked, state="Succeeded"))
    assert (await ledger.ask_operation(a_drain("o3"))).state == "Succeeded"
    assert await ledger.find_operation("o2") is None


async def test_two_of_a_kind_do_not_work_on_one_target(ledger: Metadata) -> None:
    await ledger.ask_operation(a_drain())
    with pytest.raises(OperationConflict) as conflict:
        await ledger.ask_operation(a_drain("o2", token="t2"))
    assert conflict.value.operation_id == "o1"
    await ledger.ask_operation(a_drain("o3", token="t2", backend="west"))
    await ledger.cancel_operation("o1", NOW_MS)
    assert (await ledger.ask_operation(a_drain("o4", token="t4"))).operation_id == "o4"


async def test_two_processes_that_ask_at_once_get_one_operation(two_ledgers: tuple[Metadata, Metadata]) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ledger.ask_operation(a_drain(f"o{n}-{m}"))) for n, ledger in enumerate(two_ledgers) for m in range(5)]
    assert len({one.result().operation_id for one in asked}) == 1


async def test_what_is_recorded_is_read_back(ledger: Metadata) -> None:
    asked = await ledger.ask_operation(a_drain())
    plan = Plan(5, 100, 11, fits=False, required_bytes=100, available_bytes=None, backends={BACKEND: Flow(bytes_out=100, calls=6)})
    progress = Progress(objects_total=5, bytes_moved=7, estimated_ms=NOW_MS, last_error="“no”")
    noted = replace(
        asked, state="Stalled", reason="Why", message="since", plan=plan, progress=progress, started_ms=NOW_MS + 1, updated_ms=NOW_MS + 2
    )
    assert await ledger.record_operation(noted)
    assert await ledger.find_operation("o1") == noted
    assert await ledger.active_operations() == [noted]


async def test_the_newest_are_listed_first_and_by_subject(ledger: Metadata) -> None:
    for number, subject in enumerate(("a", "b", "a")):
        drain = a_drain(f"o{number}", token=f"t{number}", subject=subject, backend=f"b{number}")
        await ledger.ask_operation(replace(drain, created_ms=NOW_MS + number))
    assert [one.operation_id for one in await ledger.list_operations("", 10)] == ["o2", "o1", "o0"]
    assert [one.operation_id for one in await ledger.list_operations("a", 10)] == ["o2", "o0"]


async def test_what_is_at_work_or_keeps_a_backend_closed_is_listed_however_many_are_newer(ledger: Metadata) -> None:
    states: tuple[State, ...] = ("Running", "Succeeded", "Cancelled")
    for number, state in enumerate(states):
        drain = await ledger.ask_operation(replace(a_drain(state, token=state, backend=f"b{number}"), created_ms=NOW_MS + number))
        assert await ledger.record_operation(replace(drain, state=state))
    await ledger.cancel_operation("Cancelled", NOW_MS)
    for number in range(3):
        purge = Operation(f"p{number}", "Purge", f"s{number}", "deletion", NOW_MS + 10 + number, bucket=f"gone-{number}")
        await ledger.ask_operation(purge)
        await ledger.record_operation(replace(purge, state="Succeeded"))
    assert [one.operation_id for one in await ledger.list_operations("", 2)] == ["p2", "p1", "Succeeded", "Running"]
    assert [one.operation_id for one in await ledger.list_operations("s0", 2)] == ["p0"]
    await ledger.cancel_operation("Succeeded", NOW_MS)
    assert [one.operation_id for one in await ledger.list_operations("", 2)] == ["p2", "p1", "Running"]


async def test_a_cancelled_operation_takes_no_more_notes(ledger: Metadata) -> None:
    asked = await ledger.ask_operation(a_drain())
    cancelled = await ledger.cancel_operation("o1", NOW_MS + 5)
    assert (cancelled.state, cancelled.finished_ms) == ("Cancelled", NOW_MS + 5)
    assert await ledger.cancel_operation("o1", NOW_MS + 9) == cancelled
    assert not await ledger.record_operation(replace(asked, state="Succeeded"))
    assert await ledger.active_operations() == []
    with pytest.raises(NoSuchOperation):
        await ledger.cancel_operation("never", NOW_MS)


# --- the fence ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quota_bytes", [None, 1000])
async def test_a_backend_that_is_drained_takes_no_new_writes(ledger: Metadata, quota_bytes: int | None) -> None:
    await ledger.reserve_write(an_intent("before"), quota_bytes)
    drain = await ledger.ask_operation(a_drain())
    assert await ledger.fences() == {BACKEND}
    assert await ledger.reserve_write(an_intent("after"), quota_bytes) == FENCED
    with pytest.raises(BackendFenced):
        await ledger.create_upload(an_upload("u1"), None)
    await ledger.commit_write(an_object("before"))
    await ledger.record_operation(replace(drain, state="Succeeded"))
    assert await ledger.reserve_write(an_intent("later"), quota_bytes) == FENCED
    assert (await ledger.reserve_write(an_intent("elsewhere", backend="west"), quota_bytes)).granted
    assert (await ledger.usage())[BACKEND].held_bytes == 10


async def test_a_fence_says_so_even_when_there_is_no_room_either(ledger: Metadata) -> None:
    await ledger.ask_operation(a_drain())
    assert await ledger.reserve_write(an_intent("w1"), 5) == FENCED


async def test_parts_of_uploads_that_lie_there_are_still_taken(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await ledger.ask_operation(a_drain())
    assert (await ledger.reserve_part(a_part_intent("p1", upload, 1), 1000)).granted
    assert (await ledger.reserve_part(a_part_intent("p2", upload, 2), None)).granted


@pytest.mark.parametrize("last", ["Running", "Succeeded"])
async def test_cancelling_a_drain_opens_its_backend_again(ledger: Metadata, last: State) -> None:
    drain = await ledger.ask_operation(a_drain())
    await ledger.record_operation(replace(drain, state=last))
    assert (await ledger.cancel_operation("o1", NOW_MS)).state == "Cancelled"
    assert (await ledger.reserve_write(an_intent("w1"), None)).granted
    await ledger.create_upload(an_upload("u1"), None)


async def test_the_latest_drain_of_a_backend_decides(ledger: Metadata) -> None:
    drain = await ledger.ask_operation(a_drain())
    await ledger.record_operation(replace(drain, state="Succeeded"))
    await ledger.ask_operation(a_drain("o2", token="t2"))
    await ledger.cancel_operation("o1", NOW_MS)
    assert await ledger.reserve_write(an_intent("w1"), None) == FENCED
    await ledger.cancel_operation("o2", NOW_MS)
    assert (await ledger.reserve_write(an_intent("w1"), None)).granted


async def test_what_is_granted_before_the_fence_is_seen_behind_it(two_ledgers: tuple[Metadata, Metadata]) -> None:
    """Reservations and uploads race with the fence from two processes: whatever was granted stands in what remains, at once."""
    one, other = two_ledgers
    granted: list[int] = []

    async def write(number: int) -> None:
        ledger, quota = two_ledgers[number % 2], (None, 10**6)[number // 2 % 2]
        if number % 5:
            if (await ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), quota)).granted:
                granted.append(number)
        else:
            try:
                await ledger.create_upload(an_upload(f"u{number}", f"k{number}"), None)
                granted.append(number)
            except BackendFenced:
                pass

    async def fence() -> Remains:
        await other.ask_operation(a_drain())
        return await one.remains(BACKEND)

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(write(number))
            if number == 30:
                seen = group.create_task(fence())
            await asyncio.sleep(0.0005)
    left = await one.remains(BACKEND)
    assert (left.intents, left.uploads) == (seen.result().intents, seen.result().uploads)
    assert 0 < left.intents + left.uploads == len(granted) < 60


# --- what remains -------------------------------------------------------------------------------------------------------------------


async def test_a_backend_is_forgotten_only_when_nothing_mentions_it(ledger: Metadata) -> None:
    await put(ledger, "w1")
    with pytest.raises(BackendInUse) as error:
        await ledger.forget_backend(BACKEND)
    assert error.value.counts["copies"] == 1
    await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    with pytest.raises(BackendInUse, match="1 cleanups"):
        await ledger.forget_backend(BACKEND)
    await ledger.finish_cleanup([item.item_id])
    await ledger.forget_backend(BACKEND)
    assert await ledger.usage() == {}
    await ledger.forget_backend(BACKEND)


@pytest.mark.parametrize("last", ["a deleted object", "a reservation"])
async def test_it_is_forgotten_together_with_the_last_bytes_on_it(ledger: Metadata, last: str) -> None:
    """In one transaction: what the last of them was to lower is gone with the counters, and a quota is no wider than before."""
    if last == "a reservation":
        await ledger.reserve_write(an_intent("w1"), None)
        ending = ledger.cancel_reservation(an_intent("w1"))
    else:
        await put(ledger, "w1")
        await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS)
        (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
        ending = ledger.finish_cleanup([item.item_id])
    async with asyncio.TaskGroup() as group:
        group.create_task(ending)
        group.create_task(ledger.forget_backend(BACKEND))
    assert await ledger.usage() == {}
    granted = [(await ledger.reserve_write(an_intent(f"n{number}"), 10)).granted for number in range(3)]
    assert granted == [True, False, False]


async def test_bytes_that_come_late_are_not_forgotten(two_ledgers: tuple[Metadata, Metadata], monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer whose intent was reaped mentions his bytes anew, while another process has just seen that nothing mentions the backend."""
    one, other = two_ledgers
    late = an_intent("late", owner="dead")
    await one.reserve_write(late, None)
    await other.reap_intents(NOW_MS, 10)
    (item,) = await other.claim_cleanup("worker", NOW_MS, 1000, 10)
    await other.finish_cleanup([item.item_id])

    looked, go_on = asyncio.Event(), asyncio.Event()
    fetch = PostgresEngine._fetch

    async def wait_before_it_forgets(engine: PostgresEngine, connection: Any, asked: Any) -> Any:
        if asked.name == "forget_usage":
            looked.set()
            await go_on.wait()
        return await fetch(engine, connection, asked)

    monkeypatch.setattr(PostgresEngine, "_fetch", wait_before_it_forgets)
    async with asyncio.TaskGroup() as group:
        group.create_task(other.forget_backend(BACKEND))
        await looked.wait()
        mentioned = group.create_task(one.abandon_write(late, "write_failed", NOW_MS))
        await asyncio.wait({mentioned}, timeout=0.5)
        go_on.set()
    assert (await one.usage())[BACKEND].orphan_bytes == late.size_bytes


async def test_all_that_remains_is_counted(ledger: Metadata) -> None:
    await put(ledger, "w1", "copy")
    await put(ledger, "w2", "deleted")
    await ledger.delete_object(BUCKET, "deleted", NOW_MS)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    await ledger.bury_cleanup(item.item_id, "denied", NOW_MS)
    await put(ledger, "w3", "deleted")
    await ledger.delete_object(BUCKET, "deleted", NOW_MS)
    await ledger.reserve_write(an_intent("w4"), None)
    await open_upload(ledger, "u1")
    assert await ledger.remains(BACKEND) == Remains(copies=1, copy_bytes=10, intents=1, uploads=1, cleanups=1, dead=1, error="denied")
    assert (await ledger.remains("west")).nothing


async def test_deletions_that_failed_are_hastened_and_first_tries_are_not(ledger: Metadata) -> None:
    """Bytes of a first try may still be on their way: deleted too early, they would arrive after it."""
    for write_id in ("failed", "fresh"):
        await ledger.reserve_write(an_intent(write_id, write_id), None)
        await ledger.abandon_write(an_intent(write_id, write_id), "write_failed", NOW_MS + (0 if write_id == "failed" else 500))
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    await ledger.retry_cleanup(item.item_id, "no", NOW_MS + 10**6)
    await ledger.hasten_cleanup(BACKEND, NOW_MS)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    assert item.storage_key.endswith("~failed")


# --- another bucket -----------------------------------------------------------------------------------------------------------------


async def move_to_another_bucket(ledger: Metadata) -> None:
    await ledger.move_backend(BACKEND, "new")


@pytest.mark.parametrize("quota", [None, 25])
async def test_who_would_write_to_another_bucket_is_refused_and_takes_no_room(ledger: Metadata, quota: int | None) -> None:
    assert await ledger.reserve_write(an_intent("w0"), quota, "old") == FENCED, "nobody located it yet"
    await ledger.locate_backends({BACKEND: "old"})
    assert (await ledger.reserve_write(an_intent("w1"), quota, "old")).granted
    with pytest.raises(BackendInUse):
        await ledger.forget_backend(BACKEND)
    await ledger.cancel_reservation(an_intent("w1"))
    await move_to_another_bucket(ledger)
    believed = ["old", "new", "old", "new"]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ledger.reserve_write(an_intent(f"m{n}"), quota, bucket)) for n, bucket in enumerate(believed)]
    granted = Reserved(granted=True)
    assert [one.result() for one in asked] == [FENCED, granted, FENCED, granted]


async def test_an_upload_is_created_where_the_backend_lies_and_its_parts_follow(ledger: Metadata) -> None:
    await ledger.locate_backends({BACKEND: "old"})
    await move_to_another_bucket(ledger)
    with pytest.raises(BackendFenced):
        await ledger.create_upload(an_upload("u1"), None, "old")
    await ledger.create_upload(an_upload("u2"), None, "new")
    await ledger.open_upload("u2", "theirs")
    await put_part(ledger, an_upload("u2"), 1)
    assert (await ledger.remains(BACKEND)).uploads == 1


@pytest.mark.parametrize("after", range(0, 30, 6))
async def test_what_is_granted_in_a_bucket_keeps_the_name_there(two_ledgers: tuple[Metadata, Metadata], after: int) -> None:
    """Of two processes one writes to the bucket that the other gives up meanwhile."""
    one, other = two_ledgers
    await one.locate_backends({BACKEND: "old"})

    async def write(number: int) -> bool:
        await asyncio.sleep(0.0005 * (number + 1))
        return (await one.reserve_write(an_intent(f"w{number}"), None, "old")).granted

    async def move() -> bool:
        await asyncio.sleep(0.0005 * after)
        try:
            await move_to_another_bucket(other)
        except BackendInUse:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        moved = group.create_task(move())
        writes = [group.create_task(write(number)) for number in range(30)]
    assert [each.result() for each in writes] == [not moved.result()] * 30
    assert await one.locate_backends({BACKEND: "old"}) == {BACKEND: "new" if moved.result() else "old"}
