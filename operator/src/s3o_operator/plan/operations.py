"""Operations: one-shot work on many objects, done and remembered by the proxies; here, what is reported of it and asked of them next.

*Record*: what a status holds of one operation (`status.drain`, `status.purge`, `status.rebalance`). It is written before the proxies are
asked for anything, and names the operation for good: they know it by (uid of the resource, kind, token), so that asking again is harmless.
*Carrying* a record: asking for what it says and they do not know, mirroring what they say, cancelling what is no longer meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from s3o_operator.plan.actions import CancelOperation, StartOperation
from s3o_operator.plan.observed import Object, Ref

QUEUED, RUNNING, STALLED = "Queued", "Running", "Stalled"
CANCELLING, CANCELLED, COMPLETED = "Cancelling", "Cancelled", "Completed"
ACTIVE = (QUEUED, RUNNING, STALLED)
HOLDING = (*ACTIVE, COMPLETED)
"""A backend whose drain is in one of these takes nothing new."""
_KNOWN = (*HOLDING, CANCELLING, CANCELLED)
MOST_ENTRIES = 10
_MOST_TEXT = 1000

_STATES = {
    "Pending": QUEUED,
    "Running": RUNNING,
    "Stalled": STALLED,
    "Succeeded": COMPLETED,
    "Cancelled": CANCELLED,
}
"""The proxies' word → ours."""
_FIGURES = (
    *("objectsTotal", "objectsMoved", "objectsRemaining", "objectsFailed", "bytesTotal", "bytesMoved", "bytesRemaining", "bytesPerSecond"),
    *("uploadsRemaining", "estimatedCompletionTime", "lastError"),
)
_PRESENT = ("reason", "message", "estimatedCompletionTime", "lastError", "bytesPerSecond")
_TRAFFIC = ("bytesIn", "bytesOut", "calls")
_PLANNED = ("objects", "bytes", "calls", "fits", "requiredBytes", "availableBytes")


@dataclass(frozen=True)
class Subject:
    """The resource that operations are asked for, and what they are done to: at most one of `backend` and `bucket`."""

    ref: Ref
    uid: str
    backend: str = ""
    bucket: str = ""

    def is_target_of(self, operation: Object) -> bool:
        return (operation.get("backend") or "", operation.get("bucket") or "") == (self.backend, self.bucket)


@dataclass(frozen=True)
class Carried:
    """The record as it is now, what to ask of the proxies, and what the operation was going to cost."""

    record: Object
    actions: tuple[StartOperation | CancelOperation, ...] = ()
    plan: Object | None = None


def new_record(kind: str, trigger: str, token: str) -> Object:
    return {"trigger": trigger, "token": token, "state": QUEUED, "summary": _summary(kind, {"state": QUEUED})}


def record_in(resource: Object, kind: str, name: str) -> Object:
    """What its status holds of an operation, under `name`; or nothing. One that somebody or another version has damaged is made whole: the
    list of operations has its token, too, and the proxies know its state."""
    status = resource.get("status") or {}
    record = status.get(name) or {}
    listed = [one["token"] for one in status.get("operations") or [] if one["kind"] == kind]
    token = record.get("token") or next(iter(listed), "")
    if not record or not token:
        return {}
    return dict(record | {"token": token} | ({} if record.get("state") in _KNOWN else {"state": QUEUED}))


def carry(kind: str, record: Object, subject: Subject, operations: Sequence[Object] | None) -> Carried:
    """`operations`: what the proxies know of this subject and its target; None when they could not be asked. Then nothing is concluded."""
    if operations is None:
        return Carried(record)
    own = find(operations, subject.uid, kind, record.get("token")) if record else None
    # Those of a resource that had the same name before, or that a newer request replaces: nobody means them any more.
    others = [one for one in operations if one["kind"] == kind and one is not own and subject.is_target_of(one) and _holds(one)]
    cancels = tuple(CancelOperation(subject.ref, subject.uid, one["id"], kind) for one in others)
    if not record:
        return Carried(record, cancels)
    mirrored = _mirrored(kind, record, own)
    if record["state"] == CANCELLING and own is not None and _holds(own):
        return Carried(mirrored, (*cancels, CancelOperation(subject.ref, subject.uid, own["id"], kind)), plan_of(own))
    if own is None and record["state"] in ACTIVE and not cancels:
        start = StartOperation(subject.ref, subject.uid, kind, str(record["token"]), subject.backend, subject.bucket)
        return Carried(mirrored, (start,))
    return Carried(mirrored, cancels, plan_of(own))


def find(operations: Iterable[Object], uid: str, kind: str, token: object) -> Object | None:
    return next((one for one in operations if (one["subject"], one["kind"], one["token"]) == (uid, kind, token)), None)


