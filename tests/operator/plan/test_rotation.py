"""Rotation, step by step: what is planned after each write, and that a step that was done is not done again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import resources
from tests.support.observations import NOW, observed, served, status_of

from s3o_operator.plan.actions import Action, ForgetKeys, Latch, RotateKey, WriteKeys, render
from s3o_operator.plan.observed import Object
from s3o_operator.plan.planner import plan
from s3o_operator.plan.registry import CredentialRef, Entry, KeyPair, Retired

ANNOTATION = "s3orchestrator.io/rotate-credentials"
FIRST, SECOND, THIRD = (KeyPair(f"S3O{name}", f"secret-{name}") for name in ("FIRST", "SECOND", "THIRD"))
IN_AN_HOUR = "2026-11-21T11:00:00Z"
DEFAULT = CredentialRef("default", "photos", "default", "SigV4")
SEEN: Object = {"observedGeneration": 1, "phase": "Bound", "bucketName": "photos"}


def bucket(token: str = "", status: Object | None = None, **spec: Any) -> Object:
    document = served(resources.bucket("photos", **{"credentials": resources.REMOVED, **spec}))
    document["metadata"]["annotations"] = {ANNOTATION: token} if token else {}
    return document | ({"status": status} if status is not None else {})


def first_of(one: Object, entry: Entry, now: str = NOW, ref: CredentialRef = DEFAULT) -> Action:
    return plan(observed(one, entries={ref: entry}, now=now)).actions[0]


def condition(status: Object, kind: str) -> str:
    return "".join(one["message"] for one in status["conditions"] if one["type"] == kind)


def test_a_new_token_is_latched_before_anything_else() -> None:
    latch = first_of(bucket("t1", SEEN), Entry(FIRST))
    assert isinstance(latch, Latch)
    assert latch.status == SEEN | {"lastHandled": {"rotateCredentials": "t1"}, "rotation": {"token": "t1"}}
    assert len(plan(observed(bucket("t1", SEEN), entries={DEFAULT: Entry(FIRST)})).actions) == 1


def test_then_the_registry_gets_a_new_key_and_keeps_the_old_one_for_its_grace_period() -> None:
    latched = SEEN | {"lastHandled": {"rotateCredentials": "t1"}, "rotation": {"token": "t1"}}
    write = first_of(bucket("t1", latched), Entry(FIRST))
    assert isinstance(write, WriteKeys)
    assert write.changes == (RotateKey(DEFAULT, "t1", IN_AN_HOUR),)
    quick = {"name": "default", "generate": {}, "rotation": {"gracePeriod": "5m"}}
    write = first_of(bucket("t1", latched, credentials=[quick]), Entry(FIRST))
    assert isinstance(write, WriteKeys)
    assert write.changes == (RotateKey(DEFAULT, "t1", "2026-11-21T10:05:00Z"),)


def test_then_everybody_is_told_and_the_status_says_that_it_is_done() -> None:
    latched = SEEN | {"lastHandled": {"rotateCredentials": "t1"}, "rotation": {"token": "t1"}}
    seen = observed(bucket("t1", latched), entries={DEFAULT: Entry(FIRST).rotated(SECOND, "t1", NOW, IN_AN_HOUR)})
    status = status_of(seen, "VirtualBucket", "photos")
    assert "rotation" not in status
    assert status["lastHandled"] == {"rotateCredentials": "t1"}
    assert status["credentials"] == [
        {
            "name": "default",
            "accessKeyId": "S3OSECOND",
            "secretName": "photos",
            "rotatedAt": NOW,
            "previousAccessKeyId": "S3OFIRST",
            "previousExpiresAt": IN_AN_HOUR,
        }
    ]
    assert plan(seen).due == "2026-11-21T10:30:00Z"


def test_when_the_grace_period_has_passed_the_old_key_is_forgotten() -> None:
    rotated = Entry(FIRST).rotated(SECOND, "t1", NOW, IN_AN_HOUR)
    write = first_of(bucket("t1", SEEN | {"lastHandled": {"rotateCredentials": "t1"}}), rotated, now=IN_AN_HOUR)
    assert isinstance(write, WriteKeys)
    assert write.changes == (ForgetKeys(DEFAULT),)
    after = plan(observed(bucket("t1", SEEN), entries={DEFAULT: rotated.cleared(IN_AN_HOUR)}, now=IN_AN_HOUR))
    assert "previous" not in render(after)
    assert after.due == ""


@pytest.mark.parametrize("handled", [{"lastHandled": {"rotateCredentials": "t1"}}])
def test_the_same_token_does_nothing_and_neither_does_taking_it_away(handled: Object) -> None:
    for one in (bucket("t1", SEEN | handled), bucket("", SEEN | handled)):
        seen = observed(one, entries={DEFAULT: Entry(FIRST)})
        assert not [action for action in plan(seen).actions if isinstance(action, Latch | WriteKeys)]
        assert status_of(seen, "VirtualBucket", "photos")["lastHandled"] == {"rotateCredentials": "t1"}


def test_at_first_sight_a_token_is_latched_and_nothing_rotates() -> None:
    """A bucket that is restored from a backup, or applied from Git, comes with its annotations and without a status."""
    seen = observed(bucket("t1"), entries={DEFAULT: Entry(FIRST)})
    assert not [action for action in plan(seen).actions if isinstance(action, Latch | WriteKeys)]
    assert status_of(seen, "VirtualBucket", "photos")["lastHandled"] == {"rotateCredentials": "t1"}


def test_the_next_token_waits_until_the_last_is_in_the_registry() -> None:
    """Annotated t1 and t2 in quick succession: neither is lost, and both old keys work as long as was promised."""
    under_way = SEEN | {"lastHandled": {"rotateCredentials": "t1"}, "rotation": {"token": "t1"}}
    write = first_of(bucket("t2", under_way), Entry(FIRST))
    assert isinstance(write, WriteKeys)
    assert write.changes == (RotateKey(DEFAULT, "t1", IN_AN_HOUR),)
    latch = first_of(bucket("t2", under_way), Entry(FIRST).rotated(SECOND, "t1", NOW, IN_AN_HOUR))
    assert isinstance(latch, Latch)
    assert (latch.status["rotation"], latch.status["lastHandled"]) == ({"token": "t2"}, {"rotateCredentials": "t2"})


def test_one_credential_by_name() -> None:
    both: list[Object] = [{"name": name, "generate": {}} for name in ("default", "writer")]
    writer = CredentialRef("default", "photos", "writer", "SigV4")
    entries = {DEFAULT: Entry(FIRST), writer: Entry(SECOND)}
    asked = bucket("t1;name=writer", SEEN, credentials=both)
    (latch,) = plan(observed(asked, entries=entries)).actions
    assert isinstance(latch, Latch)
    assert latch.status["rotation"] == {"token": "t1;name=writer", "credential": "writer"}
    (write,) = plan(observed(bucket("t1;name=writer", latch.status, credentials=both), entries=entries)).actions
    assert isinstance(write, WriteKeys)
    assert [change.credential for change in write.changes] == [writer]


@pytest.mark.parametrize(
    ("token", "credentials", "message"),
    [
        ("t1;nome=writer", resources.REMOVED, "must be TOKEN[;name=...]"),
        ("t1;name=reader", resources.REMOVED, "there is no generated credential reader"),
        ("t1", [{"name": "app", "secretRef": {"name": "backend-keys"}}], "no credential of this bucket is generated"),
    ],
)
def test_nonsense_is_reported_as_long_as_it_stands_there_and_does_nothing(token: str, credentials: Any, message: str) -> None:
    status, entries = SEEN, {DEFAULT: Entry(FIRST)}
    first = plan(observed(bucket(token, status, credentials=credentials), entries=entries)).actions[0]
    if isinstance(first, Latch):
        # It can be read; so it will not be run either when it makes sense one day.
        assert "rotation" not in first.status
        status = first.status
    seen = observed(bucket(token, status, credentials=credentials), entries=entries)
    assert not [action for action in plan(seen).actions if isinstance(action, Latch | WriteKeys)]
    assert message in condition(status_of(seen, "VirtualBucket", "photos"), "InvalidTrigger")
    mended = observed(bucket("", status, credentials=credentials), entries=entries)
    assert condition(status_of(mended, "VirtualBucket", "photos"), "InvalidTrigger") == ""


def test_what_was_begun_is_not_forgotten_while_the_bucket_is_not_served() -> None:
    under_way = SEEN | {"lastHandled": {"rotateCredentials": "t1"}, "rotation": {"token": "t1"}}
    for changes in ({"orchestrator": None}, {"orchestrator": served(resources.orchestrator(server={"tls": {"secretName": "gone"}}))}):
        seen = observed(bucket("t1", under_way), entries={DEFAULT: Entry(FIRST)}, **changes)
        assert not [action for action in plan(seen).actions if isinstance(action, Latch | WriteKeys)]
        assert status_of(seen, "VirtualBucket", "photos")["rotation"] == {"token": "t1"}


def test_a_grace_period_of_centuries_ends_within_what_a_calendar_has() -> None:
    latched = SEEN | {"lastHandled": {"rotateCredentials": "t1"}, "rotation": {"token": "t1"}}
    endless = {"name": "default", "generate": {}, "rotation": {"gracePeriod": "999999999d"}}
    write = first_of(bucket("t1", latched, credentials=[endless]), Entry(FIRST))
    assert isinstance(write, WriteKeys)
    (change,) = write.changes
    assert isinstance(change, RotateKey)
    assert change.expires_at.startswith("2126-")


def test_two_rotations_within_a_grace_period_are_both_kept() -> None:
    entry = Entry(FIRST).rotated(SECOND, "t1", NOW, IN_AN_HOUR).rotated(THIRD, "t2", NOW, "2026-11-21T10:30:00Z")
    assert entry.retired == (Retired(FIRST, IN_AN_HOUR), Retired(SECOND, "2026-11-21T10:30:00Z"))
    assert plan(observed(bucket("t2", SEEN | {"lastHandled": {"rotateCredentials": "t2"}}), entries={DEFAULT: entry})).due.startswith(
        "2026-11-21T10:15"
    )
