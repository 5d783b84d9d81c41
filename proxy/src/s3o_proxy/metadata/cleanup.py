"""The stories of the cleanup queue: claim, finish, try again, bury."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from s3o_proxy.domain.errors import DomainError
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import CleanupItem
from s3o_proxy.metadata.records import cleanup_item
from s3o_proxy.metadata.story import Book, Kind, Steps, ask, ask_each


@frozen
class ClaimCleanup:
    """`serving`: by backend, the bucket that the owner would look in."""

    owner: str
    now_ms: int
    lease_ms: int
    limit: int
    but_on: tuple[str, ...]
    serving: tuple[tuple[str, str], ...]


@frozen
class FinishCleanup:
    item_ids: tuple[int, ...]


@frozen
class RetryCleanup:
    item_id: int
    error: str
    next_try_ms: int


@frozen
class BuryCleanup:
    item_id: int
    error: str
    now_ms: int


def claim_cleanup(members: Sequence[ClaimCleanup], _book: Book) -> Steps[list[tuple[CleanupItem, ...] | DomainError]]:
    claimed: list[tuple[CleanupItem, ...] | DomainError] = []
    for m in members:
        until_ms, but_on = m.now_ms + m.lease_ms, f",{','.join(m.but_on)},"
        serving = orjson.dumps([{"name": name, "bucket": bucket} for name, bucket in m.serving]).decode()
        asked = {"owner": m.owner, "now_ms": m.now_ms, "until_ms": until_ms, "count": m.limit, "but_on": but_on}
        rows = yield from ask("claim_cleanup", **asked, batch=serving)
        rows = sorted(rows, key=lambda row: (row["due_ms"], row["item_id"]))
        claimed.append(tuple(cleanup_item(row) for row in rows))
    return claimed


def finish_cleanup(members: Sequence[FinishCleanup], book: Book) -> Steps[list[DomainError | None]]:
    item_ids = sorted({item_id for m in members for item_id in m.item_ids})
    for row in (yield from ask_each("finish_cleanup", [{"item_id": item_id} for item_id in item_ids])):
        book.move(row["backend"], orphan=-row["size_bytes"])
    return [None for _ in members]


def retry_cleanup(members: Sequence[RetryCleanup], _book: Book) -> Steps[list[DomainError | None]]:
    yield from ask_each("retry_cleanup", [{"item_id": m.item_id, "error": m.error, "next_try_ms": m.next_try_ms} for m in members])
    return [None for _ in members]


def bury_cleanup(members: Sequence[BuryCleanup], _book: Book) -> Steps[list[DomainError | None]]:
    by_id = {m.item_id: m for m in members}
    rows = yield from ask_each("take_cleanup", [{"item_id": item_id} for item_id in sorted(by_id)])
    buried = [
        {
            "item_id": row["item_id"],
            "backend": row["backend"],
            "storage_key": row["storage_key"],
            "backend_upload_id": row["backend_upload_id"],
            "size_bytes": row["size_bytes"],
            "reason": row["reason"],
            "attempts": row["attempts"] + 1,
            "last_error": by_id[row["item_id"]].error,
            "buried_ms": by_id[row["item_id"]].now_ms,
        }
        for row in rows
    ]
    yield from ask_each("bury_cleanup", buried)
    return [None for _ in members]


CLAIM_CLEANUP = Kind("claim_cleanup", claim_cleanup, identity=lambda m: f"claim/{m.owner}")
FINISH_CLEANUP = Kind("finish_cleanup", finish_cleanup, identity=lambda m: f"finish/{m.item_ids}")
RETRY_CLEANUP = Kind("retry_cleanup", retry_cleanup, identity=lambda m: f"retry/{m.item_id}")
BURY_CLEANUP = Kind("bury_cleanup", bury_cleanup, identity=lambda m: f"bury/{m.item_id}")
