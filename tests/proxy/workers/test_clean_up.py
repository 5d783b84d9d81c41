"""The cleanup queue: bytes nobody reads go, once, and failures are tried again until a person has to look."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.cleanup import MAX_ATTEMPTS
from s3o_proxy.domain.errors import AllBackendsFailed, BackendTimeout, BackendUnavailable
from s3o_proxy.domain.patience import SETTLE_MS
from s3o_proxy.s3.operation import AbortMultipartUpload, CreateMultipartUpload, DeleteObject, PutObject, UploadCreated
from s3o_proxy.workers import clean_up
from s3o_proxy.workers.report import Report


async def orphan(stage: Stage, *keys: str) -> None:
    for key in keys:
        await stage.perform(PutObject("photos", key), b"data")
        await stage.perform(DeleteObject("photos", key))


async def test_one_call_deletes_many(stage: Stage) -> None:
    await orphan(stage, "a", "b", "c")
    assert (await stage.clean_up().run_once()).done == 3
    assert [verb for verb, _ in stage.backends["first"].calls].count("delete_many") == 1
    assert (await stage.clean_up().run_once()).done == 0


async def test_bytes_that_are_gone_already_are_a_success(stage: Stage) -> None:
    """Reference bug 7: a 404 made phantom rows in the dead-letter queue."""
    await orphan(stage, "a")
    stage.backends["first"].objects.clear()
    assert (await stage.clean_up().run_once()).done == 1
    assert (await stage.used()).orphan_bytes == 0


async def test_a_backend_that_is_away_is_tried_again_later(stage: Stage) -> None:
    await orphan(stage, "a")
    stage.backends["first"].fail("delete_many")
    assert (await stage.clean_up().run_once()).failed == 1
    assert (await stage.used()).orphan_bytes == 4, "the bytes are still there, and still count"
    assert (await stage.clean_up().run_once()).done == 0, "not before its time"
    stage.now_ms += 60_000
    assert (await stage.clean_up().run_once()).done == 1


async def test_out_of_attempts_the_bytes_still_count_and_a_person_decides(stage: Stage) -> None:
    await orphan(stage, "a")
    for _ in range(MAX_ATTEMPTS):
        stage.backends["first"].fail("delete_many")
        assert (await stage.clean_up().run_once()).failed == 1
        stage.now_ms += 25 * 3_600_000
        await stage.hold_lease()
    depths = await stage.metadata.queue_depths()
    assert (depths["cleanup_queue"], depths["cleanup_dlq"]) == (0, 1)
    assert (await stage.used()).orphan_bytes == 4
    assert (await stage.clean_up().run_once()).done == 0


async def test_two_workers_never_count_a_deletion_twice(stage: Stage) -> None:
    """Reference bug 6: both decremented the orphan bytes."""
    await orphan(stage, *(f"{number}" for number in range(20)))
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(stage.clean_up().run_once()) for _ in range(4)]
    assert sum(run.result().done for run in runs) == 20
    assert (await stage.used()).orphan_bytes == 0


async def test_a_worker_that_died_with_its_claim_is_followed_by_another(stage: Stage) -> None:
    await orphan(stage, "a")
    assert len(await stage.metadata.claim_cleanup("dead", stage.now_ms, 300_000, 10)) == 1
    assert (await stage.clean_up().run_once()).done == 0
    stage.now_ms += 300_001
    assert (await stage.clean_up().run_once()).done == 1


@pytest.mark.parametrize("moment", ["started", "received", "done"])
async def test_a_crash_at_any_moment_of_the_deletion_is_repaired_by_the_next_run(stage: Stage, moment: str) -> None:
    await orphan(stage, "a")
    stage.backends["first"].fail("delete_many", at=moment, error=BackendUnavailable("first", "crash"))  # type: ignore[arg-type]  # a Moment
    await stage.clean_up().run_once()
    stage.now_ms += 60_000
    assert (await stage.clean_up().run_once()).done == 1
    assert stage.backends["first"].objects == {}


async def test_each_backend_fails_alone(stage: Stage) -> None:
    stage.backends["first"].fail("put")
    await orphan(stage, "a", "b")
    stage.backends["first"].fail("delete_many")
    report = await stage.clean_up().run_once()
    assert (report.done, report.failed) == (1, 2), "b, and the put of a that failed there first"
    assert next(itertools.chain(stage.backends["second"].objects), None) is None


async def test_what_is_queued_for_a_backend_that_is_away_holds_up_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference bug 28: of a long queue each batch waits for a time-out, and what is due later on other backends waited for all of them."""
    monkeypatch.setattr(clean_up, "BATCH", 5)
    await orphan(stage, *(f"a{number}" for number in range(12)))
    stage.now_ms += 1
    stage.backends["first"].fail("put")
    await orphan(stage, "b")
    stage.now_ms += SETTLE_MS
    worker = stage.clean_up()
    stage.backends["first"].fail("delete_many", error=BackendUnavailable("first", "no connection"))
    assert (await worker.run_once()).failed == 5
    assert (await worker.run_once()).done == 1
    assert stage.backends["second"].objects == {}
    calls = [verb for verb, _ in stage.backends["first"].calls].count("delete_many")
    assert (await worker.run_once()).done == 0
    assert [verb for verb, _ in stage.backends["first"].calls].count("delete_many") == calls == 1
    stage.now_ms += SETTLE_MS
    for _ in range(3):
        await worker.run_once()
    assert stage.backends["first"].objects == {}


