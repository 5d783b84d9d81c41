"""A purge leaves nothing of a bucket, or nothing on a backend; what others hold stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.ledger import MINUTE_MS, an_intent, an_object
from tests.support.stories import Stage

from s3o_proxy.domain.errors import BackendUnavailable, NoBackendAccepts
from s3o_proxy.domain.operation import Operation, Wish
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS
from s3o_proxy.s3.operation import (
    CompleteMultipartUpload,
    CreateMultipartUpload,
    GetObject,
    PartWritten,
    PutObject,
    UploadCreated,
    UploadPart,
)
from s3o_proxy.workers import purge as purges
from s3o_proxy.workers.abort_stale_uploads import AbortStaleUploads
from s3o_proxy.workers.operate import RUNS
from s3o_proxy.workers.purge import Purge


async def purge(stage: Stage, *, backend: str = "", bucket: str = "") -> Operation:
    stage.drop_bucket(bucket)
    asked = await stage.desk.ask(Wish("Purge", "uid", "t", backend, bucket))
    assert RUNS["Purge"] is Purge
    await stage.operate()
    return await stage.desk.find(asked.operation_id)


async def fill(stage: Stage) -> None:
    for bucket in ("photos", "films"):
        for number in range(30):
            await stage.perform(PutObject(bucket, f"key-{number}"), b"data")
        created = await stage.perform(CreateMultipartUpload(bucket, "upload"))
        assert isinstance(created, UploadCreated)
        await stage.perform(UploadPart(bucket, "upload", created.upload.upload_id, 1), b"part")


async def test_a_bucket_is_emptied_with_its_uploads_and_the_others_are_not(stage: Stage) -> None:
    await fill(stage)
    done = await purge(stage, bucket="photos")
    assert (done.state, done.progress.objects_moved, done.progress.bytes_moved) == ("Succeeded", 30, 120)
    assert (done.progress.objects_remaining, done.progress.uploads_remaining) == (0, 0)
    assert done.plan is not None
    assert (done.plan.objects, done.plan.bytes) == (30, 120)
    assert {key.partition("/")[0] for key in stage.backends["first"].objects} == {"films"}
    assert [upload.key.partition("/")[0] for upload in stage.backends["first"].uploads.values()] == ["films"]
    assert await stage.read(GetObject("films", "key-3")) == b"data"
    await purge(stage, backend="first")


async def test_a_bucket_to_which_somebody_writes_is_waited_for(stage: Stage) -> None:
    stall = stage.backends["first"].stall("put")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "k"), b"data"))
    await stall.reached.wait()
    waiting = await purge(stage, bucket="photos")
    assert (waiting.state, waiting.reason) == ("Running", "WaitingForWrites")
    stall.release()
    await writing
    await stage.operate()
    assert (await stage.desk.find(waiting.operation_id)).state == "Succeeded"
    assert stage.backends["first"].objects == {}


async def test_a_bucket_that_is_served_is_not_emptied(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made anew while its purge went on: what is in it now, nobody asked to be deleted."""
    await fill(stage)
    monkeypatch.setattr(purges, "PAGE", 10)
    served = stage.config
    stage.drop_bucket("photos")
    asked = await stage.desk.ask(Wish("Purge", "uid", "t", bucket="photos"))
    delete = stage.metadata.delete_object

    async def comes_back(*given: Any) -> Any:
        stage.config = served.model_copy(update={"generation": stage.config.generation + 1})
        return await delete(*given)

    with monkeypatch.context() as patched:
        patched.setattr(stage.metadata, "delete_object", comes_back)
        await stage.operate()
    stalled = await stage.desk.find(asked.operation_id)
    assert (stalled.state, stalled.reason, stalled.progress.objects_remaining) == ("Stalled", "BucketServed", 20)
    await stage.perform(PutObject("photos", "key-0"), b"anew")
    await stage.operate()
    assert await stage.read(GetObject("photos", "key-0")) == b"anew"
    assert (await stage.metadata.bucket_remains("photos")).objects == 21
    stage.drop_bucket("photos")
    await stage.operate()
    assert (await stage.desk.find(asked.operation_id)).state == "Succeeded"


