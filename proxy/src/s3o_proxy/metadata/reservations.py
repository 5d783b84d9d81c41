"""The stories of intents: reserve space, give it up, reap what the dead left.

A quota is exact (I3) because only a reservation ever raises what a backend holds, and it does so while it holds the backend's
row: it sums the stripes in a statement after the one that locked, so it sees every reservation granted before. Everything else
moves bytes between the columns, or lowers them, in one statement per stripe, so a sum read meanwhile is never too small. But for bytes
that came after their reservation was reaped (`abandon_writes`): they lie there, so they are counted.

A fence is exact as well: whoever reserves shares the backend's name as a lock, whoever fences it holds that name alone (`operations`). So
is the bucket of a backend: whoever gives its name another one forgets it first, holding the name alone and only where nothing is mentioned.
So a writer who believes it to lie in another bucket is refused here, and one who is granted has its bytes there until they are unmentioned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from s3o_proxy.domain.cleanup import Reason
from s3o_proxy.domain.errors import DomainError, NoSuchUpload, UploadBusy
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Intent
from s3o_proxy.metadata.operations import backend_lock
from s3o_proxy.metadata.port import Reserved
from s3o_proxy.metadata.records import Values, cleanup_values, intent_values
from s3o_proxy.metadata.story import Book, Kind, Row, Steps, ask, ask_each


@frozen
class Reserve:
    """A reservation for a whole object, or (when the intent names an upload) for a part.

    `backend_bucket`: the bucket where the bytes would go, by what the writer knows of the backend; '' where it does not say.
    """

    intent: Intent
    quota_bytes: int | None
    backend_bucket: str = ""


@frozen
class AbandonWrite:
    intent: Intent
    reason: Reason
    due_ms: int


@frozen
class CancelReservation:
    intent: Intent


@frozen
class ReapIntents:
    now_ms: int
    limit: int
    reaper: str


def upload_lock(upload_id: str) -> str:
    return f"upload/{upload_id}"


def reserve(members: Sequence[Reserve], book: Book) -> Steps[list[Reserved | DomainError]]:
    """Grant in order of arrival whatever fits; a large one that does not fit stands in no small one's way."""
    refusals = yield from _uploads_that_take_no_part(members)
    held, locked = yield from _lock_and_sum({m.intent.backend for m in members if m.quota_bytes is not None}, book)
    outcomes: list[Reserved | DomainError] = []
    fitting: list[Values] = []
    for m in members:
        intent = m.intent
        if refused := refusals.get(intent.upload_id):
            outcomes.append(refused)
            continue
        if intent.backend in held and _is_open(m, locked[intent.backend]):
            if m.quota_bytes is not None and intent.size_bytes > (free := m.quota_bytes - held[intent.backend]):
                outcomes.append(Reserved(granted=False, free_bytes=max(0, free)))
                continue
            held[intent.backend] += intent.size_bytes
        fitting.append(intent_values(intent) | {"backend_bucket": m.backend_bucket})
        outcomes.append(Reserved(granted=True))
    rows = yield from ask_each("put_intents", fitting)
    written = {(row["write_id"], row["backend"]) for row in rows}
    for index, m in enumerate(members):
        if outcomes[index] != Reserved(granted=True):
            continue
        if (m.intent.write_id, m.intent.backend) in written:
            book.move(m.intent.backend, reserved=m.intent.size_bytes)
        else:
            outcomes[index] = Reserved(granted=False, fenced=True)
    return outcomes


def abandon_writes(members: Sequence[AbandonWrite], book: Book) -> Steps[list[DomainError | None]]:
    by_id = {m.intent.write_id: m for m in members}
    rows = yield from ask_each("take_intents", [{"write_id": write_id} for write_id in by_id])
    cleanup = _orphan(rows, {write_id: (m.reason, m.due_ms) for write_id, m in by_id.items()}, book)
    taken = {row["write_id"] for row in rows}
    cleanup += yield from _mention_again([m for write_id, m in by_id.items() if write_id not in taken], book)
    book.later("put_cleanup", cleanup)
    return [None for _ in members]


def _mention_again(members: Sequence[AbandonWrite], book: Book) -> Steps[list[Values]]:
    """An intent that is gone was committed, or else it was reaped: then its cleanup may have looked before the bytes landed.

    So where neither a copy nor the object is of this write, a new row mentions the bytes. It takes the place of one that still waits:
    that may be claimed already, its deletion sent, and be finished any moment.
    """
    rows = yield from ask_each("committed_writes", [_named_bytes(m.intent) for m in members])
    committed = {row["write_id"] for row in rows if row["has_copy"] or row["is_current"]}
    lost = [m for m in members if m.intent.write_id not in committed]
    waiting = yield from ask_each("take_cleanup_of_bytes", [_named_bytes(m.intent) for m in lost])
    due_ms = {(m.intent.backend, m.intent.storage_key): m.due_ms for m in lost}
    queue: list[Values] = []
    for row in waiting:
        later_ms = max(row["due_ms"], due_ms.pop((row["backend"], row["storage_key"]), 0))
        again = cleanup_values(row, row["reason"], later_ms, row["size_bytes"])
        queue.append({**again, "backend_upload_id": row["backend_upload_id"]})
    for m in lost:
        if (m.intent.backend, m.intent.storage_key) in due_ms:
            book.move(m.intent.backend, orphan=m.intent.size_bytes)
            queue.append(cleanup_values(_named_bytes(m.intent), m.reason, m.due_ms, m.intent.size_bytes))
    return queue


