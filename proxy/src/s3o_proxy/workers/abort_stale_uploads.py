"""Aborts multipart uploads that nobody touched for `spec.cleanup.multipartStaleTimeout`: their parts hold quota for nothing."""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.domain.errors import NoSuchUpload, UploadBusy
from s3o_proxy.workers.means import Means
from s3o_proxy.workers.report import Report

BATCH = 100


class AbortStaleUploads:
    name = "abort_stale_uploads"
    singleton = True
    period_ms = 600_000

    def __init__(self, means: Means, stale_after_ms: Callable[[], int]) -> None:
        self._means, self._stale_after_ms = means, stale_after_ms

    async def run_once(self) -> Report:
        metadata, now = self._means.metadata, self._means.clock()
        stale = await metadata.stale_uploads(now - self._stale_after_ms(), now, BATCH)
        # Somebody may have tried to complete it just now, and given up.
        settle_ms = self._means.placing().settle_ms("CompleteMultipartUpload")
        aborted = 0
        for upload in stale:
            try:
                await metadata.abort_upload(upload.upload_id, "upload_stale", now, settle_ms=settle_ms)
            except (NoSuchUpload, UploadBusy):
                continue  # Completed or aborted since we looked, or just being completed.
            aborted += 1
        if aborted:
            self._means.wake_cleanup()
        return Report(done=aborted, more=len(stale) == BATCH)
