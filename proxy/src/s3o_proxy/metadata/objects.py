"""The stories of whole objects: commit, delete, find.

Order in every story: decide under the key lock, then consume the intents, then old copies out, new ones in. Who consumes an
intent's row decides what becomes of its bytes; so a commit that finds none has lost them, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.conditions import refusal
from s3o_proxy.domain.errors import DomainError, WriteLost
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Conditions, Copy, NewObject, StoredObject
from s3o_proxy.metadata.port import Deletion
from s3o_proxy.metadata.records import Values, cleanup_values, copy_values, object_values, stored_object
from s3o_proxy.metadata.story import Book, Kind, Row, Steps, ask_each

Address = tuple[str, str]
"""Bucket and key."""


def key_lock(bucket: str, key: str) -> str:
    return f"key/{bucket}/{key}"


@frozen
class CommitWrite:
    new: NewObject
    conditions: Conditions


@frozen
class DeleteObject:
    bucket: str
    key: str
    now_ms: int
    conditions: Conditions


def commit_writes(members: Sequence[CommitWrite], book: Book) -> Steps[list[DomainError | None]]:
    refusals = yield from refuse([(m.new.bucket, m.new.key, m.conditions) for m in members])
    passed = [m for m, error in zip(members, refusals, strict=True) if error is None]
    taken = yield from ask_each("take_intents", [{"write_id": m.new.write_id} for m in passed])
    landed: dict[str, list[Copy]] = {}
    for row in taken:
        landed.setdefault(row["write_id"], []).append(Copy(row["backend"], row["storage_key"], row["size_bytes"]))
        book.move(row["backend"], reserved=-row["size_bytes"])

    yield from replace_objects([(m.new, landed[m.new.write_id]) for m in passed if m.new.write_id in landed], book)
    return [error or (None if m.new.write_id in landed else WriteLost(m.new.write_id)) for m, error in zip(members, refusals, strict=True)]


def delete_objects(members: Sequence[DeleteObject], book: Book) -> Steps[list[Deletion | DomainError]]:
    refusals = yield from refuse([(m.bucket, m.key, m.conditions) for m in members])
    passed = {(m.bucket, m.key): m for m, error in zip(members, refusals, strict=True) if error is None}
    keys = [{"bucket": bucket, "key": key} for bucket, key in passed]
    yield from displace(keys, "deleted", {address: m.now_ms for address, m in passed.items()}, book)
    removed = yield from ask_each("remove_objects", keys)
    existed = {(row["bucket"], row["key"]) for row in removed}
    return [error or Deletion(existed=(m.bucket, m.key) in existed) for m, error in zip(members, refusals, strict=True)]


def find_objects(addresses: Sequence[Address]) -> Steps[dict[Address, StoredObject]]:
    rows = yield from ask_each("find_objects", [{"bucket": bucket, "key": key} for bucket, key in addresses])
    found: dict[Address, list[Row]] = {}
    for row in rows:
        found.setdefault((row["bucket"], row["key"]), []).append(row)
    return {address: stored_object(rows_of_one) for address, rows_of_one in found.items()}


# --- what a completed upload does too ------------------------------------------------------------------------------


def refuse(wanted: Sequence[tuple[str, str, Conditions]]) -> Steps[list[DomainError | None]]:
    """What the conditions of each member say, decided against the committed object under its key lock (I4)."""
    conditional = [{"bucket": bucket, "key": key} for bucket, key, conditions in wanted if conditions]
    rows = yield from ask_each("current_etags", conditional)
    etags = {(row["bucket"], row["key"]): row["etag"] for row in rows}
    return [refusal(bucket, key, etags.get((bucket, key)), conditions) for bucket, key, conditions in wanted]


def replace_objects(replacements: Sequence[tuple[NewObject, Sequence[Copy]]], book: Book) -> Steps[None]:
    """Put new objects, each with its copies, in place of old ones."""
    keys = [{"bucket": new.bucket, "key": new.key} for new, _ in replacements]
    yield from displace(keys, "replaced", {(new.bucket, new.key): new.modified_ms for new, _ in replacements}, book)
    book.later("put_objects", [object_values(new) for new, _ in replacements])
    copies: list[Values] = []
    for new, copies_of_one in replacements:
        for copy in copies_of_one:
            copies.append(copy_values(new, copy))
            book.move(copy.backend, used=copy.size_bytes, objects=1)
    book.later("put_copies", copies)


def displace(keys: Sequence[Mapping[str, str]], reason: Reason, due_ms: Mapping[Address, int], book: Book) -> Steps[None]:
    """Old copies out: their bytes become orphans that cleanup rows mention (I2)."""
    rows = yield from ask_each("displace_copies", keys)
    for row in rows:
        book.move(row["backend"], used=-row["size_bytes"], orphan=row["size_bytes"], objects=-1)
    book.later("put_cleanup", [cleanup_values(row, reason, due_ms[row["bucket"], row["key"]], row["size_bytes"]) for row in rows])


COMMIT_WRITE = Kind(
    "commit_write",
    commit_writes,
    identity=lambda m: key_lock(m.new.bucket, m.new.key),
    locks=lambda m: (key_lock(m.new.bucket, m.new.key),),
)
DELETE_OBJECT = Kind(
    "delete_object", delete_objects, identity=lambda m: key_lock(m.bucket, m.key), locks=lambda m: (key_lock(m.bucket, m.key),)
)
