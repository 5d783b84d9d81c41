"""Uploads that nobody completes are aborted, and their quota is free again."""

from __future__ import annotations

from tests.proxy.operations.test_multipart import SMALL, create, send
from tests.support.stories import Stage

from s3o_proxy.workers.abort_stale_uploads import AbortStaleUploads

DAY_MS = 24 * 3_600_000


async def test_only_what_is_older_than_the_limit_goes(stage: Stage) -> None:
    worker = AbortStaleUploads(stage.metadata, lambda: DAY_MS, stage.clock, stage.wake)
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