def cancel_reservations(members: Sequence[CancelReservation], book: Book) -> Steps[list[DomainError | None]]:
    for row in (yield from ask_each("cancel_intents", [{"write_id": m.intent.write_id} for m in members])):
        book.move(row["backend"], reserved=-row["size_bytes"])
    return [None for _ in members]


def reap_intents(members: Sequence[ReapIntents], book: Book) -> Steps[list[int | DomainError]]:
    reaped: list[int | DomainError] = []
    for m in members:
        rows = yield from ask("reap_intents", now_ms=m.now_ms, reaper=m.reaper, count=m.limit)
        # What a dead owner had asked of a backend may still be under way there.
        due = {row["write_id"]: m.now_ms + row["settle_ms"] for row in rows}
        book.later("put_cleanup", _orphan(rows, {write_id: ("reaped", due_ms) for write_id, due_ms in due.items()}, book))
        reaped.append(len(rows))
    return reaped


def _uploads_that_take_no_part(members: Sequence[Reserve]) -> Steps[dict[str, DomainError]]:
    """Under the uploads' locks: an intent for a part of an upload that is gone would stay reserved for ever."""
    upload_ids = sorted({m.intent.upload_id for m in members if m.intent.upload_id})
    rows = yield from ask_each("find_uploads", [{"upload_id": upload_id} for upload_id in upload_ids])
    open_uploads = {row["upload_id"]: row for row in rows if row["backend_upload_id"]}
    refusals: dict[str, DomainError] = {}
    for upload_id in upload_ids:
        if upload_id not in open_uploads:
            refusals[upload_id] = NoSuchUpload(upload_id)
        elif open_uploads[upload_id]["state"] != "open":
            refusals[upload_id] = UploadBusy(upload_id)
    return refusals


def _is_open(member: Reserve, backend: Row) -> bool:
    """Whether `put_intents` will write it: what it turns away takes no room from those behind it."""
    if member.intent.upload_id:
        return True
    return not backend["fenced_by"] and member.backend_bucket in ("", backend["bucket"])


def _lock_and_sum(backends: Iterable[str], book: Book) -> Steps[tuple[dict[str, int], dict[str, Row]]]:
    """What each backend holds, its row locked; what this transaction itself changes is already counted. And those rows."""
    names = [{"name": name} for name in sorted(backends)]
    locked = yield from ask_each("lock_backends", names)
    if len(locked) < len(names):
        # Unknown so far: without a row there would be nothing to lock.
        yield from ask_each("register_backends", names)
        locked = yield from ask_each("lock_backends", names)
    rows = yield from ask_each("held_bytes", names)
    held = {row["backend"]: row["held_bytes"] for row in rows}
    sums = {name["name"]: held.get(name["name"], 0) + book.held_bytes(name["name"]) for name in names}
    return sums, {row["name"]: row for row in locked}


def _orphan(rows: Sequence[Row], why: Mapping[str, tuple[Reason, int]], book: Book) -> list[Values]:
    """Bytes of consumed intents may have landed: cleanup rows mention them from now on (I2). `why`: reason and due time, by write."""
    cleanup: list[Values] = []
    for row in rows:
        reason, due_ms = why[row["write_id"]]
        cleanup.append(cleanup_values(row, reason, due_ms, row["size_bytes"]))
        book.move(row["backend"], reserved=-row["size_bytes"], orphan=row["size_bytes"])
    return cleanup


def _named_bytes(intent: Intent) -> Values:
    return {
        "write_id": intent.write_id,
        "bucket": intent.bucket,
        "key": intent.key,
        "backend": intent.backend,
        "storage_key": intent.storage_key,
    }


def _locks(member: Reserve) -> tuple[str, ...]:
    return (upload_lock(member.intent.upload_id),) if member.intent.upload_id else ()


RESERVE = Kind(
    "reserve",
    reserve,
    identity=lambda m: f"intent/{m.intent.write_id}/{m.intent.backend}",
    locks=_locks,
    blind=True,
    # A part goes where its upload already lies, fenced or not.
    shares=lambda m: () if m.intent.upload_id else (backend_lock(m.intent.backend),),
)
ABANDON_WRITE = Kind(
    "abandon_write",
    abandon_writes,
    identity=lambda m: f"abandon/{m.intent.write_id}",
    # It may add to what the backend holds, so not while somebody finds nothing left there and forgets it.
    shares=lambda m: (backend_lock(m.intent.backend),),
)
CANCEL_RESERVATION = Kind(
    "cancel_reservation",
    cancel_reservations,
    identity=lambda m: f"cancel/{m.intent.write_id}",
    # Alone, what the reservation took beside others: its COMMIT may still be at work, and a row that it has not committed is not seen.
    locks=lambda m: (upload_lock(m.intent.upload_id) if m.intent.upload_id else backend_lock(m.intent.backend),),
)
REAP_INTENTS = Kind("reap_intents", reap_intents, identity=lambda _: "reap")
