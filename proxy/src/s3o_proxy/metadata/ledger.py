"""The ledger: every method of the port, as the story that carries it out over an engine."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.model import (
    BucketUsage,
    CleanupItem,
    Conditions,
    Copy,
    Intent,
    ListPage,
    ListQuery,
    NewObject,
    Part,
    StoredObject,
    Upload,
    UploadsPage,
    Usage,
)
from s3o_proxy.domain.operation import Operation, Remains
from s3o_proxy.domain.patience import SETTLE_MS
from s3o_proxy.metadata import audit, counting, listing, moves, operations, parts, uploads
from s3o_proxy.metadata.cleanup import (
    BURY_CLEANUP,
    CLAIM_CLEANUP,
    FINISH_CLEANUP,
    RETRY_CLEANUP,
    BuryCleanup,
    ClaimCleanup,
    FinishCleanup,
    RetryCleanup,
)
from s3o_proxy.metadata.counting import KEEP_COUNTS, KeepCounts
from s3o_proxy.metadata.engine import Engine
from s3o_proxy.metadata.finder import Finder
from s3o_proxy.metadata.identity import Identity
from s3o_proxy.metadata.lane import Lane
from s3o_proxy.metadata.leases import (
    ACQUIRE_LEASE,
    LOCATE_BACKENDS,
    REGISTER_BACKENDS,
    RELEASE_LEASE,
    REMEMBER_BUCKET,
    AcquireLease,
    LocateBackends,
    RegisterBackends,
    ReleaseLease,
    RememberBucket,
    bucket_created_ms,
    database_time,
)
from s3o_proxy.metadata.locations import Locations
from s3o_proxy.metadata.moves import COMMIT_MOVE, DROP_COPY, CommitMove, DropCopy
from s3o_proxy.metadata.objects import COMMIT_WRITE, DELETE_OBJECT, CommitWrite, DeleteObject, find_objects
from s3o_proxy.metadata.operations import (
    ASK_OPERATION,
    CANCEL_OPERATION,
    FORGET_BACKEND,
    HASTEN_CLEANUP,
    RECORD_OPERATION,
    AskOperation,
    CancelOperation,
    ForgetBackend,
    HastenCleanup,
    RecordOperation,
)
from s3o_proxy.metadata.parts import COMMIT_PART, RELEASE_PART, CommitPart, ReleasePart
from s3o_proxy.metadata.port import Contents, Deletion, Mention, PinnedUpload, PlacedCopy, Reserved, Weight
from s3o_proxy.metadata.reservations import (
    ABANDON_WRITE,
    CANCEL_RESERVATION,
    REAP_INTENTS,
    RESERVE,
    AbandonWrite,
    CancelReservation,
    ReapIntents,
    Reserve,
)
from s3o_proxy.metadata.uploads import (
    ABORT_UPLOAD,
    BEGIN_COMPLETE,
    COMMIT_COMPLETE,
    CREATE_UPLOAD,
    END_COMPLETE,
    OPEN_UPLOAD,
    AbortUpload,
    BeginComplete,
    CommitComplete,
    CreateUpload,
    EndComplete,
    OpenUpload,
)

ORDER = (
    REGISTER_BACKENDS,
    LOCATE_BACKENDS,
    REMEMBER_BUCKET,
    ACQUIRE_LEASE,
    RELEASE_LEASE,
    ASK_OPERATION,
    CANCEL_OPERATION,
    RECORD_OPERATION,
    CREATE_UPLOAD,
    OPEN_UPLOAD,
    COMMIT_PART,
    RELEASE_PART,
    END_COMPLETE,
    BEGIN_COMPLETE,
    COMMIT_WRITE,
    COMMIT_COMPLETE,
    COMMIT_MOVE,
    DELETE_OBJECT,
    DROP_COPY,
    ABORT_UPLOAD,
    ABANDON_WRITE,
    CANCEL_RESERVATION,
    REAP_INTENTS,
    FINISH_CLEANUP,
    RETRY_CLEANUP,
    BURY_CLEANUP,
    HASTEN_CLEANUP,
    CLAIM_CLEANUP,
    FORGET_BACKEND,
    KEEP_COUNTS,
    # Last: it locks the backends' rows until the commit, and may count on what the others freed.
    RESERVE,
)
"""In which order a transaction carries out kinds that wait together. Their callers are concurrent: any order is true to them."""

STRIPES = 16
MENTIONS_PAGE = 1000


class Ledger:
    """Implements the port. One per process and database: its lane and its finder gather what this process asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Processes that share a database seldom meet in a stripe.
        self._lane = Lane(engine, ORDER, stripe=secrets.randbelow(STRIPES))
        self._finder = Finder(engine.read)
        self._locations = Locations()

    @property
    def identity(self) -> Identity:
        return self._engine.identity

    # --- objects ---------------------------------------------------------------------------------------------------

    async def find_object(self, bucket: str, key: str) -> StoredObject | None:
        if self._engine.remote:
            return await self._finder.find((bucket, key))
        return (await self._engine.read(find_objects([(bucket, key)]))).get((bucket, key))

    async def locate_object(self, bucket: str, key: str, *, max_age_ms: int, most: int) -> StoredObject | None:
        if not max_age_ms:
            self._locations.forget(bucket, key)
            return await self.find_object(bucket, key)
        return await self._locations.find((bucket, key), self.find_object, max_age_ms=max_age_ms, most=most)

    async def list_objects(self, query: ListQuery) -> ListPage:
        return await self._engine.scan(listing.list_objects(query))

    async def reserve_write(self, intent: Intent, quota_bytes: int | None, backend_bucket: str = "") -> Reserved:
        return await self._lane.write(RESERVE, Reserve(intent, quota_bytes, backend_bucket))

    async def commit_write(self, new: NewObject, conditions: Conditions = Conditions()) -> None:
        with self._locations.changing(new.bucket, new.key):
            await self._lane.write(COMMIT_WRITE, CommitWrite(new, conditions))

    async def abandon_write(self, intent: Intent, reason: Reason, due_ms: int) -> None:
        await self._lane.write(ABANDON_WRITE, AbandonWrite(intent, reason, due_ms))

    async def cancel_reservation(self, intent: Intent) -> None:
        await self._lane.write(CANCEL_RESERVATION, CancelReservation(intent))

    async def delete_object(self, bucket: str, key: str, now_ms: int, conditions: Conditions = Conditions()) -> Deletion:
        with self._locations.changing(bucket, key):
            return await self._lane.write(DELETE_OBJECT, DeleteObject(bucket, key, now_ms, conditions))

    # --- multipart -------------------------------------------------------------------------------------------------

    async def create_upload(self, upload: Upload, max_uploads: int | None, backend_bucket: str = "") -> None:
        await self._lane.write(CREATE_UPLOAD, CreateUpload(upload, max_uploads, backend_bucket))

    async def open_upload(self, upload_id: str, backend_upload_id: str) -> None:
        await self._lane.write(OPEN_UPLOAD, OpenUpload(upload_id, backend_upload_id))

    async def find_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        return await self._engine.read(uploads.find_upload(bucket, key, upload_id))

    async def reserve_part(self, intent: Intent, quota_bytes: int | None) -> Reserved:
        return await self._lane.write(RESERVE, Reserve(intent, quota_bytes))

    async def commit_part(self, write_id: str, part: Part) -> None:
        await self._lane.write(COMMIT_PART, CommitPart(write_id, part))

    async def release_part(self, write_id: str, *, certainly_not_landed: bool) -> None:
        await self._lane.write(RELEASE_PART, ReleasePart(write_id, certainly_not_landed))

    async def list_parts(self, upload_id: str, after: int, limit: int) -> tuple[tuple[Part, ...], bool]:
        return await self._engine.scan(parts.list_parts(upload_id, after, limit))

    async def begin_complete(self, upload_id: str, owner: str, now_ms: int, joined_etag: str) -> Upload:
        return await self._lane.write(BEGIN_COMPLETE, BeginComplete(upload_id, owner, now_ms, joined_etag))

    async def end_complete(self, upload_id: str, owner: str, *, may_be_complete: bool) -> None:
        await self._lane.write(END_COMPLETE, EndComplete(upload_id, owner, may_be_complete))

    async def commit_complete(self, upload_id: str, new: NewObject, conditions: Conditions) -> None:
        with self._locations.changing(new.bucket, new.key):
            await self._lane.write(COMMIT_COMPLETE, CommitComplete(upload_id, new, conditions))

    async def abort_upload(
        self, upload_id: str, reason: Reason, now_ms: int, owner: str = "", *, settle_ms: int = SETTLE_MS, may_come: bool = False
    ) -> None:
        await self._lane.write(ABORT_UPLOAD, AbortUpload(upload_id, reason, now_ms, owner, settle_ms, may_come))

    async def list_uploads(self, bucket: str, prefix: str, delimiter: str, after_key: str, after_upload_id: str, limit: int) -> UploadsPage:
        return await self._engine.scan(listing.list_uploads(bucket, prefix, delimiter, after_key, after_upload_id, limit))

    async def stale_uploads(self, before_ms: int, now_ms: int, limit: int) -> Sequence[Upload]:
        return await self._engine.scan(listing.stale_uploads(before_ms, now_ms, limit))

    # --- workers ---------------------------------------------------------------------------------------------------

    async def reap_intents(self, now_ms: int, limit: int, reaper: str = "") -> int:
        return await self._lane.write(REAP_INTENTS, ReapIntents(now_ms, limit, reaper))

    async def claim_cleanup(
        self,
        owner: str,
        now_ms: int,
        lease_ms: int,
        limit: int,
        but_on: Collection[str] = (),
        *,
        serving: Mapping[str, str] | None = None,
    ) -> Sequence[CleanupItem]:
        claim = ClaimCleanup(owner, now_ms, lease_ms, limit, tuple(but_on), tuple((serving or {}).items()))
        return await self._lane.write(CLAIM_CLEANUP, claim)

    async def finish_cleanup(self, item_ids: Sequence[int]) -> None:
        await self._lane.write(FINISH_CLEANUP, FinishCleanup(tuple(item_ids)))

    async def retry_cleanup(self, item_id: int, error: str, next_try_ms: int) -> None:
        await self._lane.write(RETRY_CLEANUP, RetryCleanup(item_id, error, next_try_ms))

    async def bury_cleanup(self, item_id: int, error: str, now_ms: int) -> None:
        await self._lane.write(BURY_CLEANUP, BuryCleanup(item_id, error, now_ms))

    # --- copies that change their place ----------------------------------------------------------------------------

    async def copies_on(self, backend: str, after: str, limit: int) -> Sequence[PlacedCopy]:
        return await self._engine.scan(moves.copies_on(backend, after, limit))

    async def commit_move(self, found: StoredObject, source: Copy, intent: Intent, now_ms: int) -> bool:
        with self._locations.changing(found.bucket, found.key):
            return await self._lane.write(COMMIT_MOVE, CommitMove(found, source, intent.write_id, intent.backend, now_ms))

    async def drop_copy(self, found: StoredObject, copy: Copy, now_ms: int) -> bool:
        with self._locations.changing(found.bucket, found.key):
            return await self._lane.write(DROP_COPY, DropCopy(found, copy, now_ms))

    async def uploads_to_end(self, backend: str, bucket: str, limit: int) -> Sequence[PinnedUpload]:
        return await self._engine.scan(moves.uploads_to_end(backend, bucket, limit))

    async def weigh_backend(self, backend: str) -> Sequence[Weight]:
        return await self._engine.survey(moves.weigh_backend(backend))

    async def bucket_remains(self, bucket: str) -> Contents:
        return await self._engine.survey(moves.bucket_remains(bucket))

    # --- operations ------------------------------------------------------------------------------------------------

    async def ask_operation(self, operation: Operation) -> Operation:
        return await self._lane.write(ASK_OPERATION, AskOperation(operation))

    async def find_operation(self, operation_id: str) -> Operation | None:
        return await self._engine.read(operations.find_operation(operation_id))

    async def list_operations(self, subject: str, limit: int) -> Sequence[Operation]:
        return await self._engine.scan(operations.list_operations(subject, limit))

    async def active_operations(self) -> Sequence[Operation]:
        return await self._engine.scan(operations.active_operations())

    async def record_operation(self, operation: Operation) -> bool:
        return await self._lane.write(RECORD_OPERATION, RecordOperation(operation))

    async def cancel_operation(self, operation_id: str, now_ms: int) -> Operation:
        return await self._lane.write(CANCEL_OPERATION, CancelOperation(operation_id, now_ms))

    async def fences(self) -> frozenset[str]:
        return await self._engine.read(operations.fences())

    async def remains(self, backend: str) -> Remains:
        return await self._engine.scan(operations.remains(backend))

    async def hasten_cleanup(self, backend: str, due_ms: int) -> None:
        await self._lane.write(HASTEN_CLEANUP, HastenCleanup(backend, due_ms))

    async def forget_backend(self, backend: str) -> None:
        await self._lane.write(FORGET_BACKEND, ForgetBackend(backend))

    async def move_backend(self, backend: str, bucket: str, owner: str = "") -> None:
        await self._lane.write(FORGET_BACKEND, ForgetBackend(backend, bucket, owner))

    # --- leases ----------------------------------------------------------------------------------------------------

    async def acquire_lease(self, name: str, owner: str, now_ms: int, ttl_ms: int) -> bool:
        return await self._lane.write(ACQUIRE_LEASE, AcquireLease(name, owner, now_ms, ttl_ms))

    async def now_ms(self) -> int:
        return await self._engine.read(database_time())

    async def release_lease(self, name: str, owner: str) -> None:
        await self._lane.write(RELEASE_LEASE, ReleaseLease(name, owner))

    # --- counters and inspection -----------------------------------------------------------------------------------

    async def register_backends(self, names: Sequence[str]) -> None:
        await self._lane.write(REGISTER_BACKENDS, RegisterBackends(tuple(names)))

    async def locate_backends(self, buckets: Mapping[str, str], owner: str = "") -> Mapping[str, str]:
        return await self._lane.write(LOCATE_BACKENDS, LocateBackends(tuple(sorted(buckets.items())), owner))

    async def located(self) -> Mapping[str, str]:
        return await self._engine.read(audit.located())

    async def vouched(self, now_ms: int) -> frozenset[str]:
        return await self._engine.read(audit.vouched(now_ms))

    async def registrations(self) -> Mapping[str, int]:
        return await self._engine.read(audit.registrations())

    async def usage(self) -> Mapping[str, Usage]:
        return await self._engine.read(audit.usage())

    async def count_objects(self, after: tuple[str, str], limit: int) -> tuple[Sequence[BucketUsage], tuple[str, str]]:
        return await self._engine.scan(counting.count_page(after, limit))

    async def keep_counts(self, counts: Sequence[BucketUsage], now_ms: int) -> None:
        await self._lane.write(KEEP_COUNTS, KeepCounts(tuple(counts), now_ms))

    async def bucket_usage(self) -> Mapping[str, BucketUsage]:
        return await self._engine.scan(counting.bucket_usage())

    async def queue_depths(self) -> Mapping[str, int]:
        return await self._engine.scan(audit.queue_depths())

    async def compare_usage(self) -> tuple[Mapping[str, Usage], Mapping[str, Usage]]:
        return await self._engine.survey(audit.compare_usage())

    async def mentions(self, backend: str) -> AsyncIterator[Mention]:
        cursor = audit.START
        while True:
            page, cursor = await self._engine.scan(audit.mentions(backend, cursor, MENTIONS_PAGE))
            for mention in page:
                yield mention
            if len(page) < MENTIONS_PAGE:
                return

    async def mentioned(self, backend: str, storage_key: str) -> Mention | None:
        return await self._engine.read(audit.mentioned(backend, storage_key))

    async def bucket_created_ms(self, bucket: str, now_ms: int) -> int:
        known = await self._engine.read(bucket_created_ms(bucket))
        return await self._lane.write(REMEMBER_BUCKET, RememberBucket(bucket, now_ms)) if known is None else known

    async def ping(self) -> None:
        await self._engine.identify()

    async def close(self) -> None:
        await self._lane.close()
        await self._engine.close()
