"""Whatever ends an attempt early, a row mentions its bytes (I2) and no quota is exceeded (I3): also where its intent is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.ledger import MINUTE_MS
from tests.support.stories import COPY_SETTLES_MS, PUT_SETTLES_MS, BytesBody, Stage, backend_config, open_stage

from s3o_proxy.backends.memory import Fault
from s3o_proxy.domain.errors import BackendUnavailable, MetadataUnavailable, OutcomeUnknown, QuotaExceeded, WriteLost
from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.domain.model import Intent
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS
from s3o_proxy.domain.placement import MIN_PART_BYTES
from s3o_proxy.metadata.port import Reserved
from s3o_proxy.operations.move_object import move_copy
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    CopyObject,
    CopySource,
    CreateMultipartUpload,
    GetObject,
    Operation,
    PutObject,
    UploadCreated,
    UploadPart,
)

DATA = b"0123456789"


async def reap_and_clean(stage: Stage) -> None:
    """Our lease ends; another process takes us for dead, and its cleanup finds nothing yet."""
    stage.now_ms += LEASE_MS + 1
    assert (await stage.reap_intents().run_once()).done == 1
    stage.now_ms += COPY_SETTLES_MS
    assert (await stage.clean_up().run_once()).done == 1
    await stage.hold_lease()


async def test_bytes_that_land_after_their_cleanup_and_say_nothing_are_mentioned_again(tmp_path: Path) -> None:
    """Their answer is lost: from the client's view the write failed, and nothing would ever look for them."""
    stage = await open_stage(tmp_path, [backend_config("first", quotaBytes=10)])
    stalled = stage.backends["first"].stall("put", at="received")
    stage.backends["first"].fail("put", at="done")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
    await stalled.reached.wait()
    await reap_and_clean(stage)
    stalled.release()
    with pytest.raises(BackendUnavailable):
        await writing
    assert await stage.audit() == []
    with pytest.raises(QuotaExceeded):
        await stage.perform(PutObject("photos", "b"), DATA)
    await stage.settle()
    await stage.perform(PutObject("photos", "b"), DATA)
    assert await stage.audit() == []
    await stage.metadata.close()


async def test_bytes_that_landed_late_while_the_database_was_away_are_mentioned_when_it_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
    await stalled.reached.wait()
    await reap_and_clean(stage)

    async def away(*_: object) -> None:
        raise MetadataUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "commit_write", away)
        patch.setattr(stage.metadata, "abandon_write", away)
        stalled.release()
        with pytest.raises(MetadataUnavailable):
            await writing
    await stage.reap_intents().run_once()
    assert await stage.audit() == []


