"""Aborts multipart uploads that nobody completed for `spec.cleanup.multipartStaleTimeout`: their parts hold quota for nothing."""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.domain.errors import NoSuchUpload, UploadBusy
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS, settle_ms
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

BATCH = 100
_JOIN_SETTLES_MS = settle_ms("CompleteMultipartUpload", USUAL_REQUEST_TIMEOUT_MS)
"""Somebody may have tried to complete it just now, and given up."""


class AbortStaleUploads:
    name = "abort_stale_uploads"
    singleton = True
    period_ms = 600_000

    def __init__(
        self, metadata: Metadata, stale_after_ms: Callable[[], int], clock: Callable[[], int], wake_cleanup: Callable[[], None]
    ) -> None:
        self._metadata, self._stale_after_ms, self._clock, self._wake_cleanup = metadata, stale_after_ms, clock, wake_cleanup

    async def run_once(self) -> Report:
        now = self._clock()
        stale = await self._metadata.stale_uploads(now - self._stale_after_ms(), now, BATCH)
        aborted = 0
        for upload in stale:
            try:
                await self._metadata.abort_upload(upload.upload_id, "upload_stale", now, settle_ms=_JOIN_SETTLES_MS)
            except (NoSuchUpload, UploadBusy):
                continue  # Completed or aborted since we looked, or just being completed.
            aborted += 1
        if aborted:
            self._wake_cleanup()
        return Report(done=aborted, more=len(stale) == BATCH)
