"""Multipart uploads on the backend's own: parts pass through, Complete moves no bytes, and no crash in between loses or leaks any."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.stories import BytesBody, Stage, backend_config, open_stage

from s3o_proxy.backends.port import Traits
from s3o_proxy.config.snapshot import take_snapshot
from s3o_proxy.domain.errors import (
    BackendUnavailable,
    IncompleteBody,
    InvalidPart,
    NoSuchUpload,
    PartTooSmall,
    PayloadHashMismatch,
    QuotaExceeded,
    TooManyUploads,
)
from s3o_proxy.domain.model import Upload
from s3o_proxy.domain.patience import SETTLE_MS
from s3o_proxy.domain.placement import MIN_PART_BYTES
from s3o_proxy.operations.multipart import upload_part
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CreateMultipartUpload,
    GetObject,
    ListParts,
    PartsListed,
    PartWritten,
    UploadCompleted,
    UploadCreated,
    UploadPart,
)

BIG = b"b" * MIN_PART_BYTES
SMALL = b"the last part"


async def create(stage: Stage, key: str = "k", algorithm: str = "") -> str:
    answer = await stage.perform(CreateMultipartUpload("photos", key, checksum_algorithm=algorithm))
    assert isinstance(answer, UploadCreated)
    return answer.upload.upload_id


async def send(stage: Stage, upload_id: str, number: int, data: bytes | BytesBody, key: str = "k") -> str:
    answer = await stage.perform(UploadPart("photos", key, upload_id, number), data)
    assert isinstance(answer, PartWritten)
    return answer.etag


def listing(*parts: tuple[int, str]) -> bytes:
    members = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{members}</CompleteMultipartUpload>".encode()


async def complete(stage: Stage, upload_id: str, *parts: tuple[int, str], **fields: object) -> UploadCompleted:
    answer = await stage.perform(CompleteMultipartUpload("photos", "k", upload_id, **fields), listing(*parts))  # type: ignore[arg-type]  # fields of the operation
    assert isinstance(answer, UploadCompleted)
    return answer


async def two_parts(stage: Stage) -> tuple[str, list[tuple[int, str]]]:
    upload_id = await create(stage)
    return upload_id, [(1, await send(stage, upload_id, 1, BIG)), (2, await send(stage, upload_id, 2, SMALL))]


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


async def test_a_part_for_a_backend_that_its_request_does_not_know_yet_is_refused(stage: Stage) -> None:
    """It came with a new configuration while the request was under way: the client is there, its quota is not known (I3)."""
    upload_id = await create(stage)
    before = replace(stage.context(BytesBody(SMALL)), snapshot=take_snapshot(stage.config.model_copy(update={"backends": ()}), {}))
    with pytest.raises(BackendUnavailable, match="not configured"):
        await upload_part(before, UploadPart("photos", "k", upload_id, 1))
    assert (await stage.metadata.queue_depths())["intents"] == 0
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))


async def test_parts_become_one_object_without_moving_a_byte(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    usage = await stage.used()
    assert (usage.used_bytes, usage.reserved_bytes) == (0, len(BIG) + len(SMALL))
    completed = await complete(stage, upload_id, *parts)
    assert completed.etag == hashlib.md5(md5(BIG) + md5(SMALL), usedforsecurity=False).hexdigest() + "-2"
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL
    usage = await stage.used()
    assert (usage.used_bytes, usage.reserved_bytes, usage.objects) == (len(BIG) + len(SMALL), 0, 1)
    assert [verb for verb, _ in stage.backends["first"].calls if verb in ("get", "put")] == ["get"]


async def test_a_part_of_it_can_be_asked_for(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    await complete(stage, upload_id, *parts)
    assert await stage.read(GetObject("photos", "k", part_number=2)) == SMALL


async def test_an_empty_part_is_read_as_empty_and_not_as_the_whole_object(stage: Stage) -> None:
    upload_id = await create(stage)
    await complete(stage, upload_id, (1, await send(stage, upload_id, 1, BIG)), (2, await send(stage, upload_id, 2, b"")))
    assert await stage.read(GetObject("photos", "k", part_number=2)) == b""


async def test_parts_that_are_not_listed_are_left_out(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    await complete(stage, upload_id, parts[1])
    assert await stage.read(GetObject("photos", "k")) == SMALL
    assert (await stage.used()).held_bytes == len(SMALL)


async def test_a_part_sent_again_replaces_the_first_and_its_space(stage: Stage) -> None:
    upload_id = await create(stage)
    await send(stage, upload_id, 1, b"first try")
    etag = await send(stage, upload_id, 1, b"second")
    assert (await stage.used()).reserved_bytes == len(b"second")
    await complete(stage, upload_id, (1, etag))
    assert await stage.read(GetObject("photos", "k")) == b"second"


async def test_what_the_list_must_be(stage: Stage) -> None:
    upload_id = await create(stage)
    small, big = await send(stage, upload_id, 1, SMALL), await send(stage, upload_id, 2, BIG)
    with pytest.raises(PartTooSmall):
        await complete(stage, upload_id, (1, small), (2, big))
    with pytest.raises(InvalidPart):
        await complete(stage, upload_id, (2, small))
    with pytest.raises(InvalidPart):
        await complete(stage, upload_id, (3, small))
    await complete(stage, upload_id, (2, big))


async def test_an_abort_gives_the_space_back(stage: Stage) -> None:
    upload_id, _ = await two_parts(stage)
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))
    with pytest.raises(NoSuchUpload):
        await stage.perform(AbortMultipartUpload("photos", "k", upload_id))
    await stage.clean_up().run_once()
    assert stage.backends["first"].uploads == {}
    assert (await stage.used()).held_bytes == 0


async def test_an_upload_belongs_to_its_key_alone(stage: Stage) -> None:
    """Reference bug 12: an upload id of one bucket let one inject parts into, or abort, another's."""
    upload_id = await create(stage)
    with pytest.raises(NoSuchUpload):
        await send(stage, upload_id, 1, SMALL, key="other")
    with pytest.raises(NoSuchUpload):
        await stage.perform(UploadPart("films", "k", upload_id, 1), SMALL)
    with pytest.raises(NoSuchUpload):
        await stage.perform(AbortMultipartUpload("films", "k", upload_id))
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))


