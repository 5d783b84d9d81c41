"""Deletes bytes that no row calls live any more: displaced, deleted, abandoned, aborted.

Rows are claimed for a while, so any number of processes share the queue. Bytes first, row second: a crash in between deletes twice, which
is harmless; the other order would forget bytes. A row out of attempts goes to the dead-letter queue, where its bytes still count.

What is not there counts as deleted, so it must be looked for in the right bucket. A claim leaves out the backends that this process
believes in another bucket than the ledger does; from then on the row keeps its backend where it lies, and each call is made only while this
process still speaks to the bucket that it named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from itertools import groupby

from s3o_proxy.backends.port import Backend, BackendSet
from s3o_proxy.domain.cleanup import MAX_ATTEMPTS, may_leave_upload, next_try_ms
from s3o_proxy.domain.errors import BackendError, BackendTimeout, BackendUnavailable
from s3o_proxy.domain.model import CleanupItem
from s3o_proxy.domain.moving import MAX_SINGLE_PUT_BYTES
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.workers.report import Report

BATCH = 1000
"""As many as one DeleteObjects takes."""
CLAIM_MS = 60_000
"""Longer than a batch takes; should a slow one take longer, another worker deletes the same bytes again, which is harmless."""
_SHRINK, _GROW = 4, 8
"""After a call that took too long, its backend is given a quarter as many at once; after each that did not, an eighth more."""


class CleanUp:
    name = "clean_up"
    singleton = False
    period_ms = 30_000

    def __init__(
        self,
        metadata: Metadata,
        backends: BackendSet,
        owner: str,
        clock: Callable[[], int],
        concurrency: Callable[[], int],
        max_put_bytes: int = MAX_SINGLE_PUT_BYTES,
    ) -> None:
        self._metadata, self._backends, self._owner, self._clock, self._concurrency = metadata, backends, owner, clock, concurrency
        self._max_put_bytes = max_put_bytes
        self._away: dict[str, int] = {}
        """Backends that are not configured, or of which a whole call failed, and until when (ms) nothing of theirs is tried: it would hold
        up all that came later."""
        self._at_once: dict[str, int] = {}
        """Of a backend that could not delete so many in time as one call takes: how many it is asked for."""

    async def run_once(self) -> Report:
        now = self._clock()
        self._away = {name: until_ms for name, until_ms in self._away.items() if now < until_ms}
        serving = self._backends.buckets()
        items = await self._metadata.claim_cleanup(self._owner, now, CLAIM_MS, BATCH, self._away, serving=serving)
        by_backend = [(name, list(group)) for name, group in groupby(sorted(items, key=_backend_of), key=_backend_of)]
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(self._clean_backend(name, serving.get(name), mine)) for name, mine in by_backend]
        failed = sum(run.result() for run in runs)
        return Report(done=len(items) - failed, failed=failed, more=len(items) == BATCH)

    async def _clean_backend(self, name: str, bucket: str | None, items: Sequence[CleanupItem]) -> int:
        """`bucket`: that in which it was claimed; None where the backend was not configured then. Returns how many were not deleted."""
        if bucket is None:
            # Nothing was tried: its rows wait for it to come back, however long that takes. Until then `s3o audit` names it.
            self._away[name] = self._clock() + CLAIM_MS
            return len(items)
        backend = partial(self._backend_in, name, bucket)
        aborted = await self._abort_uploads(backend, items)
        left, done = await self._record(items, aborted), 0
        while left and name not in self._away:
            batch = left[: self._at_once.get(name, BATCH)]
            left = left[len(batch) :]
            deleted = await self._record(batch, await self._delete_bytes(name, backend, batch))
            await self._metadata.finish_cleanup([item.item_id for item in deleted])
            done += len(deleted)
        # What was not tried has not failed: it is claimed again when its claim has run out.
        return len(items) - done

    def _backend_in(self, name: str, bucket: str) -> Backend:
        """For one call that begins at once: the client behind it may be exchanged at any await."""
        backend = self._backends.get(name)
        if backend.bucket != bucket:
            raise BackendUnavailable(name, "was given another bucket meanwhile")
        return backend

    async def _abort_uploads(self, backend: Callable[[], Backend], items: Sequence[CleanupItem]) -> dict[int, str]:
        """Before bytes are deleted: a part that arrives after its upload's abort has nowhere to go. Returns failures by item."""
        failures: dict[int, str] = {}
        limit = asyncio.Semaphore(self._concurrency())
        uploads = [item for item in items if self._may_be_upload(item)]
        try:
            named = await _upload_ids(backend, {item.storage_key for item in uploads if not item.backend_upload_id})
        except BackendError as error:
            failures = {item.item_id: str(error) for item in uploads if not item.backend_upload_id}
            named = {}

        async def abort(item: CleanupItem) -> None:
            async with limit:
                try:
                    for upload_id in [item.backend_upload_id] if item.backend_upload_id else named.get(item.storage_key, []):
                        await backend().abort_multipart(item.storage_key, upload_id)
                except BackendError as error:
                    failures[item.item_id] = str(error)

        async with asyncio.TaskGroup() as group:
            for item in uploads:
                if item.item_id not in failures:
                    group.create_task(abort(item))
        return failures

    async def _delete_bytes(self, name: str, backend: Callable[[], Backend], items: Sequence[CleanupItem]) -> dict[int, str]:
        """In one call. Returns failures by item."""
        try:
            refused = await backend().delete_many([item.storage_key for item in items])
        except BackendError as error:
            if isinstance(error, BackendTimeout):
                self._at_once[name] = max(1, len(items) // _SHRINK)
            refused = dict.fromkeys([item.storage_key for item in items], str(error))
        else:
            at_once = self._at_once.pop(name, BATCH)
            if at_once < BATCH:
                self._at_once[name] = at_once + -(-at_once // _GROW)
        failures = {item.item_id: refused[item.storage_key] for item in items if item.storage_key in refused}
        if len(failures) == len(items):
            self._away[name] = next_try_ms(self._clock(), 0)
        return failures

    def _may_be_upload(self, item: CleanupItem) -> bool:
        return may_leave_upload(item.reason, item.size_bytes, self._max_put_bytes)

    async def _record(self, items: Sequence[CleanupItem], failures: Mapping[int, str]) -> list[CleanupItem]:
        """That these failed. Returns the others."""
        now = self._clock()
        for item in items:
            why = failures.get(item.item_id)
            if why is None:
                continue
            if item.attempts + 1 >= MAX_ATTEMPTS:
                await self._metadata.bury_cleanup(item.item_id, why, now)
            else:
                await self._metadata.retry_cleanup(item.item_id, why, next_try_ms(now, item.attempts))
        return [item for item in items if item.item_id not in failures]


async def _upload_ids(backend: Callable[[], Backend], storage_keys: Set[str]) -> Mapping[str, list[str]]:
    """Of those whose process died between asking the backend for an upload and recording its id: the storage key names it, too."""
    found: dict[str, list[str]] = {}
    if storage_keys:
        async for upload in backend().list_multipart():
            if upload.key in storage_keys:
                found.setdefault(upload.key, []).append(upload.upload_id)
    return found


def _backend_of(item: CleanupItem) -> str:
    return item.backend
