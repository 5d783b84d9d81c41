"""How a fate reads in a status: the conditions Draining, Drained and DeletionBlocked, what Stalled and Ready say of it, and the phase.

Ready stays true while a backend is drained: what lies there is served. *Stalled* says that nothing will move until somebody acts, with both
figures when it is for want of room; it goes on by itself once there is some.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from s3o_operator.plan.conditions import Fact, Verdict
from s3o_operator.plan.fates import Fate
from s3o_operator.plan.observed import Object, Observed
from s3o_operator.plan.operations import ACTIVE, CANCELLED, CANCELLING, COMPLETED, QUEUED, STALLED
from s3o_operator.plan.removal import Removal
from s3o_operator.plan.usage import size

_MESSAGE_S = 30
_WAITS_FOR_PODS = "WaitingForProxies"
_ON_ITS_WAY = "Propagating"
"""The reason of one that pods have not been told of as it is now (`plan.sync`)."""


@dataclass(frozen=True)
class Told:
    """`facts`: conditions beside the usual ones. `parts`: of the status; they win over what else is reported."""

    facts: tuple[Fact, ...]
    parts: Object


def fated(fate: Fate, verdict: Verdict) -> Verdict:
    """The verdict on one that is drained, or that goes."""
    if fate.removal is not None and not fate.served:
        return Verdict(ready=False, reason="Deleting", message=fate.removal.message, accepted=verdict.accepted)
    state = fate.drain.get("state")
    if state and verdict.reason == _ON_ITS_WAY and _condition(fate.resource, "Ready").get("status") == "True":
        # That it takes nothing new, or does again, is decided by the database: it serves as before while pods are being told.
        verdict = Verdict(ready=True, reason="Served", message=verdict.message)
    if not verdict.ready or state not in (*ACTIVE, CANCELLING, COMPLETED):
        return verdict
    if state == COMPLETED:
        return Verdict(ready=True, reason="Drained", message="nothing is left on it, and nothing new is put there")
    return Verdict(ready=True, reason="Draining", message="what lies there is served; new objects are put elsewhere")


def tell(fate: Fate, verdict: Verdict, observed: Observed) -> Told:
    facts: list[Fact] = []
    parts = dict(fate.report)
    if fate.resource["kind"] == "StorageBackend" and (fate.drain or observed.operations is not None or _was_looked_up(fate)):
        drain = fate.drain
        facts += [_draining(fate, drain, parts, observed.now), _drained(drain)]
    blocked = _blocked(fate)
    if fate.removal is not None:
        goes_on = Fact("DeletionBlocked", False, *_goes_on(fate, fate.removal))
        facts.append(Fact("DeletionBlocked", True, *blocked) if blocked else goes_on)
    stalled = blocked or _stuck(fate.drain)
    if stalled and (verdict.ready or fate.removal is not None):
        facts.append(Fact("Stalled", True, *stalled))
        facts.append(Fact("Reconciling", False, "Stalled"))
    if "phase" not in parts and (phase := _phase(fate, verdict)):
        parts["phase"] = phase
    return Told(tuple(facts), parts)


def _was_looked_up(fate: Fate) -> bool:
    return any(one.get("type") == "Draining" for one in (fate.resource.get("status") or {}).get("conditions") or [])


def _draining(fate: Fate, drain: Object, parts: Object, now: str) -> Fact:
    state = drain.get("state")
    if state not in (*ACTIVE, CANCELLING):
        reason = {COMPLETED: "Drained", CANCELLED: "Cancelled"}.get(str(state), "NotAsked")
        return Fact("Draining", False, reason)
    reason = {QUEUED: "Queued", CANCELLING: "Cancelling"}.get(state) or drain.get("reason") or "MovingObjects"
    before = _condition(fate.resource, "Draining")
    message = _progress(drain)
    due = _parsed(drain.get("reportedAt"))
    fresh = due is None or datetime.fromisoformat(now) - due >= timedelta(seconds=_MESSAGE_S)
    if before.get("status") == "True" and before.get("reason") == reason and before.get("message") != message and not fresh:
        message = str(before["message"])
    elif before.get("message") != message:
        parts["drain"] = drain | {"reportedAt": now}
    return Fact("Draining", True, reason, message)


def _progress(drain: Object) -> str:
    total, moved = drain.get("objectsTotal"), drain.get("objectsMoved")
    if total is None or moved is None:
        return ""
    uploads = drain.get("uploadsRemaining")
    waits = f"; {uploads} multipart uploads are under way there" if uploads else ""
    return f"{moved} of {total} objects are moved{waits}"


def _drained(drain: Object) -> Fact:
    state = str(drain.get("state"))
    if state == COMPLETED:
        return Fact("Drained", True, "Drained", "nothing is left on it")
    if state in ACTIVE:
        return Fact("Drained", False, "InProgress")
    return Fact("Drained", False, {CANCELLING: "Cancelled", CANCELLED: "Cancelled"}.get(state, "NotAsked"))


def _stuck(record: Object) -> tuple[str, str] | None:
    """Why an operation does not go on, with what is known of it."""
    if record.get("state") != STALLED:
        return None
    reason = str(record.get("reason") or record["state"])
    sentences = []
    needed, there = record.get("requiredBytes"), record.get("destinationBytesAvailable")
    if reason == "InsufficientCapacity" and needed is not None and there is not None:
        room = f"{size(needed)} must be moved ({needed} bytes), and other backends have room for {size(there)} ({there} bytes)"
        sentences.append(f"{room}: add a backend, or raise a quota; it goes on by itself")
    elif said := record.get("message") or record.get("lastError"):
        sentences.append(str(said))
    return reason, "; ".join(sentences) or str(record.get("summary", ""))


def _blocked(fate: Fate) -> tuple[str, str] | None:
    if fate.removal is None:
        return None
    if fate.removal.how == "Blocked":
        return fate.removal.reason, fate.removal.message
    record = fate.report.get("purge") if fate.removal.how == "Purge" else fate.drain
    stuck = _stuck(record or {}) if fate.removal.how in ("Purge", "Drain") else None
    return (stuck[0], f"{stuck[1]}; {fate.removal.message}") if stuck else None


def _goes_on(fate: Fate, removal: Removal) -> tuple[str, str]:
    if fate.leaves:
        return _WAITS_FOR_PODS, "it goes as soon as no proxy serves it any more"
    record = (fate.report.get("purge") if removal.how == "Purge" else fate.drain) or {}
    return removal.reason, f"{record.get('summary', '')}; {removal.message}".removeprefix("; ")


def _phase(fate: Fate, verdict: Verdict) -> str:
    is_backend = fate.resource["kind"] == "StorageBackend"
    if fate.removal is not None and not fate.served:
        if is_backend:
            return "Removing"
        return "Purging" if fate.removal.how == "Purge" else "Released"
    if not verdict.accepted or not is_backend:
        return ""
    if fate.removal is not None and fate.removal.how == "Purge":
        return "Purging"
    state = fate.drain.get("state")
    if state in (*ACTIVE, CANCELLING):
        return "Draining"
    if state == COMPLETED and verdict.ready:
        return "Drained"
    return ""


def _condition(resource: Object, kind: str) -> Object:
    known = (resource.get("status") or {}).get("conditions") or []
    return next((dict(one) for one in known if one.get("type") == kind), {})


def _parsed(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