async def test_a_part_that_finds_no_room_says_what_is_left(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config("first", quotaBytes=20)])
    upload_id = await create(stage)
    await send(stage, upload_id, 1, SMALL)
    with pytest.raises(QuotaExceeded, match="needs 13 bytes; the roomiest backend has 7 left"):
        await send(stage, upload_id, 2, SMALL)
    assert await stage.audit() == []
    await stage.metadata.close()


async def test_the_parts_together_obey_the_limits_of_one_object(tmp_path: Path) -> None:
    """Reference bug 40: the maximum was enforced part by part only."""
    stage = await open_stage(tmp_path, [backend_config("first", maxObjectSizeBytes=len(BIG) + len(SMALL) - 1)])
    upload_id, parts = await two_parts(stage)
    with pytest.raises(S3Error) as refusal:
        await complete(stage, upload_id, *parts)
    assert refusal.value.code == "EntityTooLarge"
    await complete(stage, upload_id, parts[0])
    assert await stage.audit() == []
    await stage.metadata.close()


async def test_a_bucket_bounds_its_uploads(stage: Stage) -> None:
    uploads = [await create(stage, f"k{number}") for number in range(3)]
    with pytest.raises(TooManyUploads, match="3 multipart uploads"):
        await create(stage, "k3")
    for number, upload_id in enumerate(uploads):
        await stage.perform(AbortMultipartUpload("photos", f"k{number}", upload_id))


