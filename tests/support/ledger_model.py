"""The ledger as a dictionary: what `metadata.port` promises, in the fewest words, for calls that come one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.support.listings import expected, expected_uploads, is_group

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.conditions import refusal
from s3o_proxy.domain.errors import (
    BackendFenced,
    BackendInUse,
    CompletedOtherwise,
    DomainError,
    NoSuchUpload,
    TooManyUploads,
    UploadBusy,
    WriteLost,
)
from s3o_proxy.domain.model import (
    BucketUsage,
    CleanupItem,
    Conditions,
    Copy,
    Intent,
    ListedObject,
    ListPage,
    ListQuery,
    NewObject,
    Part,
    StoredObject,
    Upload,
    UploadsPage,
    Usage,
)
from s3o_proxy.domain.patience import SETTLE_MS
from s3o_proxy.metadata.port import Deletion, Reserved


@dataclass
class Waiting:
    """A row of the cleanup queue, or of the dead letters."""

    item: CleanupItem
    due_ms: int
    claimed_until_ms: int = 0


class LedgerModel:
    """Each method as that of `Metadata`, without waiting."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.intents: dict[str, Intent] = {}
        self.uploads: dict[str, Upload] = {}
        self.completers: dict[str, str] = {}
        self.joined_etags: dict[str, str] = {}
        self.parts: dict[str, dict[int, tuple[Part, int]]] = {}
        """Of each upload: by number, the part and the bytes that it holds."""
        self.queue: list[Waiting] = []
        self.dead: list[Waiting] = []
        self.leases: dict[str, tuple[str, int]] = {}
        self.located: dict[str, str] = {}
        self.located_by: dict[str, str] = {}
        """At which bucket of its provider a backend lies, where it was said; and who said so."""
        self._last_item = 0

    # --- objects ---------------------------------------------------------------------------------------------------------------------

    def find_object(self, bucket: str, key: str) -> StoredObject | None:
        return self.objects.get((bucket, key))

    def list_objects(self, query: ListQuery) -> ListPage:
        keys = [key for bucket, key in self.objects if bucket == query.bucket]
        page = expected(keys, query)
        listed = [self.objects[query.bucket, entry] for entry in page.entries if not is_group(entry, query)]
        return ListPage(
            tuple(
                ListedObject(one.key, one.size_bytes, one.etag, one.modified_ms, tuple(one.digests.checksums), one.digests.checksum_type)
                for one in listed
            ),
            tuple(entry for entry in page.entries if is_group(entry, query)),
            page.truncated,
            page.entries[-1] if page.entries else "",
        )

    def locate_backends(self, buckets: Mapping[str, str], owner: str = "") -> Mapping[str, str]:
        self.located = {**buckets, **self.located}
        self.located_by |= {backend: owner for backend, bucket in buckets.items() if self.located[backend] == bucket}
        return {backend: self.located[backend] for backend in buckets}

    def vouched(self, now_ms: int) -> frozenset[str]:
        return frozenset(backend for backend, owner in self.located_by.items() if self._lives(owner, now_ms))

    def forget_backend(self, backend: str) -> None:
        words = {"copies": "copy", "intents": "intent", "uploads": "upload", "cleanups": "cleanup", "dead": "dead"}
        if kinds := [kind for name, _, kind in self.mentions() if name == backend]:
            counts = {word: kinds.count(kind) for word, kind in words.items()}
            raise BackendInUse(backend, counts)
        self.located.pop(backend, None)
        self.located_by.pop(backend, None)

    def move_backend(self, backend: str, bucket: str, owner: str = "") -> None:
        self.forget_backend(backend)
        self.locate_backends({backend: bucket}, owner)

    def reserve_write(self, intent: Intent, quota_bytes: int | None, backend_bucket: str = "") -> Reserved:
        if backend_bucket not in ("", self.located.get(intent.backend, "")):
            return Reserved(granted=False, fenced=True)
        if quota_bytes is not None:
            free_bytes = quota_bytes - self._usage(intent.backend).held_bytes
            if intent.size_bytes > free_bytes:
                return Reserved(granted=False, free_bytes=max(0, free_bytes))
        self.intents[intent.write_id] = intent
        return Reserved(granted=True)

    def commit_write(self, new: NewObject, conditions: Conditions = Conditions()) -> None:
        self._refuse(new.bucket, new.key, conditions)
        intent = self._take_intent(new.write_id)
        if intent is None:
            raise WriteLost(new.write_id)
        self._replace(new, Copy(intent.backend, intent.storage_key, intent.size_bytes))

    def abandon_write(self, intent: Intent, reason: Reason, due_ms: int) -> None:
        held = self._take_intent(intent.write_id)
        if held is not None:
            self._clean(held.backend, held.storage_key, held.size_bytes, reason, due_ms)
            return
        copies = {(copy.backend, copy.storage_key) for one in self.objects.values() for copy in one.copies}
        current = self.objects.get((intent.bucket, intent.key))
        if (intent.backend, intent.storage_key) in copies or (current is not None and current.write_id == intent.write_id):
            return
        for row in self.queue:
            if (row.item.backend, row.item.storage_key) == (intent.backend, intent.storage_key):
                self.queue.remove(row)
                again = row.item
                self._clean(again.backend, again.storage_key, again.size_bytes, again.reason, max(row.due_ms, due_ms))
                return
        self._clean(intent.backend, intent.storage_key, intent.size_bytes, reason, due_ms)

    def cancel_reservation(self, intent: Intent) -> None:
        self.intents.pop(intent.write_id, None)

    def delete_object(self, bucket: str, key: str, now_ms: int, conditions: Conditions = Conditions()) -> Deletion:
        self._refuse(bucket, key, conditions)
        return Deletion(existed=self._remove(bucket, key, "deleted", now_ms))

    # --- multipart -------------------------------------------------------------------------------------------------------------------

    def create_upload(self, upload: Upload, max_uploads: int | None, backend_bucket: str = "") -> None:
        if max_uploads is not None and sum(one.bucket == upload.bucket for one in self.uploads.values()) >= max_uploads:
            raise TooManyUploads(upload.bucket, max_uploads)
        if backend_bucket not in ("", self.located.get(upload.backend, "")):
            raise BackendFenced(upload.backend)
        self.uploads[upload.upload_id] = upload
        self.parts[upload.upload_id] = {}

    def open_upload(self, upload_id: str, backend_upload_id: str) -> None:
        self._change(self._upload(upload_id), backend_upload_id=backend_upload_id)

    def find_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        upload = self._upload(upload_id, is_open=True)
        if (upload.bucket, upload.key) != (bucket, key):
            raise NoSuchUpload(upload_id)
        return upload

    def reserve_part(self, intent: Intent, quota_bytes: int | None) -> Reserved:
        if self._upload(intent.upload_id, is_open=True).state != "open":
            raise UploadBusy(intent.upload_id)
        return self.reserve_write(intent, quota_bytes)

    def commit_part(self, write_id: str, part: Part) -> None:
        intent = self._take_intent(write_id, of_a_part=True)
        if intent is None:
            raise WriteLost(write_id)
        number = (intent.upload_id, intent.part_number)
        for other in [*self.intents.values()]:
            if (other.upload_id, other.part_number) == number and not self._lives(other.owner, part.modified_ms):
                del self.intents[other.write_id]
        self.parts[intent.upload_id][intent.part_number] = (part, intent.size_bytes)

    def release_part(self, write_id: str, *, certainly_not_landed: bool) -> None:
        intent = self.intents.get(write_id)
        if intent is None or not intent.upload_id:
            return
        if certainly_not_landed:
            del self.intents[write_id]
        else:
            self.intents[write_id] = replace(intent, owner="")

    def list_parts(self, upload_id: str, after: int, limit: int) -> tuple[tuple[Part, ...], bool]:
        parts = [part for number, (part, _) in sorted(self.parts.get(upload_id, {}).items()) if number > after]
        return tuple(parts[:limit]), len(parts) > limit > 0

    def begin_complete(self, upload_id: str, owner: str, now_ms: int, joined_etag: str) -> Upload:
        upload = self._upload(upload_id, is_open=True)
        if self._is_being_completed(upload, now_ms):
            raise UploadBusy(upload_id)
        if upload.state == "completing" and self.joined_etags[upload_id] != joined_etag:
            raise CompletedOtherwise(upload_id)
        self.joined_etags[upload_id] = joined_etag
        self._change(upload, state="completing")
        self.completers[upload_id] = owner
        return upload

    def end_complete(self, upload_id: str, owner: str, *, may_be_complete: bool) -> None:
        if upload_id in self.uploads and self.completers.get(upload_id, "") == owner:
            self._change(self.uploads[upload_id], state="completing" if may_be_complete else "open")
            self.completers[upload_id] = ""

    def commit_complete(self, upload_id: str, new: NewObject, conditions: Conditions) -> None:
        upload = self._upload(upload_id)
        self._refuse(new.bucket, new.key, conditions)
        self._end(upload)
        self._replace(new, Copy(upload.backend, upload.storage_key, new.size_bytes))

    def abort_upload(
        self, upload_id: str, reason: Reason, now_ms: int, owner: str = "", *, settle_ms: int = SETTLE_MS, may_come: bool = False
    ) -> None:
        upload = self._upload(upload_id)
        if self._is_being_completed(upload, now_ms) and self.completers.get(upload_id) != owner:
            raise UploadBusy(upload_id)
        due_ms = now_ms + (settle_ms if may_come or upload.state == "completing" else 0)
        held_bytes = self._end(upload)
        self._clean(upload.backend, upload.storage_key, held_bytes, reason, due_ms, upload.backend_upload_id)

    def list_uploads(self, bucket: str, prefix: str, delimiter: str, after_key: str, after_upload_id: str, limit: int) -> UploadsPage:
        uploads = [one for one in self.uploads.values() if one.bucket == bucket and one.backend_upload_id]
        return expected_uploads(uploads, ListQuery(bucket, prefix, delimiter, after_key, 10**6), after_upload_id, limit)

    def stale_uploads(self, before_ms: int, now_ms: int, limit: int) -> Sequence[Upload]:
        stale = [one for one in self.uploads.values() if self._touched_ms(one) < before_ms and not self._is_being_completed(one, now_ms)]
        return tuple(sorted(stale, key=lambda one: (one.initiated_ms, one.upload_id))[:limit])

    # --- workers ---------------------------------------------------------------------------------------------------------------------

    def reap_intents(self, now_ms: int, limit: int, reaper: str = "") -> int:
        dead = [one for one in self.intents.values() if not one.upload_id and one.owner != reaper and not self._lives(one.owner, now_ms)]
        assert len(dead) <= limit, "which of them come first is nobody's promise"
        for one in dead:
            self.abandon_write(one, "reaped", now_ms + one.settle_ms)
        return len(dead)

    def claim_cleanup(self, owner: str, now_ms: int, lease_ms: int, limit: int, *, serving: Mapping[str, str]) -> Sequence[CleanupItem]:
        del owner
        elsewhere = {name for name, bucket in serving.items() if self.located.get(name, "") not in ("", bucket)}
        due = [row for row in self.queue if row.due_ms <= now_ms and row.claimed_until_ms <= now_ms and row.item.backend not in elsewhere]
        claimed = sorted(due, key=lambda row: (row.due_ms, row.item.item_id))[:limit]
        for row in claimed:
            row.claimed_until_ms = now_ms + lease_ms
        return tuple(row.item for row in claimed)

    def finish_cleanup(self, item_ids: Sequence[int]) -> None:
        self.queue = [row for row in self.queue if row.item.item_id not in item_ids]

    def retry_cleanup(self, item_id: int, error: str, next_try_ms: int) -> None:
        del error
        for row in self._waiting(item_id):
            row.item = replace(row.item, attempts=row.item.attempts + 1)
            row.due_ms, row.claimed_until_ms = next_try_ms, 0

    def bury_cleanup(self, item_id: int, error: str, now_ms: int) -> None:
        del error, now_ms
        for row in self._waiting(item_id):
            self.queue.remove(row)
            self.dead.append(row)

    # --- moves, leases ---------------------------------------------------------------------------------------------------------------

    def commit_move(self, found: StoredObject, source: Copy, intent: Intent, now_ms: int) -> bool:
        held = self._take_intent(intent.write_id)
        if held is None:
            raise WriteLost(intent.write_id)
        current = self.objects.get((found.bucket, found.key))
        there = current is not None and current.write_id == found.write_id and source in current.copies
        if current is None or not there or any(copy.backend == intent.backend for copy in current.copies):
            self._clean(held.backend, held.storage_key, held.size_bytes, "move_superseded", now_ms)
            return False
        copies = [copy for copy in current.copies if copy != source] + [Copy(held.backend, held.storage_key, held.size_bytes)]
        self.objects[found.bucket, found.key] = replace(current, copies=tuple(copies))
        self._clean(source.backend, source.storage_key, source.size_bytes, "moved", now_ms)
        return True

    def drop_copy(self, found: StoredObject, copy: Copy, now_ms: int) -> bool:
        current = self.objects.get((found.bucket, found.key))
        if current is None or current.write_id != found.write_id or copy not in current.copies:
            return False
        assert current.copies == (copy,), "no rule here makes a second copy"
        return self._remove(found.bucket, found.key, "purged", now_ms)

    def acquire_lease(self, name: str, owner: str, now_ms: int, ttl_ms: int) -> bool:
        holder, expires_ms = self.leases.get(name, (owner, 0))
        if holder != owner and expires_ms > now_ms:
            return False
        self.leases[name] = (owner, now_ms + ttl_ms)
        return True

    def release_lease(self, name: str, owner: str) -> None:
        if self.leases.get(name, ("", 0))[0] == owner:
            self.leases[name] = (owner, 0)

    # --- inspection ------------------------------------------------------------------------------------------------------------------

    def usage(self) -> dict[str, Usage]:
        backends = {backend for backend, _, _ in self.mentions()} | {intent.backend for intent in self.intents.values()}
        return {backend: self._usage(backend) for backend in backends}

    def queue_depths(self) -> dict[str, int]:
        rows = {"cleanup_queue": self.queue, "cleanup_dlq": self.dead, "intents": self.intents, "uploads": self.uploads}
        return {name: len(found) for name, found in rows.items()}

    def bucket_usage(self) -> dict[str, BucketUsage]:
        sizes: dict[str, list[int]] = {}
        for (bucket, _), found in self.objects.items():
            sizes.setdefault(bucket, []).append(found.size_bytes)
        return {bucket: BucketUsage(bucket, len(found), sum(found)) for bucket, found in sizes.items()}

    def mentions(self) -> Iterator[tuple[str, str, str]]:
        """Backend, storage key and kind of every row that mentions bytes."""
        for found in self.objects.values():
            yield from ((copy.backend, copy.storage_key, "copy") for copy in found.copies)
        yield from ((one.backend, one.storage_key, "intent") for one in self.intents.values() if not one.upload_id)
        yield from ((one.backend, one.storage_key, "upload") for one in self.uploads.values())
        yield from ((row.item.backend, row.item.storage_key, "cleanup") for row in self.queue)
        yield from ((row.item.backend, row.item.storage_key, "dead") for row in self.dead)

    # --- helpers ---------------------------------------------------------------------------------------------------------------------

    def _usage(self, backend: str) -> Usage:
        copies = [copy.size_bytes for one in self.objects.values() for copy in one.copies if copy.backend == backend]
        orphans = [row.item.size_bytes for row in (*self.queue, *self.dead) if row.item.backend == backend]
        reserved = [one.size_bytes for one in self.intents.values() if one.backend == backend]
        for upload in self.uploads.values():
            if upload.backend == backend:
                reserved += [held_bytes for _, held_bytes in self.parts[upload.upload_id].values()]
        return Usage(backend, sum(copies), sum(orphans), sum(reserved), len(copies))

    def _refuse(self, bucket: str, key: str, conditions: Conditions) -> None:
        current = self.objects.get((bucket, key))
        error: DomainError | None = refusal(bucket, key, current.etag if current else None, conditions)
        if error is not None:
            raise error

    def _replace(self, new: NewObject, copy: Copy) -> None:
        self._remove(new.bucket, new.key, "replaced", new.modified_ms)
        self.objects[new.bucket, new.key] = StoredObject(
            *(new.bucket, new.key, new.write_id, new.size_bytes, new.etag, new.modified_ms, new.description, new.digests),
            copies=(copy,),
            part_sizes=new.part_sizes,
        )

    def _remove(self, bucket: str, key: str, reason: Reason, due_ms: int) -> bool:
        old = self.objects.pop((bucket, key), None)
        for copy in old.copies if old else ():
            self._clean(copy.backend, copy.storage_key, copy.size_bytes, reason, due_ms)
        return old is not None

    def _clean(self, backend: str, storage_key: str, size_bytes: int, reason: str, due_ms: int, backend_upload_id: str = "") -> None:
        self._last_item += 1
        item = CleanupItem(self._last_item, backend, storage_key, backend_upload_id, size_bytes, reason, 0)
        self.queue.append(Waiting(item, due_ms))

    def _touched_ms(self, upload: Upload) -> int:
        parts = [part.modified_ms for part, _ in self.parts[upload.upload_id].values()]
        sending = [intent.created_ms for intent in self.intents.values() if intent.upload_id == upload.upload_id]
        return max(upload.initiated_ms, *parts, *sending, 0)

    def _take_intent(self, write_id: str, *, of_a_part: bool = False) -> Intent | None:
        found = self.intents.get(write_id)
        return self.intents.pop(write_id) if found is not None and bool(found.upload_id) == of_a_part else None

    def _upload(self, upload_id: str, *, is_open: bool = False) -> Upload:
        found = self.uploads.get(upload_id)
        if found is None or (is_open and not found.backend_upload_id):
            raise NoSuchUpload(upload_id)
        return found

    def _change(self, upload: Upload, **changes: str) -> None:
        self.uploads[upload.upload_id] = replace(upload, **changes)  # type: ignore[arg-type]  # fields by name

    def _end(self, upload: Upload) -> int:
        """Take it out; returns what it held."""
        held_bytes = sum(size for _, size in self.parts.pop(upload.upload_id).values())
        for intent in [*self.intents.values()]:
            if intent.upload_id == upload.upload_id:
                held_bytes += self.intents.pop(intent.write_id).size_bytes
        del self.uploads[upload.upload_id]
        return held_bytes

    def _lives(self, owner: str, now_ms: int) -> bool:
        return self.leases.get(f"instance/{owner}", ("", 0))[1] > now_ms

    def _is_being_completed(self, upload: Upload, now_ms: int) -> bool:
        return upload.state == "completing" and self._lives(self.completers.get(upload.upload_id, ""), now_ms)

    def _waiting(self, item_id: int) -> list[Waiting]:
        return [row for row in self.queue if row.item.item_id == item_id]
