"""The ledger, as operations and workers see it. One implementation (`ledger.py`) over two engines.

Every method that writes is one atomic change, committed (durably) before it returns. Members of concurrent calls share
a transaction (group commit); a failing one fails alone. Besides the errors named below, any method raises
`MetadataUnavailable` (nothing happened) and any writing method `OutcomeUnknown` (it may have happened).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.frozen import frozen
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
from s3o_proxy.metadata.identity import Identity


@frozen
class Reserved:
    """The answer to a reservation: `granted`, or refused with what was left (`free_bytes`, never negative), or because the backend takes no
    new writes, or none where this writer would write (`fenced`)."""

    granted: bool
    free_bytes: int = 0
    fenced: bool = False


@frozen
class Deletion:
    """One key of a delete. `existed` is false when there was nothing (S3 answers the same)."""

    existed: bool


class Metadata(Protocol):
    """Every method that asks the database raises DatabaseReplaced when it is not the one that is expected."""

    @property
    def identity(self) -> Identity:
        """Which database it is, and which one is expected: the caller says so."""
        ...

    # --- objects -----------------------------------------------------------------------------------------------

    async def find_object(self, bucket: str, key: str) -> StoredObject | None:
        """The committed object with its copies. Micro-batched: concurrent callers share one round trip."""
        ...

    async def locate_object(self, bucket: str, key: str, *, max_age_ms: int, most: int) -> StoredObject | None:
        """As `find_object`, or what this process found at most `max_age_ms` ago and has not changed since; 0: it is asked for.
        `most`: how many objects are remembered."""
        ...

    async def list_objects(self, query: ListQuery) -> ListPage: ...

    async def reserve_write(self, intent: Intent, quota_bytes: int | None, backend_bucket: str = "") -> Reserved:
        """Insert the intent if used + orphan + reserved + size ≤ quota on its backend (None: no quota). Exact (I3). Refused while the
        backend is fenced, also exactly; and where it was not located at `backend_bucket` ('': wherever it lies)."""
        ...

    async def commit_write(self, new: NewObject, conditions: Conditions = Conditions()) -> None:
        """Make `new` visible and consume its intents; displaced copies become cleanup rows.

        Raises PreconditionFailed, NoSuchKey (If-Match on nothing), WriteLost (the intent was reaped). On any of the first two
        the intent stays: abandon it.
        """
        ...

    async def abandon_write(self, intent: Intent, reason: Reason, due_ms: int) -> None:
        """Give up a write some of whose bytes may have been sent: a cleanup row due at `due_ms` mentions them, also where the intent was
        reaped and that cleanup is over, because they may have landed since. Nothing where the write was committed."""
        ...

    async def cancel_reservation(self, intent: Intent) -> None:
        """Take back a reservation for which no byte was sent, and of which it is not known whether it was granted. It waits for one that
        is just being granted."""
        ...

    async def delete_object(self, bucket: str, key: str, now_ms: int, conditions: Conditions = Conditions()) -> Deletion:
        """Remove the object; its copies become cleanup rows due now. Raises PreconditionFailed, NoSuchKey (If-Match only)."""
        ...

    # --- multipart ---------------------------------------------------------------------------------------------

    async def create_upload(self, upload: Upload, max_uploads: int | None, backend_bucket: str = "") -> None:
        """Raises TooManyUploads when the bucket already has `max_uploads`. Written before the backend is asked: with
        `backend_upload_id == ""` until `open_upload`. Raises BackendFenced, also for another `backend_bucket` (as `reserve_write`)."""
        ...

    async def open_upload(self, upload_id: str, backend_upload_id: str) -> None:
        """Record the backend's id: from now on parts are welcome. Raises NoSuchUpload."""
        ...

    async def find_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises NoSuchUpload, also when the id belongs to another bucket or key or is not open yet."""
        ...

    async def reserve_part(self, intent: Intent, quota_bytes: int | None) -> Reserved:
        """As reserve_write, for one part; no fence stands in its way. Raises NoSuchUpload, UploadBusy (completing)."""
        ...

    async def commit_part(self, write_id: str, part: Part) -> None:
        """The part landed: it replaces an earlier one of its number; the space of that one, and of dead attempts at this number, is
        released. Raises WriteLost, NoSuchUpload."""
        ...

    async def release_part(self, write_id: str, *, certainly_not_landed: bool) -> None:
        """A part that failed. Where its bytes certainly did not land, its intent goes, with the reservation. Else the intent stays without
        an owner: its space is released when the upload ends, or when a later commit_part of its number replaces those bytes.
        Nothing if it is gone."""
        ...

    async def list_parts(self, upload_id: str, after: int, limit: int) -> tuple[tuple[Part, ...], bool]:
        """Parts above number `after`, ascending, and whether more follow."""
        ...

    async def begin_complete(self, upload_id: str, owner: str, now_ms: int, joined_etag: str) -> Upload:
        """Claim the upload for completing; `joined_etag`: the ETag that its object is to have. Raises NoSuchUpload, UploadBusy (a live
        owner is completing it; an owner lives while the lease `instance/<owner>` lasts), CompletedOtherwise (it may already be an object
        with another ETag). `state` of the returned upload is the one *before*: `completing` says that an earlier attempt may already
        have completed it on the backend."""
        ...

    async def end_complete(self, upload_id: str, owner: str, *, may_be_complete: bool) -> None:
        """A Complete failed: nobody works on the upload now. Unless it `may_be_complete` on the backend, it is open again. Nothing where
        another than `owner` has claimed it since."""
        ...

    async def commit_complete(self, upload_id: str, new: NewObject, conditions: Conditions) -> None:
        """As commit_write; the upload, its parts and its reservations are gone, its object takes one copy of `new.size_bytes`.

        Raises PreconditionFailed, NoSuchKey, NoSuchUpload. On any of the first two the upload stays: abort it.
        """
        ...

    async def abort_upload(
        self, upload_id: str, reason: Reason, now_ms: int, owner: str = "", *, settle_ms: int = SETTLE_MS, may_come: bool = False
    ) -> None:
        """Remove the upload; what it holds on the backend becomes one cleanup row. It is due now, or after `settle_ms` where a Complete of
        unknown outcome, or (`may_come`) the upload itself, may still take effect there. Raises NoSuchUpload, UploadBusy (a live owner
        other than `owner` is completing it)."""
        ...

    async def list_uploads(
        self, bucket: str, prefix: str, delimiter: str, after_key: str, after_upload_id: str, limit: int
    ) -> UploadsPage: ...

    async def stale_uploads(self, before_ms: int, now_ms: int, limit: int) -> Sequence[Upload]:
        """Uploads that were created before `before_ms` and to which no part was sent since, except those that a live owner is completing
        now."""
        ...

    # --- workers -----------------------------------------------------------------------------------------------

    async def reap_intents(self, now_ms: int, limit: int, reaper: str = "") -> int:
        """Turn intents of writes whose owner's lease has ended into cleanup rows due now; none of `reaper`, who lives. Returns how many
        (0: done)."""
        ...

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
        """Due rows nobody else works on, now ours for `lease_ms` (SKIP LOCKED); none of the backends `but_on`, and none of those in
        `serving` (by name, the bucket in which we would look) that lie in another bucket. As long as a row stands, its backend lies where
        it did."""
        ...

    async def finish_cleanup(self, item_ids: Sequence[int]) -> None:
        """The bytes are gone: rows out, orphan bytes down."""
        ...

    async def retry_cleanup(self, item_id: int, error: str, next_try_ms: int) -> None: ...

    async def bury_cleanup(self, item_id: int, error: str, now_ms: int) -> None:
        """Out of attempts: to the dead-letter queue. The bytes still count as orphans; a person decides."""
        ...

    # --- copies that change their place ------------------------------------------------------------------------

    async def copies_on(self, backend: str, after: str, limit: int) -> Sequence[PlacedCopy]:
        """A page of the copies on `backend` behind the storage key `after`, in storage-key byte order."""
        ...

    async def commit_move(self, found: StoredObject, source: Copy, intent: Intent, now_ms: int) -> bool:
        """Put the bytes of `intent` in place of the copy `source`, whose bytes become a cleanup row. False where `found` is not what stands
        there any more, or has a copy there by now: then the new bytes become the cleanup row. Raises WriteLost (the intent was reaped)."""
        ...

    async def drop_copy(self, found: StoredObject, copy: Copy, now_ms: int) -> bool:
        """Turn a copy into a cleanup row; with the last one goes the object. False where `found` is not what stands there any more."""
        ...

    async def uploads_to_end(self, backend: str, bucket: str, limit: int) -> Sequence[PinnedUpload]:
        """The first uploads pinned to `backend`, or (where that is empty) of `bucket`."""
        ...

    async def weigh_backend(self, backend: str) -> Sequence[Weight]: ...

    async def bucket_remains(self, bucket: str) -> Contents: ...

    # --- operations --------------------------------------------------------------------------------------------

    async def ask_operation(self, operation: Operation) -> Operation:
        """Write a new operation down, and with it the fence around its backend. One of the same subject, kind and token is returned instead
        of it, whatever its state. Raises OperationConflict while one of its kind is at work on its target."""
        ...

    async def find_operation(self, operation_id: str) -> Operation | None: ...

    async def list_operations(self, subject: str, limit: int) -> Sequence[Operation]:
        """The newest first; of all subjects where `subject` is empty. Beyond the limit, all that is at work or keeps a backend closed: who
        does not find it here may take it for over."""
        ...

    async def active_operations(self) -> Sequence[Operation]: ...

    async def record_operation(self, operation: Operation) -> bool:
        """Note its state, plan and progress. False when it ended or was cancelled meanwhile: nothing is noted then."""
        ...

    async def cancel_operation(self, operation_id: str, now_ms: int) -> Operation:
        """End it, and open its backend to writes again; also that of a drain that is done. Any other that ended stays as it is.
        Raises NoSuchOperation."""
        ...

    async def fences(self) -> frozenset[str]:
        """The backends that take no new writes."""
        ...

    async def remains(self, backend: str) -> Remains:
        """What still mentions bytes on `backend`, as of one moment."""
        ...

    async def hasten_cleanup(self, backend: str, due_ms: int) -> None:
        """Make deletions on `backend` that failed before due at `due_ms` at the latest."""
        ...

    async def forget_backend(self, backend: str) -> None:
        """Raises BackendInUse while anything remains on it."""
        ...

    async def move_backend(self, backend: str, bucket: str, owner: str = "") -> None:
        """Forget it, and locate it there at once: nobody finds it forgotten. Raises BackendInUse while anything remains on it."""
        ...

    # --- leases ------------------------------------------------------------------------------------------------

    async def acquire_lease(self, name: str, owner: str, now_ms: int, ttl_ms: int) -> bool:
        """Take or renew. False while another owner's lease lasts."""
        ...

    async def now_ms(self) -> int:
        """What the clock of the database shows, in milliseconds since the epoch: all other times that are told to the ledger are by it."""
        ...

    async def release_lease(self, name: str, owner: str) -> None: ...

    # --- counters and inspection -------------------------------------------------------------------------------

    async def register_backends(self, names: Sequence[str]) -> None:
        """Make the counters of these backends exist. Idempotent; before the first reservation on them."""
        ...

    async def locate_backends(self, buckets: Mapping[str, str], owner: str = "") -> Mapping[str, str]:
        """At which bucket of its provider the bytes of each backend lie: what was said of its name first, until the name is forgotten.
        `owner` is noted with those that lie where he says."""
        ...

    async def located(self) -> Mapping[str, str]:
        """Of every backend that is known, the bucket where its bytes lie; '' where nobody said so yet."""
        ...

    async def vouched(self, now_ms: int) -> frozenset[str]:
        """The backends of which the one who said last where they lie lives (while the lease `instance/<owner>` lasts)."""
        ...

    async def registrations(self) -> Mapping[str, int]:
        """Since when each backend is known: ms since the epoch, by the clock of the database. A row that was made anew has another one."""
        ...

    async def usage(self) -> Mapping[str, Usage]: ...

    async def count_objects(self, after: tuple[str, str], limit: int) -> tuple[Sequence[BucketUsage], tuple[str, str]]:
        """Of at most `limit` objects behind (bucket, key), by bucket; and where the next page begins."""
        ...

    async def keep_counts(self, counts: Sequence[BucketUsage], now_ms: int) -> None:
        """In place of all that were kept before."""
        ...

    async def bucket_usage(self) -> Mapping[str, BucketUsage]:
        """What was kept last."""
        ...

    async def queue_depths(self) -> Mapping[str, int]:
        """Rows in `cleanup_queue`, `cleanup_dlq`, `intents`, `uploads`."""
        ...

    async def compare_usage(self) -> tuple[Mapping[str, Usage], Mapping[str, Usage]]:
        """The counters, and the sums over the rows they stand for, both as of one moment (audit, I6)."""
        ...

    def mentions(self, backend: str) -> AsyncIterator[Mention]:
        """Every row that mentions bytes on `backend`, in storage-key byte order (audit, I2)."""
        ...

    async def mentioned(self, backend: str, storage_key: str) -> Mention | None:
        """The same for one key, now."""
        ...

    async def bucket_created_ms(self, bucket: str, now_ms: int) -> int:
        """When this bucket was first seen; remembers `now_ms` if that is now."""
        ...

    async def ping(self) -> None:
        """Whether the database answers, and is the one that is expected. Raises DatabaseReplaced."""
        ...

    async def close(self) -> None: ...


@frozen
class Mention:
    """`kind`: copy, intent, upload, cleanup or dead (DLQ). A copy's `size_bytes` must be there exactly; another's may be."""

    kind: str
    storage_key: str
    size_bytes: int
    backend_upload_id: str = ""


@frozen
class PlacedCopy:
    """A copy and the object it belongs to; both None where it went away while the page was read."""

    storage_key: str
    found: StoredObject | None
    copy: Copy | None


@frozen
class PinnedUpload:
    """`is_open`: the backend's own id of it is known; else the backend is just being asked for it."""

    upload_id: str
    is_open: bool
    initiated_ms: int


@frozen
class Weight:
    """So many objects of a backend, all of one order of magnitude and with copies on the same `others`."""

    others: frozenset[str]
    objects: int
    bytes: int
    largest_bytes: int


@frozen
class Contents:
    """What a bucket has in the database."""

    objects: int
    bytes: int
    intents: int
    uploads: int

    @property
    def nothing(self) -> bool:
        return not (self.objects or self.intents or self.uploads)