async def test_a_client_that_hangs_up_while_the_database_is_away_leaves_no_reservation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is cancelled never hears that the ledger could not be told; the reaper must."""
    stage.backends["first"].fail("put")
    asked, answer = asyncio.Event(), asyncio.Event()

    async def away(*_: object) -> None:
        asked.set()
        await answer.wait()
        raise MetadataUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "abandon_write", away)
        writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
        await asked.wait()
        writing.cancel()
        await asyncio.sleep(0)
        answer.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert (await stage.used()).reserved_bytes == len(DATA)
    await stage.reap_intents().run_once()
    assert (await stage.used()).reserved_bytes == 0


async def test_bytes_that_landed_late_wait_for_a_backend_that_cannot_delete(stage: Stage) -> None:
    stalled = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
    await stalled.reached.wait()
    await reap_and_clean(stage)
    stage.backends["first"].fail("delete_many")
    stalled.release()
    with pytest.raises(WriteLost):
        await writing
    assert (await stage.clean_up().run_once()).failed == 1
    assert await stage.audit() == []


async def test_a_cleanup_that_is_at_work_does_not_take_the_row_of_bytes_that_land_behind_it(stage: Stage) -> None:
    """It has claimed the row and sent the deletion; the bytes arrive; then it finishes."""
    stalled = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
    await stalled.reached.wait()
    stage.now_ms += LEASE_MS + 1
    await stage.reap_intents().run_once()
    stage.now_ms += PUT_SETTLES_MS
    deleting = stage.backends["first"].stall("delete_many", at="done")
    cleaning = asyncio.create_task(stage.clean_up().run_once())
    await deleting.reached.wait()
    stalled.release()
    with pytest.raises(WriteLost):
        await writing
    deleting.release()
    await cleaning
    assert len(stage.backends["first"].objects) == 1
    assert await stage.audit() == []
    assert (await stage.used()).orphan_bytes == len(DATA), "counted once"


async def test_a_move_whose_bytes_land_after_their_cleanup_leaves_none(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "a"), DATA)
    found = await stage.metadata.find_object("photos", "a")
    assert found is not None
    stalled = stage.backends["second"].stall("put", at="received")
    stage.backends["second"].fail("put", at="done")
    second = [each for each in stage.context().candidates() if each.name == "second"]
    moving = asyncio.create_task(move_copy(stage.context(), found, found.copies[0], second))
    await stalled.reached.wait()
    await reap_and_clean(stage)
    stalled.release()
    assert (await moving).outcome == "unreachable"
    assert await stage.audit() == []
    assert await stage.read(GetObject("photos", "a")) == DATA


async def test_a_copy_on_the_backend_that_lands_after_its_cleanup_leaves_none(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "a"), DATA)
    stalled = stage.backends["first"].stall("copy", at="received")
    copying = asyncio.create_task(stage.perform(CopyObject("photos", "b", CopySource("photos", "a"))))
    await stalled.reached.wait()
    await reap_and_clean(stage)
    stalled.release()
    with pytest.raises(WriteLost):
        await copying
    assert await stage.audit() == []


async def ended_by_the_provider(stage: Stage, writing: asyncio.Task[object], stalled: Fault, after_ms: int) -> None:
    """The client hangs up; cleanups look then, and a moment before the provider, so long after, makes what it was asked for."""
    await stalled.reached.wait()
    writing.cancel()
    await asyncio.wait({writing})
    _, key = next(call for call in reversed(stage.backends["first"].calls) if call[0] == stalled.verb)
    assert (await stage.clean_up().run_once()).done == 0
    stage.now_ms += after_ms - 1
    assert (await stage.clean_up().run_once()).done == 0
    await stage.backends["first"].put(key, BytesBody(DATA), len(DATA))
    assert await stage.audit() == []
    assert (await stage.used()).orphan_bytes == len(DATA)


@pytest.mark.parametrize("request_ms", [30_000, 90_000])
async def test_a_copy_that_the_provider_ends_as_late_as_it_may_is_found(stage: Stage, request_ms: int) -> None:
    """Bug class: its cleanup looked a minute after its client had hung up, when a copy may take ten times the request time-out."""
    await stage.configure(backend_config("first", requestTimeoutMs=request_ms))
    await stage.perform(PutObject("photos", "a"), DATA)
    stalled = stage.backends["first"].stall("copy", at="received")
    copying = asyncio.create_task(stage.perform(CopyObject("photos", "b", CopySource("photos", "a"))))
    await ended_by_the_provider(stage, copying, stalled, 10 * request_ms)
    stage.now_ms += MINUTE_MS
    assert (await stage.clean_up().run_once()).done == 1
    assert len(stage.backends["first"].objects) == 1


@pytest.mark.parametrize("verb", ["copy", "complete_multipart"])
async def test_a_move_that_the_provider_ends_as_late_as_it_may_is_found(stage: Stage, verb: str) -> None:
    stage.backends["first"].share_account(stage.backends["second"])
    content = bytes(6 * 1024**2)
    await stage.perform(PutObject("photos", "a"), content)
    found = await stage.metadata.find_object("photos", "a")
    assert found is not None
    most = len(content) if verb == "copy" else MIN_PART_BYTES
    stalled = stage.backends["second"].stall(verb, at="received")
    second = [each for each in stage.context().candidates() if each.name == "second"]
    moving = asyncio.create_task(move_copy(stage.context(), found, found.copies[0], second, most))
    await stalled.reached.wait()
    moving.cancel()
    await asyncio.wait({moving})
    stage.now_ms += 10 * USUAL_REQUEST_TIMEOUT_MS
    assert (await stage.clean_up().run_once()).done == 0, "the provider may only now make it"
    stage.now_ms += MINUTE_MS
    assert (await stage.clean_up().run_once()).done == 1
    assert stage.backends["second"].uploads == {}


async def test_a_put_is_waited_for_as_long_as_its_backend_may_take(stage: Stage) -> None:
    """Where the configuration grants more than a minute."""
    await stage.configure(backend_config("first", requestTimeoutMs=2 * MINUTE_MS))
    stalled = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
    await ended_by_the_provider(stage, writing, stalled, 2 * MINUTE_MS)


@pytest.mark.parametrize("data", [b"", DATA], ids=["empty", "not empty"])
@pytest.mark.parametrize("operation", [PutObject("photos", "b"), CopyObject("photos", "b", CopySource("photos", "a"))])
async def test_nothing_is_asked_of_a_backend_once_our_lease_has_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: Operation, data: bytes
) -> None:
    """Others may have reaped the intent by then, and nothing would mention what comes to be."""
    await stage.perform(PutObject("photos", "a"), data)
    reserve = stage.metadata.reserve_write

    async def reserve_long(intent: Intent, quota_bytes: int | None, backend_bucket: str) -> Reserved:
        stage.ticks_ms += LEASE_MS  # The process stands still meanwhile.
        return await reserve(intent, quota_bytes, backend_bucket)

    monkeypatch.setattr(stage.metadata, "reserve_write", reserve_long)
    with pytest.raises(MetadataUnavailable, match="lease"):
        await stage.perform(operation, data)
    assert len(stage.backends["first"].objects) == 1
    assert (await stage.clean_up().run_once()).done == 1, "due at once: nothing can come to be"


async def test_a_move_asks_for_no_copy_once_our_lease_has_ended(stage: Stage) -> None:
    stage.backends["first"].share_account(stage.backends["second"])
    await stage.perform(PutObject("photos", "a"), DATA)
    found = await stage.metadata.find_object("photos", "a")
    assert found is not None
    stage.ticks_ms += LEASE_MS
    second = [each for each in stage.context().candidates() if each.name == "second"]
    with pytest.raises(MetadataUnavailable, match="lease"):
        await move_copy(stage.context(), found, found.copies[0], second)
    assert stage.backends["second"].calls == []


async def test_an_empty_part_is_held_back_once_our_lease_has_ended(stage: Stage) -> None:
    """And leaves no intent, since it certainly did not arrive."""
    created = await stage.perform(CreateMultipartUpload("photos", "k"))
    assert isinstance(created, UploadCreated)
    upload_id = created.upload.upload_id
    stage.ticks_ms += LEASE_MS
    with pytest.raises(MetadataUnavailable, match="lease"):
        await stage.perform(UploadPart("photos", "k", upload_id, 1), b"")
    assert (await stage.metadata.queue_depths())["intents"] == 0
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))


async def test_the_last_piece_is_held_back_once_our_lease_has_ended(stage: Stage) -> None:
    """Without it no object forms on the backend, however long we stood still."""
    stalled = stage.backends["first"].stall("put")
    writing = asyncio.create_task(stage.perform(PutObject("photos", "a"), DATA))
    await stalled.reached.wait()
    stage.ticks_ms += LEASE_MS
    stalled.release()
    with pytest.raises(MetadataUnavailable, match="lease"):
        await writing
    assert stage.backends["first"].objects == {}
    await stage.hold_lease()
    await stage.perform(PutObject("photos", "a"), DATA)


async def test_a_reservation_of_unknown_outcome_is_taken_back_without_a_cleanup(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent for it. When the ledger cannot be asked either, it is asked again later."""
    reserve, cancel, asked = stage.metadata.reserve_write, stage.metadata.cancel_reservation, list[str]()

    async def answer_lost(*arguments: object) -> None:
        await reserve(*arguments)  # type: ignore[arg-type]  # handed through
        raise OutcomeUnknown("the connection broke")

    async def away_once(intent: Intent) -> None:
        asked.append(intent.write_id)
        if len(asked) == 1:
            raise MetadataUnavailable("away")
        await cancel(intent)

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "reserve_write", answer_lost)
        patch.setattr(stage.metadata, "cancel_reservation", away_once)
        with pytest.raises(OutcomeUnknown):
            await stage.perform(PutObject("photos", "a"), DATA)
        assert (await stage.used()).reserved_bytes == len(DATA)
        await stage.reap_intents().run_once()
    assert (await stage.used()).held_bytes == 0
    assert len(asked) == 2
