"""The stories that look at everything: what the counters say, what they should say, and which bytes are mentioned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3o_proxy.domain.model import Usage
from s3o_proxy.metadata.port import Mention
from s3o_proxy.metadata.story import Row, Steps, ask

Cursor = tuple[str, int, str]
"""Storage key, rank of the kind, and identity of the last row seen."""

START: Cursor = ("", 0, "")


def usage() -> Steps[Mapping[str, Usage]]:
    return _usages((yield from ask("usage")))


def compare_usage() -> Steps[tuple[Mapping[str, Usage], Mapping[str, Usage]]]:
    """The counters, and the sums over the rows they stand for."""
    counters = yield from ask("usage")
    sums = yield from ask("counted_usage")
    return _usages(counters), _usages(sums)


def queue_depths() -> Steps[Mapping[str, int]]:
    row = (yield from ask("queue_depths"))[0]
    return {name: int(row[name]) for name in ("cleanup_queue", "cleanup_dlq", "intents", "uploads")}


def mentions(backend: str, cursor: Cursor, limit: int) -> Steps[tuple[Sequence[Mention], Cursor]]:
    """The next page behind `cursor`, and the cursor behind that page."""
    after, rank, ident = cursor
    rows = yield from ask("mentions", backend=backend, after=after, after_rank=rank, after_ident=ident, count=limit)
    found = [Mention(row["kind"], row["storage_key"], row["size_bytes"], row["backend_upload_id"]) for row in rows]
    if rows:
        cursor = (rows[-1]["storage_key"], rows[-1]["rank"], rows[-1]["ident"])
    return found, cursor


def mentioned(backend: str, storage_key: str) -> Steps[Mention | None]:
    found, _ = yield from mentions(backend, (storage_key, 0, ""), 1)
    return found[0] if found and found[0].storage_key == storage_key else None


def registrations() -> Steps[Mapping[str, int]]:
    rows = yield from ask("registrations")
    return {row["name"]: int(row["registered_ms"]) for row in rows}


def located() -> Steps[Mapping[str, str]]:
    return {row["name"]: row["bucket"] for row in (yield from ask("located"))}


def vouched(now_ms: int) -> Steps[frozenset[str]]:
    return frozenset(row["name"] for row in (yield from ask("vouched", now_ms=now_ms)))


def which_database() -> Steps[str]:
    """Its id; nothing where somebody took it away, which is the id of no database."""
    rows = yield from ask("which_database")
    return str(rows[0]["id"]) if rows else "none"


def _usages(rows: Sequence[Row]) -> Mapping[str, Usage]:
    return {
        row["backend"]: Usage(
            row["backend"],
            used_bytes=row["used_bytes"],
            orphan_bytes=row["orphan_bytes"],
            reserved_bytes=row["reserved_bytes"],
            objects=row["objects"],
        )
        for row in rows
    }
