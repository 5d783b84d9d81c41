"""The stories of copies that change their place: a page of them, the move of one, and the end of one.

A move is a write like any other: its intent reserved the space and mentions the bytes. The transaction that ends it decides, under the
key's lock, whether the object is still the one that was read: an overwrite or a delete that came first wins, and the new bytes become a
cleanup row.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import DomainError, WriteLost
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Copy, StoredObject
from s3o_proxy.metadata.objects import find_objects, key_lock
from s3o_proxy.metadata.port import Contents, PinnedUpload, PlacedCopy, Weight
from s3o_proxy.metadata.records import Values, cleanup_values
from s3o_proxy.metadata.story import Book, Kind, Row, Steps, ask, ask_each


@frozen
class CommitMove:
    """`source`: the copy that was read. `intent_id`: the write id of the intent of the bytes that now lie on `target`."""

    found: StoredObject
    source: Copy
    intent_id: str
    target: str
    now_ms: int


@frozen
class DropCopy:
    found: StoredObject
    copy: Copy
    now_ms: int


def commit_moves(members: Sequence[CommitMove], book: Book) -> Steps[list[bool | DomainError]]:
    taken = yield from ask_each("take_intents", [{"write_id": m.intent_id} for m in members])
    intents = {row["write_id"]: row for row in taken}
    whole = [m for m in members if m.intent_id in intents]
    displaced = yield from ask_each("displace_moved", [_displacing(m.found, m.source, m.target) for m in whole])
    old = {(row["backend"], row["storage_key"]): row for row in displaced}
    moved: list[Values] = []
    cleanup: list[Values] = []
    for m in whole:
        intent = intents[m.intent_id]
        book.move(intent["backend"], reserved=-intent["size_bytes"])
        row = old.get((m.source.backend, m.source.storage_key))
        if row is None:
            book.move(intent["backend"], orphan=intent["size_bytes"])
            cleanup.append(cleanup_values(intent, "move_superseded", m.now_ms, intent["size_bytes"]))
            continue
        moved.append(_new_copy(m, intent))
        book.move(intent["backend"], used=intent["size_bytes"], objects=1)
        cleanup.append(_displaced(row, "moved", m.now_ms, book))
    book.later("put_copies", moved)
    book.later("put_cleanup", cleanup)
    return [(m.source.backend, m.source.storage_key) in old if m.intent_id in intents else WriteLost(m.intent_id) for m in members]


def drop_copies(members: Sequence[DropCopy], book: Book) -> Steps[list[bool | DomainError]]:
    displaced = yield from ask_each("displace_moved", [_displacing(m.found, m.copy, "") for m in members])
    now_ms = {(m.copy.backend, m.copy.storage_key): m.now_ms for m in members}
    book.later("put_cleanup", [_displaced(row, "purged", now_ms[row["backend"], row["storage_key"]], book) for row in displaced])
    yield from ask_each("remove_bare_objects", [{"bucket": row["bucket"], "key": row["key"]} for row in displaced])
    gone = {(row["backend"], row["storage_key"]) for row in displaced}
    return [(m.copy.backend, m.copy.storage_key) in gone for m in members]


def copies_on(backend: str, after: str, limit: int) -> Steps[Sequence[PlacedCopy]]:
    rows = yield from ask("copies_on_backend", backend=backend, after=after, count=limit)
    found = yield from find_objects([(row["bucket"], row["key"]) for row in rows])
    placed = []
    for row in rows:
        whole = found.get((row["bucket"], row["key"]))
        copy = next((copy for copy in whole.copies if copy.storage_key == row["storage_key"]), None) if whole else None
        placed.append(PlacedCopy(row["storage_key"], whole, copy))
    return placed


def uploads_to_end(backend: str, bucket: str, limit: int) -> Steps[Sequence[PinnedUpload]]:
    if backend:
        rows = yield from ask("uploads_on_backend", backend=backend, count=limit)
    else:
        rows = yield from ask("uploads_in_bucket", bucket=bucket, count=limit)
    return [PinnedUpload(row["upload_id"], is_open=bool(row["backend_upload_id"]), initiated_ms=row["initiated_ms"]) for row in rows]


def weigh_backend(backend: str) -> Steps[Sequence[Weight]]:
    rows = yield from ask("weigh_backend", backend=backend)
    return [Weight(frozenset(filter(None, row["others"].split(","))), row["objects"], row["bytes"], row["largest_bytes"]) for row in rows]


def bucket_remains(bucket: str) -> Steps[Contents]:
    row = (yield from ask("bucket_remains", bucket=bucket))[0]
    return Contents(row["objects"], row["bytes"], row["intents"], row["uploads"])


def _displacing(found: StoredObject, copy: Copy, target: str) -> Values:
    return {
        "bucket": found.bucket,
        "key": found.key,
        "write_id": found.write_id,
        "backend": copy.backend,
        "storage_key": copy.storage_key,
        "target": target,
    }


def _new_copy(member: CommitMove, intent: Row) -> Values:
    return {
        "bucket": member.found.bucket,
        "key": member.found.key,
        "backend": intent["backend"],
        "storage_key": intent["storage_key"],
        "size_bytes": intent["size_bytes"],
        "created_ms": member.now_ms,
    }


def _displaced(row: Row, reason: Reason, now_ms: int, book: Book) -> Values:
    book.move(row["backend"], used=-row["size_bytes"], orphan=row["size_bytes"], objects=-1)
    return cleanup_values(row, reason, now_ms, row["size_bytes"])


COMMIT_MOVE = Kind(
    "commit_move",
    commit_moves,
    identity=lambda m: key_lock(m.found.bucket, m.found.key),
    locks=lambda m: (key_lock(m.found.bucket, m.found.key),),
)
DROP_COPY = Kind(
    "drop_copy",
    drop_copies,
    identity=lambda m: key_lock(m.found.bucket, m.found.key),
    locks=lambda m: (key_lock(m.found.bucket, m.found.key),),
)
