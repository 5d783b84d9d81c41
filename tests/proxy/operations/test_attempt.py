"""Whatever ends an attempt early, a row mentions its bytes (I2) and no quota is exceeded (I3): also where its intent is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.stories import Stage, backend_config, open_stage

from s3o_proxy.domain.errors import BackendUnavailable, MetadataUnavailable, OutcomeUnknown, QuotaExceeded, WriteLost
from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.domain.model import Intent
from s3o_proxy.operations.move_object import move_copy
from s3o_proxy.s3.operation import CopyObject, CopySource, GetObject, PutObject

DATA = b"0123456789"


async def reap_and_clean(stage: Stage) -> None:
    """Our lease ends; another process takes us for dead, and its cleanup finds nothing yet."""
    stage.now_ms += LEASE_MS + 1
    assert (await stage.reap_intents().run_once()).done == 1
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
