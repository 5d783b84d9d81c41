"""What drains and purges of a backend share: the copies are gone, and the rest goes by itself, by its client, its worker, or time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import NoSuchUpload, UploadBusy
from s3o_proxy.domain.operation import Progress, Remains
from s3o_proxy.metadata.port import PinnedUpload
from s3o_proxy.workers.journal import Journal
from s3o_proxy.workers.means import Means

CREATED_BY_THEN_MS = 120_000
"""An upload that no backend has created by then belongs to a process that died."""
MOST_UPLOADS = 1000
LONGEST_PAUSE_MS = 1_800_000
"""Between two tries of a deletion, while a backend is waited for."""


class Rest:
    """What is left on `backend` besides copies."""

    def __init__(self, means: Means, journal: Journal, backend: str) -> None:
        self._means, self._journal, self._backend = means, journal, backend

    async def figures(self) -> Mapping[str, Any]:
        return figures(self._journal.progress, await self._means.metadata.remains(self._backend))

    async def wait(self, left: Remains) -> None:
        """Note what is waited for. Raises Ended."""
        if left.cleanups:
            # At once when it comes to this, and then within half an hour instead of a day: more often, a backend that is away for a while
            # would have used up all attempts.
            again = self._journal.operation.reason == "WaitingForDeletions"
            await self._means.metadata.hasten_cleanup(self._backend, self._means.clock() + again * LONGEST_PAUSE_MS)
            self._means.wake_cleanup()
        known = {**figures(self._journal.progress, left), "last_error": left.error}
        if left.uploads:
            await self._end_uploads_of_nobody()
            message = (
                f"{left.uploads} multipart uploads are in progress there: they end by their clients, or are aborted when they are stale"
            )
            await self._journal.state("Running", "WaitingForUploads", message, known)
        elif left.intents:
            await self._journal.state("Running", "WaitingForWrites", f"{left.intents} writes that began before are under way there", known)
        elif left.cleanups:
            await self._journal.state("Running", "WaitingForDeletions", f"{left.cleanups} deletions are due there", known)
        else:
            message = f"{left.dead} deletions there were given up and wait in the dead-letter queue for a person"
            await self._journal.state("Stalled", "DeletionsFailed", message, known)

    async def _end_uploads_of_nobody(self) -> None:
        """A process that died while it created an upload told nobody its id: no client will ever end it."""
        now = self._means.clock()
        for upload in await self._means.metadata.uploads_to_end(self._backend, "", MOST_UPLOADS):
            if not upload.is_open and upload.initiated_ms < now - CREATED_BY_THEN_MS:
                await end_upload(self._means, upload, "upload_never_opened")


async def end_upload(means: Means, upload: PinnedUpload, reason: Reason) -> bool:
    """False while somebody completes it."""
    # The backend may just be creating one that is not open yet, or be joining one that is: looked for too early, it would not be found.
    settle_ms = means.placing().settle_ms("CompleteMultipartUpload" if upload.is_open else "CreateMultipartUpload")
    try:
        await means.metadata.abort_upload(upload.upload_id, reason, means.clock(), settle_ms=settle_ms, may_come=not upload.is_open)
    except NoSuchUpload:
        return True  # It ended by itself.
    except UploadBusy:
        return False
    return True


def figures(progress: Progress, left: Remains) -> Mapping[str, Any]:
    return {
        "objects_total": progress.objects_moved + left.copies,
        "objects_remaining": left.copies,
        "bytes_total": progress.bytes_moved + left.copy_bytes,
        "bytes_remaining": left.copy_bytes,
        "uploads_remaining": left.uploads,
        "intents_remaining": left.intents,
        "cleanups_remaining": left.cleanups + left.dead,
    }
