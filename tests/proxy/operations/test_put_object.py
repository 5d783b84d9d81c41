"""PutObject: place → reserve → upload → commit, or abandon."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from tests.support.stories import PUT_SETTLES_MS, BytesBody, Stage, backend_config, content_md5, open_stage

from s3o_proxy.backends.memory import MemoryBackend, Stored
from s3o_proxy.backends.port import Traits
from s3o_proxy.domain.errors import (
    AllBackendsFailed,
    BackendUnavailable,
    BadDigest,
    BytesDiffer,
    IncompleteBody,
    NoCopyReadable,
    NoSuchBucket,
    ObjectTooLarge,
    OutcomeUnknown,
    PreconditionFailed,
    QuotaExceeded,
    WriteLost,
)
from s3o_proxy.domain.model import Conditions, Description, Intent
from s3o_proxy.domain.patience import SETTLE_MS
from s3o_proxy.metadata.port import Reserved
from s3o_proxy.s3.operation import AbortMultipartUpload, CreateMultipartUpload, GetObject, ObjectWritten, PutObject, UploadCreated

KEY = PutObject("photos", "a/b")
DATA = b"twelve bytes"


async def test_bytes_lie_under_a_key_of_their_own_and_read_back(stage: Stage) -> None:
    written = await stage.perform(KEY, DATA)
    assert isinstance(written, ObjectWritten)
    assert written.etag == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert list(stage.backends["first"].objects) == ["photos/a/b~WRITE00000001"]
    assert await stage.read(GetObject("photos", "a/b")) == DATA
    usage = await stage.used()
    assert (usage.used_bytes, usage.orphan_bytes, usage.reserved_bytes, usage.objects) == (12, 0, 0, 1)


async def test_what_the_client_said_of_it_is_kept(stage: Stage) -> None:
    description = Description({"content-type": "text/plain", "cache-control": "no-store"}, {"colour": "blue"})
    await stage.perform(PutObject("photos", "a/b", description), DATA)
    found = await stage.metadata.find_object("photos", "a/b")
    assert found is not None
    assert found.description == description
    assert found.digests.checksums == {"CRC64NVME": found.digests.content_hash}


async def test_an_empty_object_is_an_object(stage: Stage) -> None:
    await stage.perform(KEY, b"")
    assert await stage.read(GetObject("photos", "a/b")) == b""


async def test_an_overwrite_never_touches_the_old_bytes_until_they_are_displaced(stage: Stage) -> None:
    await stage.perform(KEY, DATA)
    stall = stage.backends["first"].stall("put")
    overwrite = asyncio.create_task(stage.perform(KEY, b"new"))
    await stall.reached.wait()
    assert await stage.read(GetObject("photos", "a/b")) == DATA
    stall.release()
    await overwrite
    assert await stage.read(GetObject("photos", "a/b")) == b"new"
    assert (await stage.used()).orphan_bytes == len(DATA)
    await stage.clean_up().run_once()
    assert list(stage.backends["first"].objects) == ["photos/a/b~WRITE00000002"]
    assert (await stage.used()).held_bytes == 3


async def test_a_backend_that_cannot_be_reached_is_passed_over(stage: Stage) -> None:
    stage.backends["first"].fail("put")
    await stage.perform(KEY, DATA)
    assert [len(backend.objects) for backend in stage.backends.values()] == [0, 1]


async def test_when_none_can_be_reached_each_reason_is_told(stage: Stage) -> None:
    stage.backends["first"].fail("put")
    stage.backends["second"].fail("put")
    with pytest.raises(AllBackendsFailed) as failure:
        await stage.perform(KEY, DATA)
    assert set(failure.value.reasons) == {"first", "second"}


async def test_bytes_once_spent_are_not_sent_elsewhere(stage: Stage) -> None:
    """We keep no copy of a body: only the client can send it again."""
    stage.backends["first"].fail("put", at="received")
    with pytest.raises(BackendUnavailable):
        await stage.perform(KEY, DATA)
    assert stage.backends["second"].calls == []


async def test_bytes_of_unknown_arrival_are_waited_for_before_they_are_deleted(stage: Stage) -> None:
    stage.backends["first"].fail("put", at="done")
    with pytest.raises(BackendUnavailable):
        await stage.perform(KEY, DATA)
    assert (await stage.clean_up().run_once()).done == 0
    assert (await stage.used()).orphan_bytes == len(DATA)
    stage.now_ms += SETTLE_MS
    assert (await stage.clean_up().run_once()).done == 1
    assert stage.backends["first"].objects == {}


async def test_a_body_that_breaks_its_promise_leaves_nothing(stage: Stage) -> None:
    with pytest.raises(IncompleteBody):
        await stage.perform(KEY, BytesBody(b"x" * 200_000, error=IncompleteBody(200_000, 131_072)))
    assert stage.backends["first"].objects == {}
    assert (await stage.clean_up().run_once()).done == 1, "due at once: a body that was not handed over whole is no object"


async def test_a_wrong_content_md5_found_by_the_backend_is_the_clients_fault(stage: Stage) -> None:
    with pytest.raises(BadDigest, match="Content-MD5"):
        await stage.perform(KEY, BytesBody(DATA, content_md5=content_md5(b"other")))
    assert stage.backends["first"].objects == {}


async def test_where_the_backends_etag_is_no_md5_ours_is(stage: Stage) -> None:
    stage.backends["first"] = MemoryBackend("first", Traits(etag_is_md5=False, verifies_content_md5=False))
    written = await stage.perform(KEY, DATA)
    assert isinstance(written, ObjectWritten)
    assert written.etag == hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
async def test_a_reload_during_the_upload_changes_nothing_of_the_etag(stage: Stage, before: bool, after: bool) -> None:
    """Bug: without an MD5 of ours, nor any more one of the backend's, the object was stored and acknowledged with the ETag ""."""
    first = stage.backends["first"]
    first.traits = Traits(etag_is_md5=before, verifies_content_md5=False)
    fault = first.stall("put", at="received", error=None)
    putting = asyncio.create_task(stage.perform(KEY, DATA))
    await fault.reached.wait()
    first.traits = Traits(etag_is_md5=after, verifies_content_md5=False)
    fault.release()
    written = await putting
    found = await stage.metadata.find_object("photos", "a/b")
    assert isinstance(written, ObjectWritten)
    assert found is not None
    assert written.etag == found.etag == hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("etag_is_md5", [True, False])