def token_under_way(kind: str, uid: str, operations: Iterable[Object] | None) -> str:
    """Of one that the proxies know, where no status tells of it any more; or nothing."""
    own = [one for one in operations or () if (one["kind"], one["subject"]) == (kind, uid) and is_active(one)]
    return str(own[0]["token"]) if own else ""


def is_busy(record: Object | None) -> bool:
    """Whether there is progress to look at."""
    return bool(record) and (record or {}).get("state") in (*ACTIVE, CANCELLING)


def is_active(operation: Object) -> bool:
    """Whether the proxies are at it, or will be."""
    return _STATES.get(operation["state"]) in ACTIVE


def _holds(operation: Object) -> bool:
    """Active, or a success that still has an effect: a drained backend stays closed until its drain is cancelled."""
    state = _STATES.get(operation["state"])
    return state in ACTIVE or (state == COMPLETED and operation["kind"] == "Drain")


def _mirrored(kind: str, record: Object, operation: Object | None) -> Object:
    """The record with what the proxies say. What they do not say stays: a figure that is missing is not zero."""
    if operation is None:
        # It was never begun, or the proxies have lost it: cancelled is cancelled, all else is asked for (again).
        return record if record["state"] != CANCELLING else _summed_up(kind, record | {"state": CANCELLED})
    state = _STATES.get(operation["state"], RUNNING)
    if record["state"] == CANCELLING:
        state = CANCELLING if _holds(operation) else CANCELLED
    progress, planned = operation.get("progress") or {}, operation.get("plan") or {}
    told: Object = {name: progress[name] for name in _FIGURES if progress.get(name) not in (None, "")}
    told |= {name: operation[name] for name in ("id", "startedAt", "finishedAt", "reason", "message") if operation.get(name)}
    told |= {ours: planned[theirs] for ours, theirs in _ROOM if planned.get(theirs) is not None}
    # What describes the present only is not kept from before.
    kept = {name: value for name, value in record.items() if name not in _PRESENT}
    told |= {name: str(told[name])[:_MOST_TEXT] for name in ("lastError", "message") if name in told}
    return _summed_up(kind, kept | told | {"state": state})


_ROOM = (("requiredBytes", "requiredBytes"), ("destinationBytesAvailable", "availableBytes"))


def _summed_up(kind: str, record: Object) -> Object:
    return record | {"summary": _summary(kind, record)}


def _summary(kind: str, record: Object) -> str:
    total, remaining = record.get("objectsTotal"), record.get("objectsRemaining")
    if record["state"] == COMPLETED:
        return {"Drain": "drained", "Purge": "purged"}.get(kind, "done")
    if total is None or remaining is None or record["state"] == QUEUED:
        return str(record["state"]).lower()
    left = "" if record["state"] == CANCELLED else f" ({remaining} left)"
    word = {STALLED: "stalled at ", CANCELLED: "cancelled at ", CANCELLING: "cancelling at "}.get(record["state"], "")
    return f"{word}{percent(record)}%{left}"


def percent(record: Object) -> int:
    """100 only when nothing is left."""
    total, remaining = record.get("objectsTotal") or 0, record.get("objectsRemaining") or 0
    return 100 if not remaining else min(99, 100 * max(0, total - remaining) // max(1, total))


def plan_of(operation: Object | None) -> Object | None:
    planned = (operation or {}).get("plan")
    if not isinstance(planned, Mapping):
        return None
    backends = [
        {"name": name, **{word: flow[word] for word in _TRAFFIC if flow.get(word) is not None}}
        for name, flow in sorted((planned.get("backends") or {}).items())
    ]
    return {word: planned[word] for word in _PLANNED if planned.get(word) is not None} | {"backends": backends[:100]}


def entries_with(before: Sequence[Object], kind: str, record: Object) -> list[Object]:
    """`status.operations` with this record in its place, the newest first."""
    if not record.get("token"):
        return list(before)
    said = {"message": record["summary"]} if record.get("summary") else {}
    entry = {"kind": kind, "token": record["token"], "state": record["state"], **said}
    entry |= {name: record[name] for name in ("id", "startedAt", "finishedAt") if record.get(name)}
    listed = [entry if (one["kind"], one["token"]) == (kind, entry["token"]) else one for one in before]
    # What was replaced before it ended is over, whatever it said last.
    listed = [one if one is entry or one["kind"] != kind or one["state"] not in (*ACTIVE, CANCELLING) else _given_up(one) for one in listed]
    return (listed if entry in listed else [entry, *listed])[:MOST_ENTRIES]


def _given_up(entry: Object) -> Object:
    return entry | {"state": CANCELLED, "message": "cancelled"}


def unused_token(kind: str, base: str, entries: Sequence[Object]) -> str:
    """A token for something that is wanted anew: one that was used is done for ever."""
    used = {entry["token"] for entry in entries if entry["kind"] == kind}
    return next(token for token in (base, *(f"{base}-{number}" for number in range(2, MOST_ENTRIES + 3))) if token not in used)