async def test_a_purge_that_was_interrupted_begins_again_and_finds_less(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(stage)
    monkeypatch.setattr(purges, "PAGE", 10)
    stage.drop_bucket("photos")
    asked = await stage.desk.ask(Wish("Purge", "uid", "t", bucket="photos"))
    record = stage.metadata.record_operation
    recorded: list[Operation] = []

    async def dies_at_the_third(operation: Operation) -> bool:
        recorded.append(operation)
        if len(recorded) == 3:
            raise asyncio.CancelledError
        return await record(operation)

    with monkeypatch.context() as patched:
        patched.setattr(stage.metadata, "record_operation", dies_at_the_third)
        with pytest.raises(asyncio.CancelledError):
            await Purge(stage.means, asked).run()
    assert (await stage.metadata.bucket_remains("photos")).objects == 10
    await stage.operate()
    done = await stage.desk.find(asked.operation_id)
    # What was deleted and not noted any more is not counted twice, nor at all.
    assert (done.state, done.progress.objects_moved, done.progress.objects_remaining) == ("Succeeded", 20, 0)


async def test_a_backend_is_emptied_and_takes_no_more(stage: Stage) -> None:
    await fill(stage)
    done = await purge(stage, backend="first")
    assert (done.state, done.progress.objects_moved, done.progress.cleanups_remaining) == ("Succeeded", 60, 0)
    assert (stage.backends["first"].objects, stage.backends["first"].uploads) == ({}, {})
    assert await stage.metadata.find_object("photos", "key-1") is None
    await stage.perform(PutObject("photos", "k"), b"data")
    assert len(stage.backends["second"].objects) == 1
    assert (await stage.desk.cancel(done.operation_id)).state == "Succeeded"
    await stage.configure(stage.config.backends[0])
    try:
        await stage.perform(PutObject("photos", "k"), b"data")
    except NoBackendAccepts:
        return
    raise AssertionError("a purged backend took a write")


async def test_an_object_with_a_copy_elsewhere_keeps_that(stage: Stage) -> None:
    for backend in ("first", "second"):
        intent = an_intent("w1", backend=backend, owner=stage.instance, size_bytes=4)
        await stage.metadata.reserve_write(intent, None)
        await stage.backends[backend].put(intent.storage_key, _pieces(), 4)
    await stage.metadata.commit_write(an_object("w1", size_bytes=4))
    assert (await purge(stage, backend="first")).state == "Succeeded"
    assert await stage.read(GetObject("photos", "cat.jpg")) == b"data"
    assert stage.backends["first"].objects == {}


async def _pieces() -> AsyncIterator[bytes]:
    yield b"data"


async def test_an_upload_that_is_just_being_created_leaves_nothing(stage: Stage) -> None:
    """It is not open yet when it is aborted: its cleanup waits until the backend has surely created it."""
    stall = stage.backends["first"].stall("create_multipart")
    creating = asyncio.create_task(stage.perform(CreateMultipartUpload("photos", "upload")))
    await stall.reached.wait()
    assert (await purge(stage, bucket="photos")).state == "Succeeded"
    stall.release()
    await asyncio.wait({creating})
    assert creating.exception() is not None
    await stage.settle()
    assert stage.backends["first"].uploads == {}


async def one_part(stage: Stage) -> tuple[CompleteMultipartUpload, bytes]:
    """An upload of one part, and how to complete it."""
    created = await stage.perform(CreateMultipartUpload("photos", "film"))
    assert isinstance(created, UploadCreated)
    part = await stage.perform(UploadPart("photos", "film", created.upload.upload_id, 1), b"data")
    assert isinstance(part, PartWritten)
    xml = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.etag}</ETag></Part></CompleteMultipartUpload>".encode()
    return CompleteMultipartUpload("photos", "film", created.upload.upload_id), xml


@pytest.mark.parametrize("by", ["purge", "stale"])
async def test_what_is_joined_long_after_its_complete_was_given_up_is_cleaned_up(stage: Stage, by: str) -> None:
    """The upload is ended meanwhile; the cleanup must not look before the backend is through."""
    complete, xml = await one_part(stage)
    first = stage.backends["first"]
    first.fail("complete_multipart", at="received")
    with pytest.raises(BackendUnavailable):
        await stage.perform(complete, xml)
    ((backend_upload_id, upload),) = first.uploads.items()
    if by == "purge":
        assert (await purge(stage, bucket="photos")).state == "Succeeded"
    else:
        stage.now_ms += 1
        await AbortStaleUploads(stage.means, lambda: 0).run_once()
    stage.now_ms += 10 * USUAL_REQUEST_TIMEOUT_MS
    assert (await stage.clean_up().run_once()).done == 0
    await first.complete_multipart(upload.key, backend_upload_id, [(1, upload.parts[1].etag)])
    assert await stage.audit() == []
    stage.now_ms += MINUTE_MS
    assert (await stage.clean_up().run_once()).done == 1
    assert first.objects == {}


async def test_an_upload_that_is_just_being_completed_is_purged_as_the_object_that_it_becomes(stage: Stage) -> None:
    complete, xml = await one_part(stage)
    joining = stage.backends["first"].stall("complete_multipart", at="received")
    completing = asyncio.create_task(stage.perform(complete, xml))
    await joining.reached.wait()
    waiting = await purge(stage, bucket="photos")
    assert (waiting.state, waiting.progress.uploads_remaining) == ("Running", 1)
    joining.release()
    await completing
    await stage.operate()
    assert (await stage.desk.find(waiting.operation_id)).state == "Succeeded"
    assert stage.backends["first"].objects == {}
