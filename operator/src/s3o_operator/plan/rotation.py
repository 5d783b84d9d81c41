"""Rotation: the trigger `rotate-credentials` gives generated credentials new keys, and the old ones end when their grace period has passed.

```
annotation ──latch──▶ status.rotation ──registry──▶ new key in, old key retired ──▶ configuration, Secret ──▶ status without rotation
                                                        grace period over ──registry──▶ old key forgotten ──▶ configuration
```

Each step finds out by itself whether it was done: an entry of the registry knows the token that made its key. So whatever dies in between,
no key is lost and none is made twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from s3o_crds.compile import Rejection
from s3o_operator.plan.actions import Action, ForgetKeys, KeyChange, Latch, NewKey, RotateKey, WriteKeys
from s3o_operator.plan.conditions import Fact
from s3o_operator.plan.credentials import KEYS_PENDING, Credentials, Generated
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.registry import Entry, KeyPair, Retired, key_in
from s3o_operator.plan.standing import wanted_name
from s3o_operator.plan.triggers import Request, Trigger, last_handled, latched, problems, request_of, to_report

ROTATE = Trigger("rotate-credentials", frozenset({"name"}))
_LONGEST_GRACE = timedelta(days=36_500)


def before_all_else(observed: Observed, reading: Reading, credentials: Credentials, rejections: Iterable[Rejection]) -> list[Action]:
    """What must stand in the status or in the registry before anything is built on it. For nobody who would not be served then."""
    refused = {Ref(one.kind, one.namespace, one.name): one.reason for one in rejections}
    pending = {bucket for bucket, reason in refused.items() if reason == KEYS_PENDING}
    served = {bucket: all_ for bucket, all_ in sorted(credentials.generated.items()) if bucket not in refused or bucket in pending}
    changes: list[KeyChange] = []
    latches: list[Action] = []
    for bucket, generated in served.items():
        own = _changes(reading.raw[bucket], generated, observed.now)
        changes += own
        # One at a time: what was begun for the last token is in the registry before the next is looked at.
        latches += [] if own or bucket in pending else _latch(reading.raw[bucket], generated)
    return [*([WriteKeys(observed.key, observed.now, tuple(changes))] if changes else []), *latches]


def _changes(resource: Object, generated: Sequence[Generated], now: str) -> list[KeyChange]:
    asked = rotation_in(resource)
    changes: list[KeyChange] = []
    for one in generated:
        if one.entry is None:
            changes.append(NewKey(one.ref, one.secret, resource["metadata"]["uid"], wanted_name(resource)))
        elif asked and asked.get("credential", one.ref.name) == one.ref.name and one.entry.rotation != asked["token"]:
            changes.append(RotateKey(one.ref, asked["token"], _later(now, one.grace_ms)))
        elif one.entry.cleared(now) != one.entry:
            changes.append(ForgetKeys(one.ref))
    return changes


def _later(now: str, ms: int) -> str:
    grace = min(timedelta(milliseconds=ms), _LONGEST_GRACE)
    return _as_text(datetime.fromisoformat(now) + grace)


def _as_text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _latch(resource: Object, generated: Sequence[Generated]) -> list[Latch]:
    request = request_of(resource, ROTATE)
    if request is None or not request.is_new:
        return []
    metadata, status = resource["metadata"], resource["status"] | {"lastHandled": latched(resource, [ROTATE])}
    status = {name: value for name, value in status.items() if name != "rotation"}
    if not _nobodys(request, generated):
        name = request.parameters.get("name")
        status["rotation"] = {"token": request.token} | ({"credential": name} if name else {})
    return [Latch(Ref(resource["kind"], metadata["namespace"], metadata["name"]), metadata["uid"], status, f"rotation {request.token}")]


def _nobodys(request: Request, generated: Sequence[Generated]) -> str:
    """Why there is nothing to rotate, or nothing."""
    if not generated:
        return f"{ROTATE.annotation}: no credential of this bucket is generated; change the Secrets that it names"
    name = request.parameters.get("name")
    if name and name not in {one.ref.name for one in generated}:
        return f"{ROTATE.annotation}: there is no generated credential {name}"
    return ""


def rotation_in(resource: Object) -> Object | None:
    """The one that has been begun, and of which nobody has said yet that it is done."""
    rotation = (resource.get("status") or {}).get("rotation")
    return rotation if isinstance(rotation, dict) and rotation.get("token") else None


def invalid_triggers(resource: Object, generated: Sequence[Generated]) -> list[Fact]:
    """What the annotation says that makes no sense, as a condition that is there as long as it says it."""
    found = problems(resource, [ROTATE])
    if not found and (request := request_of(resource, ROTATE)) and (text := _nobodys(request, generated)):
        found = [text]
    return [Fact("InvalidTrigger", True, "InvalidTrigger", "; ".join(found))] if found else []


def kept(resource: Object, served: bool) -> Object:
    """What stays in a status, whatever becomes of the resource now: the name it is attached under, and what has been taken notice of."""
    before = resource.get("status") or {}
    handled = to_report(resource, [ROTATE]) if resource["kind"] == "VirtualBucket" else last_handled(resource)
    # A rotation that was begun is not forgotten while its bucket is not served.
    names = ("bucketName", "backendName") if served else ("bucketName", "backendName", "rotation")
    return {name: before[name] for name in names if name in before} | ({"lastHandled": handled} if handled else {})


def handed_out(one: Generated, secret: Object | None, *, behind: bool, now: str) -> KeyPair | None:
    """The key for the application's Secret, which is `secret` now. `behind`: some proxies do not know the newest key yet.

    Until they do, it keeps the one that works everywhere; but for half of its grace period at most, or the application would be left with
    no time to change over.
    """
    if one.entry is None:
        return None
    held = key_in(secret, one.ref.type) if secret is not None and behind else None
    for old in one.entry.working(now):
        if old.pair == held and now < _half_time(one.entry, old):
            return held
    return one.entry.pair


def _half_time(entry: Entry, old: Retired) -> str:
    start, end = datetime.fromisoformat(entry.rotated_at), datetime.fromisoformat(old.expires_at)
    return _as_text(start + (end - start) / 2)


def due(generated: Iterable[Generated], now: str) -> str:
    """When the next retired key ends, or is no longer held."""
    retired = [(one.entry, old) for one in generated if one.entry for old in one.entry.working(now)]
    times = [time for entry, old in retired for time in (_half_time(entry, old), old.expires_at) if time > now]
    return min(times, default="")


def reported(generated: Sequence[Generated], now: str) -> list[Object]:
    """`status.credentials`."""
    return [_credential(one, now) for one in sorted(generated, key=lambda one: one.ref.name) if one.entry]


def _credential(one: Generated, now: str) -> Object:
    report: Object = {"name": one.ref.name, "secretName": one.secret.name}
    if one.entry is None:
        return report
    old = one.entry.working(now)
    given = {
        "accessKeyId": one.entry.pair.access_key_id,
        "rotatedAt": one.entry.rotated_at,
        "previousAccessKeyId": old[-1].pair.access_key_id if old else "",
        "previousExpiresAt": old[-1].expires_at if old else "",
    }
    return report | {name: value for name, value in given.items() if value}
