"""CompleteMultipartUpload: claim, check, join, commit; whoever dies, hangs up, aborts or overtakes in between."""

from __future__ import annotations

import asyncio

import pytest
from tests.proxy.operations.test_multipart import BIG, SMALL, complete, create, send, two_parts
from tests.support.stories import BytesBody, Stage

from s3o_proxy.domain.errors import (
    BackendTimeout,
    BackendUnavailable,
    CompletedOtherwise,
    InvalidPart,
    MetadataUnavailable,
    NoSuchUpload,
    OutcomeUnknown,
    PreconditionFailed,
    UploadBusy,
)
from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.domain.model import Conditions
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS, settle_ms
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import (
    AbortMultipartUpload,
    GetObject,
    PutObject,
)

JOIN_SETTLES_MS = settle_ms("CompleteMultipartUpload", USUAL_REQUEST_TIMEOUT_MS)


async def test_a_complete_that_is_asked_again_after_its_answer_was_lost_says_the_same(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    first = await complete(stage, upload_id, *parts)
    assert await complete(stage, upload_id, *parts) == first


async def test_a_complete_that_died_between_join_and_commit_is_finished_by_the_next(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id, parts = await two_parts(stage)

    async def away(*_: object) -> None:
        raise OutcomeUnknown("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "commit_complete", away)
        with pytest.raises(OutcomeUnknown):
            await complete(stage, upload_id, *parts)
    assert await stage.audit() == []
    await complete(stage, upload_id, *parts)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_a_join_whose_answer_is_lost_is_found_by_the_next_complete(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    stage.backends["first"].fail("complete_multipart", at="done")
    with pytest.raises(BackendUnavailable):
        await complete(stage, upload_id, *parts)
    assert await stage.audit() == []
    await complete(stage, upload_id, *parts)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_what_was_joined_of_other_parts_is_not_taken_for_what_is_asked_for(stage: Stage) -> None:
    """Of the same length, so that the object's size does not tell."""
    upload_id, (big, small) = await two_parts(stage)
    other = (3, await send(stage, upload_id, 3, SMALL[::-1]))
    stage.backends["first"].fail("complete_multipart", at="done")
    with pytest.raises(BackendUnavailable):
        await complete(stage, upload_id, big, small)
    with pytest.raises(CompletedOtherwise, match="abort the upload"):
        await complete(stage, upload_id, big, other)
    await complete(stage, upload_id, big, small)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_other_parts_may_be_named_where_the_first_were_certainly_not_joined(stage: Stage) -> None:
    upload_id, (big, small) = await two_parts(stage)
    other = (3, await send(stage, upload_id, 3, SMALL[::-1]))
    stage.backends["first"].fail("complete_multipart")
    with pytest.raises(BackendUnavailable):
        await complete(stage, upload_id, big, small)
    await complete(stage, upload_id, big, other)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL[::-1]


async def test_a_complete_of_other_parts_after_the_upload_is_an_object_finds_no_upload(stage: Stage) -> None:
    upload_id, (big, small) = await two_parts(stage)
    await complete(stage, upload_id, big, small)
    with pytest.raises(NoSuchUpload):
        await complete(stage, upload_id, big)


async def test_an_etag_that_no_part_can_have_is_refused_before_the_upload_is_claimed(stage: Stage) -> None:
    upload_id, (big, small) = await two_parts(stage)
    with pytest.raises(InvalidPart):
        await complete(stage, upload_id, big, (2, "no-md5"))
    await complete(stage, upload_id, big, small)


async def test_an_upload_that_was_joined_and_never_committed_is_cleaned_up_whole(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    stage.backends["first"].fail("complete_multipart", at="done")
    with pytest.raises(BackendUnavailable):
        await complete(stage, upload_id, *parts)
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))
    stage.now_ms += JOIN_SETTLES_MS
    await stage.clean_up().run_once()
    assert stage.backends["first"].objects == {}
    assert (await stage.used()).held_bytes == 0


async def test_an_object_that_is_joined_after_its_complete_timed_out_and_was_aborted_is_cleaned_up(stage: Stage) -> None:
    """SDKs abort what they could not complete. The backend is still joining, so the cleanup must not have looked by then."""
    upload_id, parts = await two_parts(stage)
    first = stage.backends["first"]
    first.fail("complete_multipart", at="received", error=BackendTimeout("first", "no answer", ambiguous=True))
    with pytest.raises(BackendTimeout):
        await complete(stage, upload_id, *parts)
    upload = await stage.metadata.find_upload("photos", "k", upload_id)
    sent, _ = await stage.metadata.list_parts(upload_id, 0, 10)
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))
    stage.now_ms += JOIN_SETTLES_MS - 1
    await stage.clean_up().run_once()
    await first.complete_multipart(upload.storage_key, upload.backend_upload_id, [(part.part_number, part.backend_etag) for part in sent])
    assert await stage.audit() == []
    stage.now_ms += 1
    await stage.clean_up().run_once()
    assert first.objects == {}
    assert (await stage.used()).held_bytes == 0


async def test_two_completes_at_once_are_one(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    stall = stage.backends["first"].stall("complete_multipart")
    first = asyncio.create_task(complete(stage, upload_id, *parts))
    await stall.reached.wait()
    with pytest.raises(UploadBusy):
        await complete(stage, upload_id, *parts)
    stall.release()
    await first
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_a_client_that_hangs_up_during_complete_may_come_back(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    stall = stage.backends["first"].stall("complete_multipart")
    first = asyncio.create_task(complete(stage, upload_id, *parts))
    await stall.reached.wait()
    first.cancel()
    stall.release()
    with pytest.raises(asyncio.CancelledError):
        await first
    await complete(stage, upload_id, *parts)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


@pytest.mark.parametrize("method", ["begin_complete", "commit_complete"])
async def test_a_client_that_hangs_up_while_the_ledger_works_leaves_no_claim(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    upload_id, parts = await two_parts(stage)
    reached, go_on, real = asyncio.Event(), asyncio.Event(), getattr(stage.metadata, method)

    async def slow(*arguments: object) -> object:
        reached.set()
        await go_on.wait()
        return await real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, method, slow)
        first = asyncio.create_task(complete(stage, upload_id, *parts))
        await reached.wait()
        first.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
    await complete(stage, upload_id, *parts)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_a_claim_of_unknown_outcome_is_given_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id, parts = await two_parts(stage)
    begin = stage.metadata.begin_complete

    async def answer_lost(*arguments: object) -> None:
        await begin(*arguments)  # type: ignore[arg-type]  # handed through
        raise OutcomeUnknown("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "begin_complete", answer_lost)
        with pytest.raises(OutcomeUnknown):
            await complete(stage, upload_id, *parts)
    with pytest.raises(UploadBusy):
        await complete(stage, upload_id, *parts)
    await stage.reap_intents().run_once()
    await complete(stage, upload_id, *parts)


async def test_an_upload_that_the_backend_is_joining_cannot_be_aborted(stage: Stage) -> None:
    """A client whose Complete timed out aborts. The object would appear after the cleanup had looked for it, and be nobody's."""
    upload_id, parts = await two_parts(stage)
    joining = stage.backends["first"].stall("complete_multipart", at="received")
    completing = asyncio.create_task(complete(stage, upload_id, *parts))
    await joining.reached.wait()
    with pytest.raises(UploadBusy):
        await stage.perform(AbortMultipartUpload("photos", "k", upload_id))
    joining.release()
    await completing
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_an_object_that_is_joined_after_its_upload_was_aborted_is_cleaned_up(stage: Stage) -> None:
    """Its owner stood still for longer than his lease, so the Abort could not know that he lives."""
    upload_id, parts = await two_parts(stage)
    joining = stage.backends["first"].stall("complete_multipart", at="received")
    completing = asyncio.create_task(complete(stage, upload_id, *parts))
    await joining.reached.wait()
    stage.now_ms += LEASE_MS + 1
    await stage.perform(AbortMultipartUpload("photos", "k", upload_id))
    await stage.clean_up().run_once()
    joining.release()
    with pytest.raises(NoSuchUpload):
        await completing
    assert await stage.audit() == []


async def test_a_complete_that_was_overtaken_leaves_the_others_object_alone(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    late = stage.backends["first"].stall("complete_multipart", at="done")
    first = asyncio.create_task(complete(stage, upload_id, *parts))
    await late.reached.wait()
    stage.now_ms += LEASE_MS + 1
    stage.instance = "instance-2"
    await stage.hold_lease()
    await complete(stage, upload_id, *parts)
    late.release()
    with pytest.raises(NoSuchUpload):
        await first
    await stage.settle()
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_a_complete_that_lost_its_claim_does_not_open_the_upload_of_another(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other has joined it: as an open one, every Complete would be told that there is no such upload, from then on."""
    upload_id, parts = await two_parts(stage)
    stalled = stage.backends["first"].stall("complete_multipart")
    first = asyncio.create_task(complete(stage, upload_id, *parts))
    await stalled.reached.wait()
    stage.now_ms += LEASE_MS + 1
    stage.instance = "instance-2"
    await stage.hold_lease()

    async def away(*_: object) -> None:
        raise MetadataUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "commit_complete", away)
        with pytest.raises(MetadataUnavailable):
            await complete(stage, upload_id, *parts)
    stalled.release()
    with pytest.raises(NoSuchUpload):
        await first
    await complete(stage, upload_id, *parts)
    assert await stage.read(GetObject("photos", "k")) == BIG + SMALL


async def test_a_complete_does_not_join_once_its_lease_has_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id, parts = await two_parts(stage)
    listed = stage.metadata.list_parts

    async def slow(*arguments: object) -> object:
        stage.ticks_ms += LEASE_MS
        return await listed(*arguments)  # type: ignore[arg-type]  # handed through

    with monkeypatch.context() as patch:
        patch.setattr(stage.metadata, "list_parts", slow)
        with pytest.raises(MetadataUnavailable, match="lease"):
            await complete(stage, upload_id, *parts)
    assert stage.backends["first"].objects == {}
    await stage.hold_lease()
    await complete(stage, upload_id, *parts)


async def test_a_condition_that_fails_early_leaves_the_upload(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"older")
    upload_id, parts = await two_parts(stage)
    with pytest.raises(PreconditionFailed):
        await complete(stage, upload_id, *parts, conditions=Conditions(if_none_match="*"))
    await complete(stage, upload_id, *parts)


async def test_a_condition_that_fails_in_the_commit_leaves_nothing(stage: Stage) -> None:
    upload_id, parts = await two_parts(stage)
    stall = stage.backends["first"].stall("complete_multipart")
    completing = asyncio.create_task(complete(stage, upload_id, *parts, conditions=Conditions(if_none_match="*")))
    await stall.reached.wait()
    await stage.perform(PutObject("photos", "k"), b"faster")
    stall.release()
    with pytest.raises(PreconditionFailed):
        await completing
    assert await stage.read(GetObject("photos", "k")) == b"faster"
    await stage.settle()
    assert len(stage.backends["first"].objects) == 1


async def test_what_a_condition_leaves_is_ended_later_where_the_database_is_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else could: it is claimed by us, and we live."""
    upload_id, parts = await two_parts(stage)
    stall = stage.backends["first"].stall("complete_multipart")
    completing = asyncio.create_task(complete(stage, upload_id, *parts, conditions=Conditions(if_none_match="*")))
    await stall.reached.wait()
    await stage.perform(PutObject("photos", "k"), b"faster")
    with monkeypatch.context() as away:

        async def no_database(*_: object, **__: object) -> None:
            raise MetadataUnavailable("away")

        away.setattr(stage.metadata, "abort_upload", no_database)
        stall.release()
        with pytest.raises(PreconditionFailed):
            await completing
    assert (await stage.metadata.queue_depths())["uploads"] == 1
    await stage.reap_intents().run_once()
    assert (await stage.metadata.queue_depths())["uploads"] == 0
    await stage.settle()
    assert len(stage.backends["first"].objects) == 1
    assert await stage.read(GetObject("photos", "k")) == b"faster"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
async def test_checksums_of_parts_make_the_objects(stage: Stage, algorithm: str) -> None:
    upload_id = await create(stage, algorithm=algorithm)
    parts = [(1, await send(stage, upload_id, 1, BIG)), (2, await send(stage, upload_id, 2, SMALL))]
    completed = await complete(stage, upload_id, *parts)
    assert completed.digests.checksum_type == "COMPOSITE"
    assert completed.digests.checksums[algorithm].endswith("-2")
    assert completed.digests.content_hash == BytesBody(BIG + SMALL).content_hash


@pytest.mark.parametrize(
    ("algorithm", "promises"),
    [
        ("", {"checksums": {"CRC32": "AAAAAA=="}}),
        ("", {"checksum_type": "COMPOSITE"}),
        ("SHA256", {"checksums": {"CRC32": "AAAAAA=="}}),
        ("CRC32", {"checksum_type": "FULL_OBJECT"}),
    ],
)
async def test_a_promise_that_cannot_be_held_against_the_bytes_is_refused(
    stage: Stage, algorithm: str, promises: dict[str, object]
) -> None:
    upload_id = await create(stage, algorithm=algorithm)
    part = (1, await send(stage, upload_id, 1, SMALL))
    with pytest.raises(S3Error) as refusal:
        await complete(stage, upload_id, part, **promises)
    assert refusal.value.code == "InvalidRequest"
    await complete(stage, upload_id, part)
