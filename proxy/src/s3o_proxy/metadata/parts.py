"""The stories of single parts: commit, release, list. Their reservations are made as for whole objects."""

from __future__ import annotations

from collections.abc import Sequence

from s3o_proxy.domain.errors import DomainError, WriteLost
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Part
from s3o_proxy.metadata.records import Values, part, part_values
from s3o_proxy.metadata.reservations import upload_lock
from s3o_proxy.metadata.story import Book, Kind, Row, Steps, ask, ask_each


@frozen
class CommitPart:
    write_id: str
    part: Part


@frozen
class ReleasePart:
    write_id: str
    certainly_not_landed: bool


def commit_parts(members: Sequence[CommitPart], book: Book) -> Steps[list[DomainError | None]]:
    """The intent's reservation becomes the part's: nothing moves but what this part replaces."""
    rows = yield from ask_each("take_part_intents", [{"write_id": m.write_id} for m in members])
    intents = {row["write_id"]: row for row in rows}
    backends = {row["upload_id"]: row["backend"] for row in rows}
    landed: dict[tuple[str, int], tuple[CommitPart, Row]] = {}
    for m in members:
        if (intent := intents.get(m.write_id)) is None:
            continue
        number = (intent["upload_id"], intent["part_number"])
        if number in landed:
            _, earlier = landed[number]
            book.move(earlier["backend"], reserved=-earlier["size_bytes"])
        landed[number] = (m, intent)

    numbers: list[Values] = [{"upload_id": upload_id, "part_number": part_number} for upload_id, part_number in landed]
    for row in (yield from ask_each("replaced_parts", numbers)):
        book.move(backends[row["upload_id"]], reserved=-(row["stored_bytes"] or 0))
    now_ms = max((m.part.modified_ms for m in members), default=0)
    for row in (yield from ask_each("take_dead_attempts", numbers, now_ms=now_ms)):
        book.move(row["backend"], reserved=-row["size_bytes"])
    book.later("put_parts", [part_values(upload_id, m.part, intent["size_bytes"]) for (upload_id, _), (m, intent) in landed.items()])
    return [None if m.write_id in intents else WriteLost(m.write_id) for m in members]


def release_parts(members: Sequence[ReleasePart], book: Book) -> Steps[list[DomainError | None]]:
    """A part's bytes lie inside its upload, where no cleanup of their own could remove them: unless they certainly are not there, they
    stay reserved, under an owner that never lives."""
    gone = [{"write_id": m.write_id} for m in members if m.certainly_not_landed]
    for row in (yield from ask_each("take_part_intents", gone)):
        book.move(row["backend"], reserved=-row["size_bytes"])
    yield from ask_each("disown_part_intents", [{"write_id": m.write_id} for m in members if not m.certainly_not_landed])
    return [None for _ in members]


def list_parts(upload_id: str, after: int, limit: int) -> Steps[tuple[tuple[Part, ...], bool]]:
    rows = yield from ask("list_parts", upload_id=upload_id, after=after, count=limit + 1)
    return tuple(part(row) for row in rows[:limit]), len(rows) > limit > 0


def _uploads_of(members: Sequence[CommitPart]) -> Steps[list[str]]:
    """The ledger is told only the write: which upload to lock stands in its intent."""
    rows = yield from ask_each("uploads_of_intents", [{"write_id": m.write_id} for m in members])
    return [upload_lock(row["upload_id"]) for row in rows]


COMMIT_PART = Kind("commit_part", commit_parts, identity=lambda m: f"part/{m.write_id}", scout=_uploads_of)
RELEASE_PART = Kind("release_part", release_parts, identity=lambda m: f"part/{m.write_id}")
