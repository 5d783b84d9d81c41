"""What is worth telling once, as an Event: a condition that became what somebody wants to hear of, a secret that was made, what was asked
for and is not done, and what a deletion by force left behind.

A status says what is; an Event says that it came about. So there is one per transition, named after it: whoever tells it again, after a
crash or as another leader, tells the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3o_operator.plan.actions import (
    Action,
    ForgetKeys,
    KeyChange,
    Latch,
    MintToken,
    NewKey,
    Release,
    RotateKey,
    SetStatus,
    WriteKeys,
)
from s3o_operator.plan.observed import Object, Ref
from s3o_operator.plan.removal import FORCED
from s3o_operator.plan.standing import wanted_name

NORMAL, WARNING = "Normal", "Warning"

_WORTH_TELLING = {
    ("Ready", "True"): NORMAL,
    ("Stalled", "True"): WARNING,
    ("ConfigInSync", "False"): WARNING,
    ("DatabaseReady", "False"): WARNING,
    ("Reachable", "False"): WARNING,
    ("Draining", "True"): NORMAL,
    ("Drained", "True"): NORMAL,
    ("DeletionBlocked", "True"): WARNING,
    ("InvalidTrigger", "True"): WARNING,
    ("AccessRestricted", "True"): WARNING,
}
_UNDER_WAY = frozenset({"Propagating", "ScaledToZero"})
"""Reasons by which nothing is wrong."""


@dataclass(frozen=True)
class Happening:
    """`mark`: what tells this one from another of the same reason, the same whoever looks."""

    regarding: Object
    """apiVersion, kind, namespace, name, uid."""
    kind: str
    reason: str
    note: str
    mark: str


def concerned(action: Action) -> list[Ref]:
    """Whose state before an action `happenings` must know."""
    match action:
        case SetStatus(ref=ref) | Latch(ref=ref) | Release(ref=ref):
            return [ref]
        case WriteKeys(changes=changes):
            return [_bucket_of(change) for change in changes]
    return []


def happenings(action: Action, before: Mapping[Ref, Object], now: str) -> list[Happening]:
    """What an action tells that took effect at `now`. What is not in `before` is gone, and of that nothing is told."""
    match action:
        case SetStatus(ref=ref, status=status) if ref in before:
            return _transitions(before[ref], status)
        case Latch(ref=ref, refused=refused, told=told) if ref in before:
            # Latched once, and so told once. The sentence names the tokens, and so tells it from another.
            regarding, noted = _regarding(before[ref]), [(WARNING, *one) for one in refused] + [(NORMAL, *one) for one in told]
            return [Happening(regarding, kind, reason, sentence, sentence) for kind, reason, sentence in noted]
        case Release(ref=ref, why=why) if ref in before and why == FORCED:
            return [Happening(_regarding(before[ref]), WARNING, FORCED, _left_behind(before[ref]), FORCED)]
        case MintToken(owner, secret, why):
            return [Happening(_regarding(owner), NORMAL, "AdminTokenMinted", f"the token in {secret} was {why}", now)]
        case WriteKeys(changes=changes):
            return [_key_changed(change, before[_bucket_of(change)], now) for change in changes if _bucket_of(change) in before]
    return []


def _key_changed(change: KeyChange, bucket: Object, now: str) -> Happening:
    """Never a key."""
    name, regarding = change.credential.name, _regarding(bucket)
    match change:
        case NewKey():
            return Happening(regarding, NORMAL, "KeyMinted", f"credential {name} has a key", name)
        case RotateKey(rotation=rotation, expires_at=expires_at):
            note = f"credential {name} has a new key; the one before works until {expires_at}"
            return Happening(regarding, NORMAL, "KeyRotated", note, f"{name} {rotation}")
        case ForgetKeys():
            return Happening(regarding, NORMAL, "KeyRevoked", f"the key before of credential {name} works no more", f"{name} {now}")


def _left_behind(resource: Object) -> str:
    """By what its status said last: nobody counts it any more."""
    name, usage = wanted_name(resource), (resource.get("status") or {}).get("usage")
    if resource["kind"] == "StorageBackend":
        spec = resource.get("spec") or {}
        place, again = f"bucket {spec.get('bucket')} at {spec.get('endpoint')}", f"StorageBackend with backendName {name}"
    else:
        place, again = "its backends", f"VirtualBucket with bucketName {name}"
    left = f"what was stored ({_counted(usage)}) stays in {place}"
    return f"deleted by force: {left}, and is not served until there is a {again} again"


def _counted(usage: Object | None) -> str:
    return f"{usage['objectCount']} objects, {usage['size']}, as counted at {usage['updatedAt']}" if usage else "not yet counted"


def _bucket_of(change: KeyChange) -> Ref:
    return Ref("VirtualBucket", change.credential.namespace, change.credential.bucket)


def _transitions(resource: Object, status: Object) -> list[Happening]:
    before = {one.get("type"): one for one in (resource.get("status") or {}).get("conditions") or []}
    told = []
    for condition in status.get("conditions") or []:
        kind = _WORTH_TELLING.get((condition["type"], condition["status"]))
        known = before.get(condition["type"], {})
        unchanged = (known.get("status"), known.get("reason")) == (condition["status"], condition["reason"])
        # Ready for another reason is no news; trouble of another kind is.
        still_well = kind == NORMAL and known.get("status") == condition["status"]
        if kind is None or unchanged or still_well or condition["reason"] in _UNDER_WAY:
            continue
        mark = f"{condition['type']} {condition['lastTransitionTime']}"
        told.append(Happening(_regarding(resource), kind, condition["reason"], condition["message"] or condition["type"], mark))
    return told


def _regarding(resource: Object) -> Object:
    metadata = resource["metadata"]
    found = {"apiVersion": resource["apiVersion"], "kind": resource["kind"]}
    return found | {name: metadata[name] for name in ("namespace", "name", "uid")}
