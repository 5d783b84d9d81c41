"""Uploads that nobody completes are aborted, and their quota is free again."""

from __future__ import annotations

import pytest
from tests.proxy.operations.test_multipart import SMALL, complete, create, send
from tests.support.stories import Stage

from s3o_proxy.domain.errors import BackendUnavailable
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS, settle_ms
from s3o_proxy.workers.abort_stale_uploads import AbortStaleUploads

DAY_MS = 24 * 3_600_000


async def test_only_what_is_older_than_the_limit_goes(stage: Stage) -> None:
    worker = AbortStaleUploads(stage.means, lambda: DAY_MS)
    await send(stage, await create(stage, "old"), 1, SMALL, key="old")
    stage.now_ms += DAY_MS
    young = await create(stage, "young")
    assert (await worker.run_once()).done == 0
    stage.now_ms += 1
    assert (await worker.run_once()).done == 1
    await stage.clean_up().run_once()
    assert [upload.key for upload in stage.backends["first"].uploads.values()] == ["photos/young~" + young]
    assert (await stage.used()).held_bytes == 0
    stage.now_ms += DAY_MS
    assert (await worker.run_once()).done == 1


async def test_an_upload_that_grows_for_days_goes_only_when_nothing_was_sent_for_so_long(stage: Stage) -> None:
    worker = AbortStaleUploads(stage.means, lambda: DAY_MS)
    upload_id = await create(stage)
    for number in range(1, 4):
        stage.now_ms += DAY_MS - 1
        assert (await worker.run_once()).done == 0
        await stage.hold_lease()
        await send(stage, upload_id, number, SMALL)
    stage.now_ms += DAY_MS + 1
    assert (await worker.run_once()).done == 1


async def test_one_whose_complete_was_given_up_is_left_to_the_backend_for_as_long_as_that_may_take(stage: Stage) -> None:
    """By the longest time-out of any backend that is configured."""
    slow = stage.config.backends[1].model_copy(update={"request_timeout_ms": 2 * USUAL_REQUEST_TIMEOUT_MS})
    stage.config = stage.config.model_copy(update={"backends": (stage.config.backends[0], slow)})
    upload_id = await create(stage)
    part = (1, await send(stage, upload_id, 1, SMALL))
    stage.backends["first"].fail("complete_multipart", at="done")
    with pytest.raises(BackendUnavailable):
        await complete(stage, upload_id, part)
    stage.now_ms += DAY_MS + 1
    assert (await AbortStaleUploads(stage.means, lambda: DAY_MS).run_once()).done == 1
    stage.now_ms += settle_ms("CompleteMultipartUpload", 2 * USUAL_REQUEST_TIMEOUT_MS) - 1
    assert (await stage.clean_up().run_once()).done == 0
    stage.now_ms += 1
    assert (await stage.clean_up().run_once()).done == 1
