"""Multipart uploads: create, open, complete, abort."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.ledger import (
    BACKEND,
    BUCKET,
    MINUTE_MS,
    NOW_MS,
    OWNER,
    a_part,
    a_part_intent,
    an_object,
    an_upload,
    open_upload,
    put,
    put_part,
)

from s3o_proxy.domain.errors import (
    BackendFenced,
    CompletedOtherwise,
    DomainError,
    MetadataError,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    TooManyUploads,
    UploadBusy,
    WriteLost,
)
from s3o_proxy.domain.model import Conditions, Copy, Upload, Usage
from s3o_proxy.domain.operation import Operation
from s3o_proxy.metadata.port import Metadata

ALWAYS = Conditions()


async def test_an_upload_is_found_once_it_is_open(ledger: Metadata) -> None:
    upload = an_upload("u1")
    await ledger.create_upload(upload, None)
    with pytest.raises(NoSuchUpload):
        await ledger.find_upload(BUCKET, "film.mkv", "u1")
    await ledger.open_upload("u1", "theirs")
    assert await ledger.find_upload(BUCKET, "film.mkv", "u1") == replace(upload, backend_upload_id="theirs")


@pytest.mark.parametrize(("bucket", "key", "upload_id"), [("other", "film.mkv", "u1"), (BUCKET, "other", "u1"), (BUCKET, "film.mkv", "u2")])
async def test_an_id_of_another_bucket_or_key_is_no_such_upload(ledger: Metadata, bucket: str, key: str, upload_id: str) -> None:
    await open_upload(ledger, "u1")
    with pytest.raises(NoSuchUpload):
        await ledger.find_upload(bucket, key, upload_id)


async def test_an_unknown_upload_cannot_be_opened_completed_or_aborted(ledger: Metadata) -> None:
    with pytest.raises(NoSuchUpload):
        await ledger.open_upload("u1", "theirs")
    with pytest.raises(NoSuchUpload):
        await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
    with pytest.raises(NoSuchUpload):
        await ledger.commit_complete("u1", an_object("w1"), ALWAYS)
    with pytest.raises(NoSuchUpload):
        await ledger.abort_upload("u1", "upload_aborted", NOW_MS)
    await ledger.end_complete("u1", OWNER, may_be_complete=False)


async def test_a_bucket_has_at_most_its_limit_of_uploads(ledger: Metadata) -> None:
    await ledger.create_upload(an_upload("u1", "a"), 2)
    await ledger.create_upload(an_upload("u2", "b"), 2)
    with pytest.raises(TooManyUploads):
        await ledger.create_upload(an_upload("u3", "c"), 2)
    await ledger.create_upload(an_upload("u4", "c", bucket="other"), 2)
    await ledger.abort_upload("u1", "upload_aborted", NOW_MS)
    await ledger.create_upload(an_upload("u5", "c"), 2)


async def test_whom_a_fence_turns_away_takes_no_place(ledger: Metadata) -> None:
    async def create(upload: Upload) -> type[DomainError] | None:
        try:
            await ledger.create_upload(upload, 1)
        except DomainError as error:
            return type(error)
        return None

    await ledger.ask_operation(Operation("o1", "Drain", "uid", "t1", NOW_MS, "west"))
    uploads = [an_upload("u1", "a", backend="west"), an_upload("u2", "b"), an_upload("u3", "c")]
    async with asyncio.TaskGroup() as group:
        created = [group.create_task(create(upload)) for upload in uploads]
    assert [each.result() for each in created] == [BackendFenced, None, TooManyUploads]


async def test_the_limit_holds_for_two_processes(two_ledgers: tuple[Metadata, Metadata]) -> None:
    async def create(number: int) -> bool:
        try:
            await two_ledgers[number % 2].create_upload(an_upload(f"u{number}", f"k{number}"), 7)
        except TooManyUploads:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        created = [group.create_task(create(number)) for number in range(40)]
    assert sum(one.result() for one in created) == 7 == (await two_ledgers[0].queue_depths())["uploads"]


async def test_a_completed_upload_is_one_object_and_releases_what_it_does_not_use(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    for number in (1, 2, 3):
        await put_part(ledger, upload, number, size_bytes=100)
    await ledger.reserve_part(a_part_intent("unfinished", upload, 4), None)
    assert (await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")).state == "open"
    # Part 2 is not in the client's list: the backend drops it.
    new = an_object(upload.write_id, upload.key, size_bytes=200, part_sizes=(100, 100))
    await ledger.commit_complete("u1", new, ALWAYS)

    found = await ledger.find_object(BUCKET, upload.key)
    assert found is not None
    assert found.copies == (Copy(BACKEND, upload.storage_key, 200),)
    assert found.part_sizes == (100, 100)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, used_bytes=200, objects=1)}
    assert await ledger.queue_depths() == {"cleanup_queue": 0, "cleanup_dlq": 0, "intents": 0, "uploads": 0}
    with pytest.raises(NoSuchUpload):
        await ledger.find_upload(BUCKET, upload.key, "u1")
    with pytest.raises(WriteLost):
        await ledger.commit_part("unfinished", a_part(4))


async def test_completing_displaces_the_object_that_was_there(ledger: Metadata) -> None:
    await put(ledger, "w1", "film.mkv", size_bytes=30)
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1)
    await ledger.commit_complete("u1", an_object(upload.write_id, upload.key, size_bytes=100), ALWAYS)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, used_bytes=100, orphan_bytes=30, objects=1)}


async def test_a_complete_that_its_condition_refuses_leaves_the_upload(ledger: Metadata) -> None:
    await put(ledger, "w1", "film.mkv")
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1)
    new = an_object(upload.write_id, upload.key, size_bytes=100)
    with pytest.raises(PreconditionFailed):
        await ledger.commit_complete("u1", new, Conditions(if_none_match="*"))
    await ledger.delete_object(BUCKET, "film.mkv", NOW_MS)
    with pytest.raises(NoSuchKey):
        await ledger.commit_complete("u1", new, Conditions(if_match="*"))
    assert await ledger.find_upload(BUCKET, "film.mkv", "u1")
    await ledger.commit_complete("u1", new, Conditions(if_none_match="*"))


async def test_an_object_larger_than_its_parts_is_refused(ledger: Metadata) -> None:
    """I3: it would use bytes that nobody reserved."""
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1, size_bytes=100)
    with pytest.raises(MetadataError):
        await ledger.commit_complete("u1", an_object(upload.write_id, upload.key, size_bytes=101), ALWAYS)
    assert await ledger.usage() == {BACKEND: Usage(BACKEND, reserved_bytes=100)}


async def test_one_complete_at_a_time_while_its_owner_lives(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    await open_upload(ledger, "u1")
    await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
    for owner in (OWNER, "proxy-2"):
        with pytest.raises(UploadBusy):
            await ledger.begin_complete("u1", owner, NOW_MS + 1, "etag-1")
    # When its lease has ended, another goes on, and is told that the bytes may be an object already.
    assert (await ledger.begin_complete("u1", "proxy-2", NOW_MS + MINUTE_MS, "etag-1")).state == "completing"


async def test_one_of_many_completes_wins_the_claim(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    await open_upload(ledger, "u1")

    async def begin() -> bool:
        try:
            await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
        except UploadBusy:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        begun = [group.create_task(begin()) for _ in range(10)]
    assert sum(one.result() for one in begun) == 1


@pytest.mark.parametrize(("may_be_complete", "state"), [(False, "open"), (True, "completing")])
async def test_a_failed_complete_says_whether_the_object_may_exist(ledger: Metadata, may_be_complete: bool, state: str) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    await open_upload(ledger, "u1")
    await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
    await ledger.end_complete("u1", OWNER, may_be_complete=may_be_complete)
    assert (await ledger.find_upload(BUCKET, "film.mkv", "u1")).state == state
    assert (await ledger.begin_complete("u1", "proxy-2", NOW_MS, "etag-1")).state == state


async def test_what_may_be_complete_is_completed_with_the_same_parts_only(ledger: Metadata) -> None:
    await open_upload(ledger, "u1")
    await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
    for _ in range(2):
        with pytest.raises(CompletedOtherwise):
            await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-2")
        await ledger.end_complete("u1", OWNER, may_be_complete=True)
    assert (await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")).state == "completing"
    await ledger.end_complete("u1", OWNER, may_be_complete=False)
    assert (await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-2")).state == "open"


async def test_an_aborted_upload_becomes_one_cleanup_row(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1")
    await put_part(ledger, upload, 1, size_bytes=100)
    await put_part(ledger, upload, 2, size_bytes=50)
    await ledger.reserve_part(a_part_intent("running", upload, 3, size_bytes=25), None)
    await ledger.reserve_part(a_part_intent("unsure", upload, 4, size_bytes=5), None)
    await ledger.release_part("unsure", certainly_not_landed=False)
    await ledger.abort_upload("u1", "upload_aborted", NOW_MS)

    assert await ledger.usage() == {BACKEND: Usage(BACKEND, orphan_bytes=180)}
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    assert (item.storage_key, item.backend_upload_id, item.size_bytes) == (upload.storage_key, "backend-u1", 180)
    with pytest.raises(WriteLost):
        await ledger.commit_part("running", a_part(3))
    with pytest.raises(NoSuchUpload):
        await ledger.abort_upload("u1", "upload_aborted", NOW_MS)


async def test_an_upload_that_somebody_who_lives_completes_is_not_aborted_by_another(ledger: Metadata) -> None:
    """The backend may have taken his Complete, and make the object only after the cleanup has looked for it."""
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    for upload_id in ("u1", "u2", "u3"):
        await open_upload(ledger, upload_id, upload_id)
    await ledger.begin_complete("u1", OWNER, NOW_MS, "etag-1")
    await ledger.begin_complete("u2", OWNER, NOW_MS, "etag-1")
    aborts = [asyncio.create_task(ledger.abort_upload(upload_id, "upload_aborted", NOW_MS)) for upload_id in ("u1", "u3")]
    await asyncio.wait(aborts)
    assert [type(abort.exception()) for abort in aborts] == [UploadBusy, type(None)]
    await ledger.abort_upload("u2", "upload_aborted", NOW_MS, OWNER)
    await ledger.abort_upload("u1", "upload_aborted", NOW_MS + MINUTE_MS)
    assert (await ledger.queue_depths())["uploads"] == 0


async def test_who_lost_his_claim_does_not_end_the_claim_of_another(ledger: Metadata) -> None:
    await open_upload(ledger, "u1")
    await ledger.begin_complete("u1", "slow", NOW_MS, "etag-1")
    await ledger.begin_complete("u1", "quick", NOW_MS, "etag-1")
    await ledger.end_complete("u1", "slow", may_be_complete=False)
    assert (await ledger.find_upload(BUCKET, "film.mkv", "u1")).state == "completing"


async def test_an_upload_that_never_opened_can_be_aborted(ledger: Metadata) -> None:
    await ledger.create_upload(an_upload("u1"), None)
    await ledger.abort_upload("u1", "upload_aborted", NOW_MS)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 10)
    assert (item.backend_upload_id, item.size_bytes) == ("", 0)


async def test_complete_and_abort_at_once_have_one_outcome(two_ledgers: tuple[Metadata, Metadata]) -> None:
    one, other = two_ledgers
    for number in range(10):
        upload = await open_upload(one, f"u{number}", f"k{number}")
        await put_part(one, upload, 1)
    outcomes = []

    async def complete(number: int) -> None:
        try:
            new = an_object(f"write-of-u{number}", f"k{number}", size_bytes=100)
            await one.commit_complete(f"u{number}", new, ALWAYS)
            outcomes.append(("completed", number))
        except NoSuchUpload:
            pass

    async def abort(number: int) -> None:
        try:
            await other.abort_upload(f"u{number}", "upload_aborted", NOW_MS)
            outcomes.append(("aborted", number))
        except NoSuchUpload:
            pass

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(complete(number))
            group.create_task(abort(number))
    assert sorted(number for _, number in outcomes) == list(range(10))
    usage = (await one.usage())[BACKEND]
    completed = sum(1 for what, _ in outcomes if what == "completed")
    assert (usage.objects, usage.orphan_bytes, usage.reserved_bytes) == (completed, (10 - completed) * 100, 0)


@pytest.mark.parametrize("landed", [True, False])
async def test_an_upload_to_which_a_part_is_sent_is_not_stale(ledger: Metadata, landed: bool) -> None:
    await ledger.create_upload(an_upload("u1", initiated_ms=NOW_MS - MINUTE_MS), None)
    await ledger.open_upload("u1", "theirs")
    intent = a_part_intent("p1", an_upload("u1"), 1)
    await ledger.reserve_part(intent, None)
    if landed:
        await ledger.commit_part(intent.write_id, a_part(1, modified_ms=NOW_MS))
    assert not await ledger.stale_uploads(NOW_MS, NOW_MS, 10)
    assert len(await ledger.stale_uploads(NOW_MS + 1, NOW_MS, 10)) == 1


async def test_stale_uploads_are_the_old_ones_nobody_is_completing(ledger: Metadata) -> None:
    await ledger.acquire_lease(f"instance/{OWNER}", OWNER, NOW_MS, MINUTE_MS)
    for number, age in enumerate([50, 40, 30, 20, 10]):
        await ledger.create_upload(an_upload(f"u{number}", f"k{number}", initiated_ms=NOW_MS - age), None)
        if number != 1:
            await ledger.open_upload(f"u{number}", "theirs")
    await ledger.begin_complete("u0", OWNER, NOW_MS, "etag-1")
    await ledger.begin_complete("u2", "dead", NOW_MS, "etag-1")

    stale = await ledger.stale_uploads(NOW_MS - 10, NOW_MS, 10)
    assert [upload.upload_id for upload in stale] == ["u1", "u2", "u3"]
    assert [upload.upload_id for upload in await ledger.stale_uploads(NOW_MS - 10, NOW_MS + MINUTE_MS, 2)] == ["u0", "u1"]