@pytest.mark.parametrize("in_time", [300, 20])
async def test_a_backend_that_deletes_slowly_is_asked_for_fewer_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, in_time: int
) -> None:
    """Before, all of a call failed again and again, and after ten attempts all were in the dead-letter queue."""
    await orphan(stage, *(f"k{number}" for number in range(1000)))
    first = stage.backends["first"]
    delete_many, sizes = first.delete_many, list[int]()

    async def slowly(keys: Sequence[str]) -> dict[str, str]:
        sizes.append(len(keys))
        if len(keys) > in_time:
            raise BackendTimeout("first", "no progress for the allowed time", ambiguous=True)
        return await delete_many(keys)

    monkeypatch.setattr(first, "delete_many", slowly)
    worker = stage.clean_up()
    for _ in range(20):
        await worker.run_once()
        stage.now_ms += 3_600_000
    assert sizes[0] == 1000
    assert (await stage.metadata.queue_depths())["cleanup_dlq"] == 0
    assert (await stage.used()).orphan_bytes == 0
    assert first.objects == {}


async def test_what_could_not_be_tried_has_not_failed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bytes that were deleted in the same run the rows are finished, and the others stay as they were."""
    await orphan(stage, *(f"k{number}" for number in range(30)))
    monkeypatch.setattr(clean_up, "BATCH", 8)
    first = stage.backends["first"]
    worker = stage.clean_up()
    first.fail("delete_many", error=BackendTimeout("first", "too slow"))
    assert (await worker.run_once()) == Report(done=0, failed=8, more=True)
    stage.now_ms += 3_600_000
    first.fail("delete_many", nth=2, error=BackendTimeout("first", "too slow"))
    assert (await worker.run_once()) == Report(done=2, failed=6, more=True)
    assert [len(keys.split(",")) for verb, keys in first.calls if verb == "delete_many"] == [8, 2, 3]
    stage.now_ms += clean_up.CLAIM_MS
    claimed = await stage.metadata.claim_cleanup("another", stage.now_ms, 60_000, 100)
    assert sorted(item.attempts for item in claimed) == [0] * 17 + [1] * 11


async def test_uploads_that_are_known_by_name_alone_are_looked_for_once(stage: Stage) -> None:
    """And where the backend cannot be asked, the rest is deleted all the same."""
    for number in range(3):
        stage.backends["first"].fail("create_multipart", at="done")
        stage.backends["second"].fail("create_multipart")
        with pytest.raises(AllBackendsFailed):
            await stage.perform(CreateMultipartUpload("photos", f"k{number}"))
    stage.now_ms += SETTLE_MS
    await orphan(stage, "a")
    stage.backends["first"].calls.clear()
    stage.backends["first"].fail("list_multipart")
    report = await stage.clean_up().run_once()
    assert (report.done, report.failed) == (4, 3), "a, and what the second never had"
    stage.now_ms += 60_000
    stage.backends["first"].calls.clear()
    assert (await stage.clean_up().run_once()).done == 3
    assert [verb for verb, _ in stage.backends["first"].calls].count("list_multipart") == 1
    assert stage.backends["first"].uploads == {}


@pytest.mark.parametrize("verb", ["list_multipart", "abort_multipart"])
async def test_a_backend_that_is_given_another_bucket_meanwhile_is_asked_for_nothing_there(stage: Stage, verb: str) -> None:
    """Its client is exchanged between two calls of one batch. What is not there could not be told from what was deleted."""
    first = stage.backends["first"]
    if verb == "list_multipart":
        first.fail("create_multipart", at="done")
        stage.backends["second"].fail("create_multipart")
        with pytest.raises(AllBackendsFailed):
            await stage.perform(CreateMultipartUpload("photos", "u"))
    else:
        created = await stage.perform(CreateMultipartUpload("photos", "u"))
        assert isinstance(created, UploadCreated)
        await stage.perform(AbortMultipartUpload("photos", "u", created.upload.upload_id))
    stage.now_ms += SETTLE_MS
    await orphan(stage, "a")
    fault = first.stall(verb)
    first.calls.clear()
    worker = stage.clean_up()
    async with asyncio.TaskGroup() as group:
        run = group.create_task(worker.run_once())
        await fault.reached.wait()
        first.bucket = "another"
        fault.release()
    assert run.result().failed == 2
    assert [called for called, _ in first.calls] == [verb]
    assert len(first.objects) == 1
    stage.now_ms += 60_000
    assert await worker.run_once() == Report(), "the ledger has another bucket"
    first.bucket = "first"
    assert (await worker.run_once()).done == 2
    assert first.objects == {}


async def test_rows_of_a_backend_that_is_not_configured_wait_until_it_is_back(stage: Stage) -> None:
    """Before, ten looks for it made them dead letters, which held its quota when it came back."""
    await orphan(stage, "a")
    first = stage.backends.pop("first")
    worker = stage.clean_up()
    for _ in range(2 * MAX_ATTEMPTS):
        assert await worker.run_once() == Report(done=0, failed=1)
        assert await worker.run_once() == Report()
        stage.now_ms += 25 * 3_600_000
    stage.backends["first"] = first
    assert (await worker.run_once()).done == 1
    assert first.objects == {}
    assert (await stage.used()).held_bytes == 0


async def test_a_backend_that_comes_while_its_rows_are_claimed_is_asked_the_next_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In which bucket it looks was not compared when they were claimed."""
    await orphan(stage, "a")
    first = stage.backends.pop("first")
    claim = stage.metadata.claim_cleanup

    async def claim_and_configure(*asked: Any, **named: Any) -> Any:
        claimed = await claim(*asked, **named)
        stage.backends["first"] = first
        return claimed

    monkeypatch.setattr(stage.metadata, "claim_cleanup", claim_and_configure)
    worker = stage.clean_up()
    assert (await worker.run_once()).failed == 1
    assert len(first.objects) == 1
    stage.now_ms += 60_000
    assert (await worker.run_once()).done == 1