async def test_a_reload_during_the_reservation_leaves_content_md5_to_somebody(
    stage: Stage, etag_is_md5: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: it had been handed on to a backend that, once space was reserved, did not verify it any more."""
    reserve_write = stage.metadata.reserve_write

    async def reserve_and_reload(intent: Intent, quota_bytes: int | None, backend_bucket: str = "") -> Reserved:
        granted = await reserve_write(intent, quota_bytes, backend_bucket)
        stage.backends["first"].traits = Traits(etag_is_md5=etag_is_md5, verifies_content_md5=False)
        return granted

    monkeypatch.setattr(stage.metadata, "reserve_write", reserve_and_reload)
    with pytest.raises(BadDigest, match="Content-MD5"):
        await stage.perform(KEY, BytesBody(DATA, content_md5=content_md5(b"other")))
    assert stage.backends["first"].objects == {}


async def test_each_backend_is_asked_for_what_it_vouches_for_itself(stage: Stage) -> None:
    """Content-MD5 was handed on to one that failed; the next one does not verify it."""
    stage.backends["first"].fail("put")
    stage.backends["second"].traits = Traits(etag_is_md5=True, verifies_content_md5=False)
    with pytest.raises(BadDigest, match="Content-MD5"):
        await stage.perform(KEY, BytesBody(DATA, content_md5=content_md5(b"other")))
    assert stage.backends["second"].objects == {}


async def test_bytes_for_whose_md5_nobody_vouches_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.backends["first"].traits = Traits(etag_is_md5=False, verifies_content_md5=False)
    monkeypatch.setattr(BytesBody, "want_md5", lambda _: None)
    with pytest.raises(BytesDiffer, match="nobody computed"):
        await stage.perform(KEY, DATA)
    assert await stage.metadata.find_object("photos", "a/b") is None


async def test_bytes_that_changed_on_their_way_are_not_committed(stage: Stage) -> None:
    """The backend's MD5 is its word for what it stored; ours, where we have one, must agree."""
    stage.backends["first"] = MemoryBackend("first", Traits(etag_is_md5=True, verifies_content_md5=False))
    body = BytesBody(DATA, content_md5=content_md5(DATA))
    stage.backends["first"].damage_next_put()
    with pytest.raises(BackendUnavailable, match="stored bytes with MD5"):
        await stage.perform(KEY, body)
    assert await stage.metadata.find_object("photos", "a/b") is None


async def test_an_etag_that_should_be_an_md5_and_is_none_is_refused_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part it would be found out only at the Complete, which could never succeed."""
    monkeypatch.setattr(stage.backends["first"], "_verified", lambda content, _: Stored(content, "no-md5"))
    with pytest.raises(BytesDiffer, match="etagIsMD5"):
        await stage.perform(KEY, DATA)
    assert await stage.metadata.find_object("photos", "a/b") is None


async def test_a_condition_is_decided_in_the_commit_and_the_losers_bytes_go(stage: Stage) -> None:
    await stage.perform(KEY, DATA)
    with pytest.raises(PreconditionFailed):
        await stage.perform(PutObject("photos", "a/b", conditions=Conditions(if_none_match="*")), b"loser")
    assert await stage.read(GetObject("photos", "a/b")) == DATA
    assert (await stage.clean_up().run_once()).done == 1, "due at once: bytes whose arrival was confirmed are on no way any more"
    assert len(stage.backends["first"].objects) == 1


async def test_a_client_that_hangs_up_leaves_no_reservation(stage: Stage) -> None:
    stall = stage.backends["first"].stall("put")
    writing = asyncio.create_task(stage.perform(KEY, DATA))
    await stall.reached.wait()
    assert (await stage.used()).reserved_bytes == len(DATA)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert (await stage.used()).reserved_bytes == 0


async def test_an_unknown_commit_deletes_nothing_until_the_ledger_says_how_it_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """I8, both ways: here the commit did not happen."""

    async def unknown(*_: object) -> None:
        raise OutcomeUnknown("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "commit_write", unknown)
        with pytest.raises(OutcomeUnknown):
            await stage.perform(KEY, DATA)
    assert len(stage.backends["first"].objects) == 1
    assert (await stage.used()).reserved_bytes == len(DATA)
    await stage.reap_intents().run_once()
    await stage.clean_up().run_once()
    assert stage.backends["first"].objects == {}
    assert await stage.metadata.find_object("photos", "a/b") is None


async def test_an_unknown_commit_that_happened_keeps_its_bytes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = stage.metadata.commit_write

    async def answer_lost(*arguments: object) -> None:
        await commit(*arguments)  # type: ignore[arg-type]  # handed through
        raise OutcomeUnknown("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "commit_write", answer_lost)
        with pytest.raises(OutcomeUnknown):
            await stage.perform(KEY, DATA)
    await stage.settle()
    assert await stage.read(GetObject("photos", "a/b")) == DATA


async def test_a_process_that_stood_still_past_its_lease_commits_nothing_and_leaves_nothing(stage: Stage) -> None:
    """Its intent was reaped, and the cleanup done, before its last byte landed."""
    stall = stage.backends["first"].stall("put", at="received")
    writing = asyncio.create_task(stage.perform(KEY, DATA))
    await stall.reached.wait()
    stage.now_ms += 3_600_000
    assert (await stage.reap_intents().run_once()).done == 1
    stage.now_ms += PUT_SETTLES_MS
    assert (await stage.clean_up().run_once()).done == 1
    stall.release()
    with pytest.raises(WriteLost):
        await writing
    assert await stage.audit() == [], "a row mentions what landed"
    await stage.clean_up().run_once()
    assert stage.backends["first"].objects == {}
    assert await stage.metadata.find_object("photos", "a/b") is None


async def test_a_bucket_that_is_not_declared(stage: Stage) -> None:
    with pytest.raises(NoSuchBucket):
        await stage.perform(PutObject("other", "a"), DATA)


async def test_pack_fills_the_first_before_it_asks_the_second(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config("first", quotaBytes=25), backend_config("second", quotaBytes=25)])
    for number in range(4):
        await stage.perform(PutObject("photos", f"{number}"), DATA)
    assert [len(backend.objects) for backend in stage.backends.values()] == [2, 2]
    with pytest.raises(QuotaExceeded, match="needs 12 bytes; the roomiest backend has 1 left"):
        await stage.perform(PutObject("photos", "5"), DATA)
    with pytest.raises(ObjectTooLarge, match="26 bytes"):
        await stage.perform(PutObject("photos", "6"), b"x" * 26)
    assert await stage.audit() == []
    await stage.metadata.close()


async def test_spread_takes_turns(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config(name, quotaBytes=1000) for name in ("first", "second", "third")], strategy="Spread")
    for number in range(9):
        await stage.perform(PutObject("photos", f"{number}"), DATA)
    assert [len(backend.objects) for backend in stage.backends.values()] == [3, 3, 3]
    await stage.metadata.close()


async def test_of_many_at_once_one_keeps_its_bytes_wherever_the_others_lay(tmp_path: Path) -> None:
    """Reference bug 1: the bytes of the loser stayed, on another backend, and no row mentioned them."""
    stage = await open_stage(tmp_path, [backend_config(name, quotaBytes=90) for name in ("first", "second", "third")])
    contents = {number: bytes([number]) * (number + 1) for number in range(20)}
    async with asyncio.TaskGroup() as group:
        for content in contents.values():
            group.create_task(stage.perform(KEY, content))
    assert all(backend.objects for backend in stage.backends.values())
    assert await stage.audit() == []
    read = await stage.read(GetObject("photos", "a/b"))
    await stage.settle()
    assert read in contents.values()
    assert [stored.content for backend in stage.backends.values() for stored in backend.objects.values()] == [read]
    assert sum(usage.held_bytes for usage in (await stage.metadata.usage()).values()) == len(read)
    await stage.metadata.close()


async def test_however_often_a_backend_failed_the_next_request_asks_it(stage: Stage) -> None:
    """Reference bugs 24 to 28: circuit breakers that never closed again. There are none: each request finds out by itself."""
    for _ in range(50):
        for backend in stage.backends.values():
            backend.fail("put")
        with pytest.raises(AllBackendsFailed):
            await stage.perform(KEY, DATA)
    await stage.perform(KEY, DATA)
    assert len(stage.backends["first"].objects) == 1
    for _ in range(50):
        stage.backends["first"].fail("get")
        with pytest.raises(NoCopyReadable):
            await stage.read(GetObject("photos", "a/b"))
    assert await stage.read(GetObject("photos", "a/b")) == DATA


async def test_a_client_that_was_exchanged_during_the_reservation_gets_no_bytes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would go to a bucket that the ledger did not grant."""
    reserve_write = stage.metadata.reserve_write

    async def reserve_and_exchange(intent: Intent, quota_bytes: int | None, backend_bucket: str = "") -> Reserved:
        granted = await reserve_write(intent, quota_bytes, backend_bucket)
        stage.backends["first"].bucket = "another"
        return granted

    monkeypatch.setattr(stage.metadata, "reserve_write", reserve_and_exchange)
    await stage.perform(PutObject("photos", "k"), b"data")
    stage.backends["first"].bucket = "first"
    assert stage.backends["first"].objects == {}
    assert await stage.read(GetObject("photos", "k")) == b"data"


async def test_a_backend_that_left_the_configuration_since_it_was_ranked_is_not_asked_for_room(stage: Stage) -> None:
    """In which bucket its bytes would go nobody could say, and a reservation without one would be granted wherever it lies."""
    first = stage.backends.pop("first")
    await stage.perform(PutObject("photos", "k"), b"data")
    created = await stage.perform(CreateMultipartUpload("photos", "u"))
    assert isinstance(created, UploadCreated)
    assert created.upload.backend == "second"
    assert (await stage.metadata.remains("first")).nothing
    await stage.perform(AbortMultipartUpload("photos", "u", created.upload.upload_id))
    stage.backends["first"] = first
