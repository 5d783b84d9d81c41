"""One copy moves: whatever goes wrong on either side, the object stays readable and every byte is mentioned."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.stories import COPY_SETTLES_MS, Stage

from s3o_proxy.backends.memory import MemoryBackend, Moment
from s3o_proxy.backends.port import Traits
from s3o_proxy.domain.errors import BackendRejected, BackendUnavailable, MetadataUnavailable, OutcomeUnknown
from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.domain.model import StoredObject
from s3o_proxy.domain.moving import MAX_SINGLE_PUT_BYTES, Moved
from s3o_proxy.domain.placement import Candidate
from s3o_proxy.operations.move_object import move_copy
from s3o_proxy.s3.operation import GetObject, PutObject

KEY, CONTENT = "a\x01 key ä", bytes(range(256)) * 1000
SECOND = Candidate("second", True, None, None)


async def stored(stage: Stage) -> StoredObject:
    await stage.perform(PutObject("photos", KEY), CONTENT)
    found = await stage.metadata.find_object("photos", KEY)
    assert found is not None
    return found


async def move(stage: Stage, found: StoredObject, *ranked: Candidate, **options: int) -> Moved:
    return await move_copy(stage.context(), found, found.copies[0], ranked or [SECOND], **options)


async def lies_on(stage: Stage) -> list[str]:
    found = await stage.metadata.find_object("photos", KEY)
    assert found is not None
    assert await stage.read(GetObject("photos", KEY)) == CONTENT
    return [copy.backend for copy in found.copies]


@pytest.mark.parametrize("etag_is_md5", [True, False])
async def test_bytes_and_description_arrive_under_a_name_of_their_own(stage: Stage, etag_is_md5: bool) -> None:
    stage.backends["second"].traits = Traits(etag_is_md5=etag_is_md5, verifies_content_md5=False)
    found = await stored(stage)
    (before,) = stage.backends["first"].objects.items()
    assert await move(stage, found) == Moved("moved", "second")
    assert await lies_on(stage) == ["second"]
    (after,) = stage.backends["second"].objects.items()
    assert after[0] != before[0]
    assert (after[1].content, after[1].metadata, after[1].content_type) == (CONTENT, before[1].metadata, before[1].content_type)


async def test_bytes_that_changed_where_they_lay_are_not_moved(stage: Stage) -> None:
    found = await stored(stage)
    stage.backends["first"].corrupt(found.copies[0].storage_key, 5)
    moved = await move(stage, found)
    assert (moved.outcome, "content hash" in moved.error) == ("corrupt", True)
    assert stage.backends["second"].objects == {}, "the last piece was never handed on"
    stage.backends["first"].corrupt(found.copies[0].storage_key, 5)


@pytest.mark.parametrize("max_put_bytes", [MAX_SINGLE_PUT_BYTES, 100_000])
async def test_bytes_that_are_shorter_where_they_lie_are_not_moved(stage: Stage, max_put_bytes: int) -> None:
    found = await stored(stage)
    there = stage.backends["first"].objects[found.copies[0].storage_key]
    there.content, whole = there.content[:5], there.content
    assert (await move(stage, found, max_put_bytes=max_put_bytes)).outcome == "corrupt"
    await stage.settle()
    assert (stage.backends["second"].objects, stage.backends["second"].uploads) == ({}, {})
    stage.backends["first"].fail("get", error=BackendUnavailable("first", "no connection"))
    assert (await move(stage, found, max_put_bytes=max_put_bytes)).outcome == "unreachable"
    there.content = whole


async def test_bytes_that_change_on_their_way_are_noticed(stage: Stage) -> None:
    found = await stored(stage)
    stage.backends["second"].damage_next_put()
    moved = await move(stage, found)
    assert (moved.outcome, "MD5" in moved.error) == ("failed", True)
    assert await lies_on(stage) == ["first"]
    await stage.clean_up().run_once()
    assert stage.backends["second"].objects == {}


async def test_an_object_too_large_for_one_put_moves_by_parts(stage: Stage) -> None:
    found = await stored(stage)
    assert await move(stage, found, max_put_bytes=100_000) == Moved("moved", "second")
    assert await lies_on(stage) == ["second"]
    assert [verb for verb, _ in stage.backends["second"].calls if verb == "upload_part"] == ["upload_part"]


@pytest.mark.parametrize("verb", ["create_multipart", "upload_part", "complete_multipart"])
@pytest.mark.parametrize("at", ["started", "done"])
async def test_parts_that_came_to_nothing_leave_nothing(stage: Stage, verb: str, at: str) -> None:
    found = await stored(stage)
    stage.backends["second"].fail(verb, at=at)  # type: ignore[arg-type]  # a Moment
    assert (await move(stage, found, max_put_bytes=100_000)).outcome == "unreachable"
    assert await lies_on(stage) == ["first"]
    await stage.settle()
    assert (stage.backends["second"].objects, stage.backends["second"].uploads) == ({}, {})


async def test_parts_that_do_not_make_the_object_are_never_joined(stage: Stage) -> None:
    found = await stored(stage)
    stage.backends["first"].corrupt(found.copies[0].storage_key, 5)
    assert (await move(stage, found, max_put_bytes=100_000)).outcome == "corrupt"
    await stage.settle()
    assert (stage.backends["second"].objects, stage.backends["second"].uploads) == ({}, {})
    stage.backends["first"].corrupt(found.copies[0].storage_key, 5)


async def test_a_process_that_dies_between_its_parts_leaves_nothing(stage: Stage) -> None:
    """Nobody remembers the upload's id: the reaped intent's cleanup finds it by the storage key."""
    found = await stored(stage)
    stall = stage.backends["second"].stall("upload_part")
    moving = asyncio.create_task(move(stage, found, max_put_bytes=100_000))
    await stall.reached.wait()
    stage.metadata.abandon_write, abandon = _dead, stage.metadata.abandon_write  # type: ignore[method-assign, assignment]  # dead men record nothing
    moving.cancel()
    await asyncio.wait({moving})
    stage.metadata.abandon_write = abandon  # type: ignore[method-assign]  # as it was
    stage.now_ms += LEASE_MS + 1
    cleanup = stage.clean_up(max_put_bytes=100_000)
    await stage.reap_intents().run_once()
    stage.now_ms += COPY_SETTLES_MS
    await cleanup.run_once()
    assert stage.backends["second"].uploads == {}


async def _dead(*_: object) -> None:
    return None


async def test_a_target_that_fails_is_not_the_last_one(stage: Stage) -> None:
    stage.backends["third"] = MemoryBackend("third")
    await stage.metadata.locate_backends({"third": "third"})
    found = await stored(stage)
    stage.backends["second"].fail("put", error=BackendRejected("second", 403, "AccessDenied", "no"))
    assert await move(stage, found, SECOND, Candidate("third", True, None, None)) == Moved("moved", "third")
    assert await lies_on(stage) == ["third"]


async def test_a_source_that_fails_is_not_asked_again_for_another_target(stage: Stage) -> None:
    found = await stored(stage)
    stage.backends["first"].fail("get", error=BackendUnavailable("first", "no connection"))
    moved = await move(stage, found, SECOND, Candidate("third", True, None, None))
    assert (moved.outcome, "no connection" in moved.error) == ("unreachable", True)


@pytest.mark.parametrize("shares_account", [False, True])
async def test_a_source_that_is_looked_for_in_another_bucket_is_not_called_gone(stage: Stage, shares_account: bool) -> None:
    """By a process that has not heard yet that its name was given that bucket, or was before."""
    found = await stored(stage)
    right, wrong = stage.backends["first"], MemoryBackend("first")
    wrong.bucket = "another"
    if shares_account:
        wrong.share_account(stage.backends["second"])
    stage.backends["first"] = wrong
    moved = await move(stage, found)
    there = "backend first: its bytes lie in the bucket first, this process looks in another"
    assert moved == Moved("unreachable", "second", there)
    stage.backends["first"] = right
    right.objects.pop(found.copies[0].storage_key)
    assert (await move(stage, found)).outcome == "gone"
    await stage.metadata.delete_object("photos", KEY, stage.now_ms)


async def test_within_one_account_the_provider_copies(stage: Stage) -> None:
    stage.backends["first"].share_account(stage.backends["second"])
    found = await stored(stage)
    (before,) = stage.backends["first"].objects.values()
    assert await move(stage, found) == Moved("moved", "second")
    assert [verb for verb, _ in stage.backends["second"].calls] == ["copy"]
    (after,) = stage.backends["second"].objects.values()
    assert (after.content, after.metadata) == (before.content, before.metadata)
    assert await lies_on(stage) == ["second"]


@pytest.mark.parametrize("at", ["started", "received", "done"])
async def test_where_it_does_not_the_bytes_stream_under_another_name(stage: Stage, at: Moment) -> None:
    stage.backends["first"].share_account(stage.backends["second"])
    found = await stored(stage)
    stage.backends["second"].fail("copy", at=at)
    assert await move(stage, found) == Moved("moved", "second")
    assert await lies_on(stage) == ["second"]
    names = [key for verb, key in stage.backends["second"].calls if verb in ("copy", "put")]
    assert len(set(names)) == 2
    await stage.settle()
    assert len(stage.backends["second"].objects) == 1


async def test_a_copy_that_is_none_is_noticed(stage: Stage) -> None:
    stage.backends["first"].share_account(stage.backends["second"])
    found = await stored(stage)
    stage.backends["first"].objects[found.copies[0].storage_key].etag = "of other bytes"
    assert await move(stage, found) == Moved("moved", "second")
    assert [verb for verb, _ in stage.backends["second"].calls if verb in ("copy", "put")] == ["copy", "put"]
    assert await lies_on(stage) == ["second"]


async def test_what_was_uploaded_by_parts_is_never_taken_for_proven(stage: Stage) -> None:
    stage.backends["first"].share_account(stage.backends["second"])
    found = replace(await stored(stage), etag="0123-2")
    assert await move(stage, found) == Moved("moved", "second")
    assert [verb for verb, _ in stage.backends["second"].calls] == ["put"]


async def test_no_room_is_an_outcome(stage: Stage) -> None:
    found = await stored(stage)
    assert (await move(stage, found, Candidate("second", True, 100, None))).outcome == "no_room"


async def test_an_unknown_commit_is_settled_by_the_reaper(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """I8: on the way to the database the connection breaks, before or after it took effect."""
    found = await stored(stage)
    commit = stage.metadata.commit_move

    async def breaks(*arguments: object) -> bool:
        await commit(*arguments)  # type: ignore[arg-type]  # those of commit_move
        raise OutcomeUnknown("connection lost")

    monkeypatch.setattr(stage.metadata, "commit_move", breaks)
    with pytest.raises(OutcomeUnknown):
        await move(stage, found)
    await stage.settle()
    assert await lies_on(stage) == ["second"]


async def test_a_database_that_is_away_is_raised_and_the_bytes_are_mentioned(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await stored(stage)

    async def away(*_: object) -> bool:
        raise MetadataUnavailable("no connection")

    monkeypatch.setattr(stage.metadata, "commit_move", away)
    with pytest.raises(MetadataUnavailable):
        await move(stage, found)
    assert await stage.audit() == []
    assert await lies_on(stage) == ["first"]
