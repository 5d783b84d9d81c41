"""The stories of one-shot operations: ask, record, cancel; and of the fence that some of them put around a backend.

The fence is exact: whoever grants space on a backend shares the backend's name as a lock, whoever closes it holds that name alone. So what
was granted before stands in the rows that the operation looks at afterwards, and nothing is granted after.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3o_proxy.domain.errors import BackendInUse, DomainError, NoSuchOperation, OperationConflict
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.operation import Operation, Remains
from s3o_proxy.metadata.operation_records import operation, operation_values, recorded_values
from s3o_proxy.metadata.story import Book, Kind, Steps, ask, ask_each

_ASKING = "operations"
"""Held by whoever asks for an operation or ends one: they are few, and must see each other."""


@frozen
class AskOperation:
    operation: Operation


@frozen
class RecordOperation:
    operation: Operation


@frozen
class CancelOperation:
    operation_id: str
    now_ms: int


@frozen
class HastenCleanup:
    backend: str
    due_ms: int


@frozen
class ForgetBackend:
    """`bucket`, `owner`: where it lies from now on, and who says so; '' where nobody does."""

    backend: str
    bucket: str = ""
    owner: str = ""


def backend_lock(backend: str) -> str:
    return f"backend/{backend}"


def ask_operations(members: Sequence[AskOperation], _book: Book) -> Steps[list[Operation | DomainError]]:
    # Their identity lets one into a transaction at a time.
    (m,) = members
    return [(yield from _ask_operation(m.operation))]


def _ask_operation(asked: Operation) -> Steps[Operation | DomainError]:
    known = yield from ask("operation_of_token", subject=asked.subject, kind=asked.kind, token=asked.token)
    if known:
        return operation(known[0])
    active = yield from ask("operation_on_target", kind=asked.kind, backend=asked.backend, bucket=asked.bucket)
    if active:
        return OperationConflict(active[0]["operation_id"], asked.kind, asked.target)
    yield from ask_each("put_operation", [operation_values(asked)])
    if asked.fences:
        yield from ask("fence_backend", backend=asked.backend, operation_id=asked.operation_id)
    return asked


def record_operations(members: Sequence[RecordOperation], _book: Book) -> Steps[list[bool | DomainError]]:
    rows = yield from ask_each("record_operation", [recorded_values(m.operation) for m in members])
    recorded = {row["operation_id"] for row in rows}
    return [m.operation.operation_id in recorded for m in members]


def cancel_operations(members: Sequence[CancelOperation], _book: Book) -> Steps[list[Operation | DomainError]]:
    outcomes: list[Operation | DomainError] = []
    for m in members:
        yield from ask("cancel_operation", operation_id=m.operation_id, now_ms=m.now_ms)
        rows = yield from ask("find_operation", operation_id=m.operation_id)
        if not rows:
            outcomes.append(NoSuchOperation(m.operation_id))
            continue
        found = operation(rows[0])
        if found.state == "Cancelled":
            yield from ask("open_backend", backend=found.backend, operation_id=found.operation_id)
        outcomes.append(found)
    return outcomes


def hasten_cleanups(members: Sequence[HastenCleanup], _book: Book) -> Steps[list[DomainError | None]]:
    for m in members:
        yield from ask("hasten_cleanup", backend=m.backend, due_ms=m.due_ms)
    return [None for _ in members]


def forget_backends(members: Sequence[ForgetBackend], book: Book) -> Steps[list[DomainError | None]]:
    outcomes: list[DomainError | None] = []
    for m in members:
        left = yield from remains(m.backend)
        if not left.nothing:
            counts = {"copies": left.copies, "intents": left.intents, "uploads": left.uploads, "cleanups": left.cleanups, "dead": left.dead}
            outcomes.append(BackendInUse(m.backend, counts))
            continue
        yield from ask("forget_usage", backend=m.backend)
        yield from ask("forget_backend", backend=m.backend)
        book.forget(m.backend)
        if m.bucket:
            yield from ask_each("locate_backends", [{"name": m.backend, "bucket": m.bucket}], owner=m.owner)
        outcomes.append(None)
    return outcomes


def find_operation(operation_id: str) -> Steps[Operation | None]:
    rows = yield from ask("find_operation", operation_id=operation_id)
    return operation(rows[0]) if rows else None


def list_operations(subject: str, limit: int) -> Steps[Sequence[Operation]]:
    return [operation(row) for row in (yield from ask("list_operations", subject=subject, count=limit))]


def active_operations() -> Steps[Sequence[Operation]]:
    return [operation(row) for row in (yield from ask("active_operations"))]


def fences() -> Steps[frozenset[str]]:
    return frozenset(row["name"] for row in (yield from ask("fences")))


def remains(backend: str) -> Steps[Remains]:
    row = (yield from ask("remains", backend=backend))[0]
    # The counters are read instead of the copies being counted: of those there may be millions.
    has_copies = bool(row["has_copies"])
    return Remains(
        copies=max(1, row["copies"]) if has_copies else 0,
        copy_bytes=row["copy_bytes"] if has_copies else 0,
        intents=row["intents"],
        uploads=row["uploads"],
        cleanups=row["cleanups"],
        dead=row["dead"],
        error=row["error"],
    )


def _backends_of(members: Sequence[CancelOperation]) -> Steps[list[str]]:
    """Whoever opens a backend has its name alone: else its row, locked here before those of reservations, would be out of their order."""
    names = []
    for m in members:
        names += [backend_lock(row["backend"]) for row in (yield from ask("find_operation", operation_id=m.operation_id)) if row["backend"]]
    return names


def _locks_of_asking(member: AskOperation) -> tuple[str, ...]:
    return (_ASKING, backend_lock(member.operation.backend)) if member.operation.fences else (_ASKING,)


ASK_OPERATION = Kind("ask_operation", ask_operations, identity=lambda _: "operations", locks=_locks_of_asking)
RECORD_OPERATION = Kind("record_operation", record_operations, identity=lambda m: f"operation/{m.operation.operation_id}")
CANCEL_OPERATION = Kind(
    "cancel_operation",
    cancel_operations,
    identity=lambda m: f"operation/{m.operation_id}",
    locks=lambda _: (_ASKING,),
    scout=_backends_of,
)
HASTEN_CLEANUP = Kind("hasten_cleanup", hasten_cleanups, identity=lambda m: f"hasten/{m.backend}")
FORGET_BACKEND = Kind(
    "forget_backend", forget_backends, identity=lambda m: backend_lock(m.backend), locks=lambda m: (backend_lock(m.backend),)
)
