"""Deletes everything in a bucket, or everything on a backend. Rows first: what they mentioned is deleted by the cleanup.

A purge that was interrupted begins again and finds less. Of an object with copies elsewhere only the copy on the purged backend goes.

A bucket that is served is not emptied: whoever asked for it was to take it out of the configuration first, and a bucket that is in it again
was made anew, with objects that nobody asked to be deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from s3o_proxy.domain.model import Copy, ListQuery, StoredObject
from s3o_proxy.domain.moving import Moved
from s3o_proxy.domain.operation import Flow, Operation, Plan
from s3o_proxy.workers.convoy import Convoy
from s3o_proxy.workers.emptying import MOST_UPLOADS, Rest, end_upload, figures
from s3o_proxy.workers.journal import Journal
from s3o_proxy.workers.means import Means

PAGE = 1000
_DELETES_PER_CALL = 1000


async def plan_of_purge(means: Means, operation: Operation) -> Plan:
    if operation.bucket:
        left = await means.metadata.bucket_remains(operation.bucket)
        return _plan(left.objects, left.bytes, "")
    there = await means.metadata.remains(operation.backend)
    return _plan(there.copies, there.copy_bytes, operation.backend)


def _plan(objects: int, size_bytes: int, backend: str) -> Plan:
    calls = -(-objects // _DELETES_PER_CALL)
    flows = {backend: Flow(calls=calls)} if backend else {}
    return Plan(objects, size_bytes, calls, fits=True, required_bytes=0, available_bytes=None, backends=flows)


class Purge:
    """Of a bucket or of a backend, as the operation says."""

    def __init__(self, means: Means, operation: Operation) -> None:
        self._means, self._operation = means, operation
        self._journal = Journal(means.metadata, operation, means.clock)

    async def run(self) -> Operation:
        """Returns the operation as it was noted last. Raises Ended, MetadataError."""
        if self._operation.plan is None:
            await self._journal.start(await plan_of_purge(self._means, self._operation))
        if self._operation.bucket:
            await self._purge_bucket(self._operation.bucket)
        else:
            await self._purge_backend(self._operation.backend)
        return self._journal.operation

    # --- a bucket ----------------------------------------------------------------------------------------------------

    async def _purge_bucket(self, bucket: str) -> None:
        if self._operation.state == "Stalled" and not self._means.placing().serves(bucket):
            await self._journal.state("Running")
        while not self._means.placing().serves(bucket) and await self._delete_page(bucket):
            await self._journal.note(self._bucket_figures())
        if self._means.placing().serves(bucket):
            await self._wait_until_dropped()
            return
        await self._abort_uploads(bucket=bucket)
        left = await self._means.metadata.bucket_remains(bucket)
        known = {"objects_remaining": left.objects, "bytes_remaining": left.bytes, "intents_remaining": left.intents}
        known["uploads_remaining"] = left.uploads
        if left.nothing:
            await self._journal.state("Succeeded", figures=known)
        else:
            await self._journal.state("Running", "WaitingForWrites", "clients are still writing to the bucket", known)

    async def _wait_until_dropped(self) -> None:
        message = "the configuration that is served has this bucket: nothing is deleted until it has it no more, or the purge is cancelled"
        await self._journal.state("Stalled", "BucketServed", message, self._bucket_figures())

    async def _delete_page(self, bucket: str) -> bool:
        metadata, now = self._means.metadata, self._means.clock()
        page = await metadata.list_objects(ListQuery(bucket, limit=PAGE))
        async with asyncio.TaskGroup() as group:
            for each in page.objects:
                group.create_task(metadata.delete_object(bucket, each.key, now))
        self._journal.count(objects=len(page.objects), size_bytes=sum(each.size_bytes for each in page.objects))
        self._means.wake_cleanup()
        return bool(page.objects)

    def _bucket_figures(self) -> Mapping[str, Any]:
        plan, progress = self._journal.operation.plan, self._journal.progress
        objects, size_bytes = (plan.objects, plan.bytes) if plan else (0, 0)
        return {
            "objects_total": max(objects, progress.objects_moved),
            "objects_remaining": max(0, objects - progress.objects_moved),
            "bytes_total": max(size_bytes, progress.bytes_moved),
            "bytes_remaining": max(0, size_bytes - progress.bytes_moved),
        }

    # --- a backend ---------------------------------------------------------------------------------------------------

    async def _purge_backend(self, backend: str) -> None:
        journal, metadata = self._journal, self._means.metadata
        rest = Rest(self._means, journal, backend)
        await self._abort_uploads(backend=backend)
        convoy = Convoy(self._means, journal, backend, self._drop, rest.figures)
        await convoy.run(self._wake_cleanup)
        left = await metadata.remains(backend)
        if left.nothing:
            await journal.state("Succeeded", figures=figures(journal.progress, left))
        else:
            await rest.wait(left)

    async def _drop(self, found: StoredObject, copy: Copy) -> Moved:
        dropped = await self._means.metadata.drop_copy(found, copy, self._means.clock())
        return Moved("moved" if dropped else "superseded")

    async def _wake_cleanup(self) -> bool:
        self._means.wake_cleanup()
        return True

    # --- uploads -----------------------------------------------------------------------------------------------------

    async def _abort_uploads(self, *, backend: str = "", bucket: str = "") -> None:
        while page := await self._means.metadata.uploads_to_end(backend, bucket, MOST_UPLOADS):
            ended = [await end_upload(self._means, upload, "upload_purged") for upload in page]
            await self._journal.note()
            if not any(ended):
                return  # What is just being completed becomes an object, and is found as one in the next round.