async def test_a_client_that_hangs_up_while_its_upload_is_created_leaves_none(stage: Stage) -> None:
    stall = stage.backends["first"].stall("create_multipart", at="done")
    creating = asyncio.create_task(create(stage))
    await stall.reached.wait()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    await stage.clean_up().run_once()
    assert stage.backends["first"].uploads, "looked for at once, one that the backend is just creating would not be found"
    stage.now_ms += SETTLE_MS
    await stage.clean_up().run_once()
    assert stage.backends["first"].uploads == {}
    assert (await stage.metadata.queue_depths())["uploads"] == 0


async def test_a_part_that_broke_off_releases_its_space(stage: Stage) -> None:
    upload_id = await create(stage)
    with pytest.raises(IncompleteBody):
        await send(stage, upload_id, 1, BytesBody(b"x" * 200_000, error=IncompleteBody(200_000, 131_072)))
    assert (await stage.used()).reserved_bytes == 0
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))


async def test_an_empty_part_that_breaks_its_promise_leaves_no_intent(stage: Stage) -> None:
    """Bug class: all of nothing had been handed over, so it counted as perhaps arrived until the upload ended."""
    upload_id = await create(stage)
    with pytest.raises(PayloadHashMismatch):
        await send(stage, upload_id, 1, BytesBody(b"", error=PayloadHashMismatch()))
    assert (await stage.metadata.queue_depths())["intents"] == 0
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))


async def test_a_part_of_unknown_arrival_stays_counted_until_it_is_replaced(stage: Stage) -> None:
    upload_id = await create(stage)
    stage.backends["first"].fail("upload_part", at="done")
    with pytest.raises(BackendUnavailable):
        await send(stage, upload_id, 1, SMALL)
    assert (await stage.used()).reserved_bytes == len(SMALL)
    etag = await send(stage, upload_id, 1, SMALL)
    assert (await stage.used()).reserved_bytes == len(SMALL)
    await complete(stage, upload_id, (1, etag))


async def test_a_reload_during_the_upload_of_a_part_changes_nothing_of_its_etag(stage: Stage) -> None:
    """Bug: the part was acknowledged with the ETag "", and its upload could never be completed."""
    upload_id = await create(stage)
    first = stage.backends["first"]
    fault = first.stall("upload_part", at="received")
    sending = asyncio.create_task(send(stage, upload_id, 1, SMALL))
    await fault.reached.wait()
    first.traits = Traits(etag_is_md5=False, verifies_content_md5=False)
    fault.release()
    etag = await sending
    assert etag == md5(SMALL).hex()
    await complete(stage, upload_id, (1, etag))


async def test_a_process_that_died_while_it_created_an_upload_leaves_none(stage: Stage) -> None:
    """The backend knows an upload whose id nobody recorded: the storage key names it."""
    stage.backends["first"].fail("create_multipart", at="done")
    stage.backends["second"].fail("create_multipart")
    with pytest.raises(Exception, match="no backend took the write"):
        await create(stage)
    assert len(stage.backends["first"].uploads) == 1
    stage.now_ms += SETTLE_MS
    await stage.clean_up().run_once()
    assert stage.backends["first"].uploads == {}


async def test_parts_are_listed_as_they_are(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    answer = await stage.perform(ListParts("photos", "k", upload_id, max_parts=1))
    assert isinstance(answer, PartsListed)
    assert ([(part.part_number, part.etag) for part in answer.parts], answer.truncated) == (parts[:1], True)
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))


async def test_a_client_that_was_exchanged_during_the_creation_is_not_asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    create_upload = stage.metadata.create_upload

    async def create_and_exchange(upload: Upload, max_uploads: int | None, backend_bucket: str = "") -> None:
        await create_upload(upload, max_uploads, backend_bucket)
        stage.backends["first"].bucket = "another"

    monkeypatch.setattr(stage.metadata, "create_upload", create_and_exchange)
    await stage.perform(CreateMultipartUpload("photos", "k"))
    assert (stage.backends["first"].uploads, len(stage.backends["second"].uploads)) == ({}, 1)
    stage.backends["first"].bucket = "first"
    for upload in await stage.metadata.uploads_to_end("second", "", 10):
        await stage.metadata.abort_upload(upload.upload_id, "upload_aborted", stage.now_ms)
