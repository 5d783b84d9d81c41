"""A drain empties a backend: nothing is lost, no read fails, no redundancy falls, and one that cannot go on says why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest
from tests.support.ledger import an_intent, an_object, an_upload
from tests.support.stories import BytesBody, Stage, backend_config, open_stage

from s3o_proxy.backends.memory import Stored
from s3o_proxy.domain.errors import BackendUnavailable, MetadataUnavailable, NoBackendAccepts
from s3o_proxy.domain.operation import Operation, Wish
from s3o_proxy.domain.patience import SETTLE_MS
from s3o_proxy.s3.operation import (
    CompleteMultipartUpload,
    CopyObject,
    CopySource,
    CreateMultipartUpload,
    DeleteObject,
    GetObject,
    PartWritten,
    PutObject,
    UploadCreated,
    UploadPart,
)
from s3o_proxy.workers.emptying import CREATED_BY_THEN_MS, LONGEST_PAUSE_MS
from s3o_proxy.workers.operate import LOOK_AGAIN_MS, Operate


async def drain(stage: Stage, backend: str = "first", token: str = "t1") -> Operation:
    return await stage.desk.ask(Wish("Drain", "uid", token, backend))


async def now(stage: Stage, operation: Operation) -> Operation:
    return await stage.desk.find(operation.operation_id)


async def put(stage: Stage, count: int, size: int = 10) -> dict[str, bytes]:
    contents = {f"key-{number}": bytes([number % 256]) * (size + number) for number in range(count)}
    for key, content in contents.items():
        await stage.perform(PutObject("photos", key), content)
    return contents


async def check(stage: Stage, contents: dict[str, bytes]) -> None:
    for key, content in contents.items():
        assert await stage.read(GetObject("photos", key)) == content, key


async def test_a_drained_backend_is_empty_and_every_object_is_elsewhere(stage: Stage) -> None:
    contents = await put(stage, 30)
    operation = await drain(stage)
    await stage.operate()
    done = await now(stage, operation)
    assert (done.state, done.reason) == ("Succeeded", "")
    assert stage.backends["first"].objects == {}
    assert len(stage.backends["second"].objects) == 30
    size = sum(map(len, contents.values()))
    assert (done.progress.objects_moved, done.progress.objects_remaining) == (30, 0)
    assert (done.progress.bytes_moved, done.progress.bytes_total, done.progress.bytes_remaining) == (size, size, 0)
    assert done.plan is not None
    assert (done.plan.objects, done.plan.bytes, done.plan.fits, done.plan.required_bytes) == (30, size, True, size)
    assert done.plan.backends["second"].bytes_in == done.plan.backends["first"].bytes_out == size
    assert sum(size for _, _, size in stage.moves) == size
    await check(stage, contents)


async def upload(stage: Stage, key: str, content: bytes) -> None:
    created = await stage.perform(CreateMultipartUpload("photos", key))
    assert isinstance(created, UploadCreated)
    await complete(stage, key, created.upload.upload_id, content)


async def complete(stage: Stage, key: str, upload_id: str, content: bytes) -> None:
    part = await stage.perform(UploadPart("photos", key, upload_id, 1), content)
    assert isinstance(part, PartWritten)
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.etag}</ETag></Part>"
    body = BytesBody(f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    await stage.perform(CompleteMultipartUpload("photos", key, upload_id), body)


async def test_an_empty_backend_is_drained_at_once(stage: Stage) -> None:
    operation = await drain(stage)
    await stage.operate(rounds=1)
    assert (await now(stage, operation)).state == "Succeeded"


async def test_writes_go_elsewhere_and_when_all_are_fenced_the_client_is_told(stage: Stage) -> None:
    await drain(stage)
    await stage.perform(PutObject("photos", "k"), b"data")
    assert (len(stage.backends["first"].objects), len(stage.backends["second"].objects)) == (0, 1)
    assert isinstance(await stage.perform(CreateMultipartUpload("photos", "u")), UploadCreated)
    assert len(stage.backends["second"].uploads) == 1
    await drain(stage, "second", "t2")
    with pytest.raises(NoBackendAccepts):
        await stage.perform(PutObject("photos", "k"), b"data")
    with pytest.raises(NoBackendAccepts):
        await stage.perform(CreateMultipartUpload("photos", "u"))


async def test_a_fence_that_is_known_is_not_run_against(stage: Stage) -> None:
    await drain(stage)
    stage.usage.refresh({}, await stage.metadata.fences())
    await stage.perform(PutObject("photos", "k"), b"data")
    assert [verb for verb, _ in stage.backends["second"].calls] == ["put"]


async def test_a_fence_that_fell_a_moment_ago_refuses_nobody(stage: Stage) -> None:
    stage.usage.refresh({}, frozenset(("first", "second")))
    await stage.perform(PutObject("photos", "k"), b"data")
    assert [verb for verb, _ in stage.backends["first"].calls] == ["put"]


async def test_a_cancelled_drain_stops_and_opens_the_backend(stage: Stage) -> None:
    contents = await put(stage, 40)
    operation = await drain(stage)
    stall = stage.backends["second"].stall("put", nth=20)
    working = asyncio.create_task(Operate(stage.means).run_once())
    await stall.reached.wait()
    await stage.desk.cancel(operation.operation_id)
    stage.now_ms += 2_000
    stall.release()
    await working
    left = len(await stage.metadata.copies_on("first", "", 100))
    assert 0 < left < 40
    assert (await now(stage, operation)).state == "Cancelled"
    await stage.operate()
    assert len(await stage.metadata.copies_on("first", "", 100)) == left
    await stage.perform(PutObject("photos", "new"), b"data")
    assert any(key.startswith("photos/new") for key in stage.backends["first"].objects)
    await check(stage, contents)


async def test_without_room_it_says_so_with_both_figures_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config("first"), backend_config("second", quotaBytes=100)])
    contents = await put(stage, 10, 20)
    operation = await drain(stage)
    worker = Operate(stage.means)
    await stage.operate(worker)
    stalled = await now(stage, operation)
    assert (stalled.state, stalled.reason) == ("Stalled", "InsufficientCapacity")
    assert stalled.plan is not None
    used = await stage.used("first")
    assert (stalled.plan.fits, stalled.plan.required_bytes) == (False, used.used_bytes)
    assert stalled.plan.available_bytes == 100 - (await stage.used("second")).held_bytes < 20 + 10
    assert str(used.used_bytes) in stalled.message
    assert 0 < stalled.progress.objects_moved < 10
    assert await stage.audit() == []
    # Nothing changed: it is not tried again all the time.
    calls = len(stage.backends["second"].calls)
    await stage.operate(worker)
    assert len(stage.backends["second"].calls) == calls
    await stage.configure(backend_config("first"), backend_config("second", quotaBytes=100), backend_config("third"))
    await stage.operate(worker)
    assert (await now(stage, operation)).state == "Succeeded"
    assert (await stage.used("second")).held_bytes <= 100
    await check(stage, contents)
    assert await stage.audit() == []
    await stage.metadata.close()


async def test_a_backend_that_is_away_stalls_it_and_it_goes_on_when_that_is_back(stage: Stage) -> None:
    contents = await put(stage, 3)
    operation = await drain(stage)
    for nth in (1, 2, 3):
        stage.backends["first"].fail("get", nth=nth, error=BackendUnavailable("first", "no connection"))
    worker = Operate(stage.means)
    await worker.run_once()
    stalled = await now(stage, operation)
    assert (stalled.state, stalled.reason) == ("Stalled", "BackendUnreachable")
    assert "no connection" in stalled.progress.last_error
    assert stalled.progress.objects_failed == 3
    stage.now_ms += LOOK_AGAIN_MS
    await stage.operate(worker)
    done = await now(stage, operation)
    assert (done.state, done.progress.objects_failed, done.progress.last_error) == ("Succeeded", 0, "")
    await check(stage, contents)


async def test_an_object_that_nobody_may_take_is_named(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config("first"), backend_config("second", maxObjectSizeBytes=50)])
    await put(stage, 2)
    await stage.perform(PutObject("photos", "large"), bytes(51))
    operation = await drain(stage)
    await stage.operate()
    stalled = await now(stage, operation)
    assert (stalled.state, stalled.reason) == ("Stalled", "ObjectTooLarge")
    assert "photos/large" in stalled.message
    assert (stalled.progress.objects_moved, stalled.progress.objects_remaining) == (2, 1)
    assert stalled.plan is not None
    assert not stalled.plan.fits
    await stage.metadata.close()


async def test_a_backend_too_large_to_be_weighed_is_planned_by_its_counters(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(stage, 4)

    async def too_slow(_: str) -> Never:
        raise MetadataUnavailable("database: canceling statement due to statement timeout")

    monkeypatch.setattr(stage.metadata, "weigh_backend", too_slow)
    operation = await drain(stage)
    await stage.operate()
    done = await now(stage, operation)
    assert done.plan is not None
    assert (done.state, done.plan.objects, done.plan.bytes) == ("Succeeded", 4, 46)


# --- races --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival", ["overwrite", "delete", "copy onto it", "complete an upload of it"])
async def test_who_changes_an_object_while_it_moves_wins(stage: Stage, rival: str) -> None:
    await stage.perform(PutObject("photos", "k"), b"old")
    await stage.perform(PutObject("photos", "other"), b"other")
    operation = await drain(stage)
    stall = stage.backends["second"].stall("put", at="done")
    working = asyncio.create_task(Operate(stage.means).run_once())
    await stall.reached.wait()
    match rival:
        case "overwrite":
            await stage.perform(PutObject("photos", "k"), b"new")
        case "delete":
            await stage.perform(DeleteObject("photos", "k"))
        case "copy onto it":
            await stage.perform(CopyObject("photos", "k", CopySource("photos", "other")))
        case _:
            await upload(stage, "k", b"parts")
    stall.release()
    await working
    await stage.operate()
    assert (await now(stage, operation)).state == "Succeeded"
    if rival == "delete":
        assert await stage.metadata.find_object("photos", "k") is None
    else:
        expected = {"overwrite": b"new", "copy onto it": b"other", "complete an upload of it": b"parts"}
        assert await stage.read(GetObject("photos", "k")) == expected[rival]


async def test_a_reader_that_looked_before_the_move_reads_on_behind_it(stage: Stage) -> None:
    """The old bytes are gone by the time it opens them, or breaks off in the middle of them: it follows the object."""
    content = bytes(range(256)) * 4096
    await stage.perform(PutObject("photos", "k"), content)
    late = stage.backends["first"].stall("get")
    reading = asyncio.create_task(stage.read(GetObject("photos", "k")))
    await late.reached.wait()
    await drain(stage)
    await stage.operate()
    assert stage.backends["first"].objects == {}
    late.release()
    assert await reading == content


# --- what is not a copy yet ---------------------------------------------------------------------------------------------------------


async def test_writes_that_began_before_are_waited_for_and_moved(stage: Stage) -> None:
    stall = stage.backends["first"].stall("put")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    operation = await drain(stage)
    await stage.operate()
    waiting = await now(stage, operation)
    assert (waiting.state, waiting.reason, waiting.progress.intents_remaining) == ("Running", "WaitingForWrites", 1)
    stall.release()
    await writing
    await stage.operate()
    assert (await now(stage, operation)).state == "Succeeded"
    assert await stage.read(GetObject("photos", "k")) == b"data"


async def test_uploads_there_may_be_completed_and_their_objects_are_moved(stage: Stage) -> None:
    created = await stage.perform(CreateMultipartUpload("photos", "film"))
    assert isinstance(created, UploadCreated)
    upload_id = created.upload.upload_id
    operation = await drain(stage)
    await stage.operate()
    waiting = await now(stage, operation)
    assert (waiting.state, waiting.reason, waiting.progress.uploads_remaining) == ("Running", "WaitingForUploads", 1)
    await complete(stage, "film", upload_id, b"reel")
    await stage.operate()
    assert (await now(stage, operation)).state == "Succeeded"
    assert await stage.read(GetObject("photos", "film")) == b"reel"
    assert stage.backends["first"].objects == {}


async def test_an_upload_whose_creator_died_is_ended(stage: Stage) -> None:
    """Its row stands, perhaps the backend has it, and no client was ever told of it."""
    await stage.metadata.create_upload(an_upload("u1", backend="first", initiated_ms=stage.now_ms), None)
    await stage.backends["first"].create_multipart("photos/film.mkv~write-of-u1")
    operation = await drain(stage)
    await stage.operate()
    assert (await now(stage, operation)).reason == "WaitingForUploads"
    stage.now_ms += CREATED_BY_THEN_MS + 1
    await stage.operate()
    assert (await now(stage, operation)).reason == "WaitingForDeletions"
    stage.now_ms += SETTLE_MS
    await stage.operate()
    assert (await now(stage, operation)).state == "Succeeded"
    assert stage.backends["first"].uploads == {}


async def test_deletions_that_fail_are_told_and_tried_again_within_half_an_hour(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    operation = await drain(stage)
    worker = Operate(stage.means)
    await worker.run_once()
    # Three failures by now would pause it for four minutes, five more for two hours.
    for _ in range(8):
        stage.backends["first"].fail("delete_many")
        await stage.clean_up().run_once()
        await worker.run_once()
        waiting = await now(stage, operation)
        assert (waiting.state, waiting.reason, waiting.progress.cleanups_remaining) == ("Running", "WaitingForDeletions", 1)
        assert "injected" in waiting.progress.last_error
        stage.now_ms += LONGEST_PAUSE_MS
    await stage.clean_up().run_once()
    await worker.run_once()
    assert (await now(stage, operation)).state == "Succeeded"


async def test_deletions_that_were_given_up_are_reported(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    await stage.perform(DeleteObject("photos", "k"))
    (item,) = await stage.metadata.claim_cleanup("worker", stage.now_ms, 1, 10)
    await stage.metadata.bury_cleanup(item.item_id, "AccessDenied", stage.now_ms)
    operation = await drain(stage)
    await stage.operate()
    stalled = await now(stage, operation)
    assert (stalled.state, stalled.reason, stalled.progress.last_error) == ("Stalled", "DeletionsFailed", "AccessDenied")


@pytest.mark.parametrize("loss", ["gone", "changed", "short"])
async def test_bytes_that_are_lost_keep_no_other_object_from_moving(stage: Stage, loss: str) -> None:
    """Reference bugs 9 and 29: the first page cannot be done; and an object whose bytes nobody finds is not forgotten."""
    contents = await put(stage, 40)
    first = stage.backends["first"]
    lost = {key: first.objects.pop(key) for key in sorted(first.objects)[:30]}
    if loss != "gone":
        rest = {key: b"?" * len(stored.content) if loss == "changed" else b"?" for key, stored in lost.items()}
        first.objects |= {key: replace(stored, content=rest[key]) for key, stored in lost.items()}
    operation = await drain(stage)
    await stage.operate()
    stalled = await now(stage, operation)
    assert (stalled.state, stalled.reason) == ("Stalled", "MovesFailed")
    assert (stalled.progress.objects_moved, stalled.progress.objects_remaining, stalled.progress.objects_failed) == (10, 30, 30)
    assert stalled.message == f"30 objects could not be moved, one of them {stalled.progress.last_error}"
    assert len([line for line in await stage.audit() if line.what == "missing"]) == (30 if loss == "gone" else 0)
    first.objects.update(lost)
    stage.now_ms += LOOK_AGAIN_MS
    await stage.operate()
    assert (await now(stage, operation)).state == "Succeeded"
    await check(stage, contents)


async def test_what_is_under_way_on_other_backends_is_left_alone(stage: Stage) -> None:
    """Reference bug 11: a drain aborted uploads of every backend, and its end dropped deletions that were queued."""
    await stage.metadata.create_upload(an_upload("u1", backend="second", initiated_ms=stage.now_ms), None)
    created = await stage.perform(CreateMultipartUpload("photos", "film"))
    assert isinstance(created, UploadCreated)
    stage.backends["first"].fail("put")
    await stage.perform(PutObject("photos", "k"), b"data")
    await stage.perform(DeleteObject("photos", "k"))
    stage.now_ms += CREATED_BY_THEN_MS + 1
    await drain(stage, "first")
    await Operate(stage.means).run_once()
    assert (await stage.metadata.remains("second")).uploads == 1
    assert (await stage.metadata.remains("second")).cleanups == 1
    assert (await stage.metadata.remains("first")).uploads == 1, "it is open: its client may yet complete it"
    await stage.metadata.abort_upload("u1", "upload_aborted", stage.now_ms)
    await complete(stage, "film", created.upload.upload_id, b"reel")


async def test_a_copy_is_not_dropped_because_there_are_others(stage: Stage) -> None:
    """A lesson of the reference: its drain deleted a copy when there was a row of another one, whose bytes might be gone."""
    for backend in ("first", "second"):
        intent = an_intent("w1", backend=backend, owner=stage.instance, size_bytes=4)
        await stage.metadata.reserve_write(intent, None)
        stage.backends[backend].objects[intent.storage_key] = Stored(b"data", "etag")
    await stage.metadata.commit_write(an_object("w1", size_bytes=4))
    operation = await drain(stage)
    await stage.operate()
    stalled = await now(stage, operation)
    assert (stalled.state, stalled.reason) == ("Stalled", "NoBackendWithoutCopy")
    del stage.backends["second"].objects["photos/cat.jpg~w1"]
    assert await stage.read(GetObject("photos", "cat.jpg")) == b"data"
    stage.backends["second"].objects["photos/cat.jpg~w1"] = Stored(b"data", "etag")
