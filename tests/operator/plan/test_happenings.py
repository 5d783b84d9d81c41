"""What is told once: what came about and somebody wants to hear of. Who tells it again tells the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.operator.plan.test_planner import KEY, served
from tests.support import resources
from tests.support.planned import World, fleet, sb, vb

from s3o_operator.apply.announce import build_event
from s3o_operator.plan.actions import Latch, MintToken, NewKey, Release, RotateKey, SetStatus, WriteKeys
from s3o_operator.plan.happenings import Happening, concerned, happenings
from s3o_operator.plan.observed import Object, Ref, ref_of
from s3o_operator.plan.registry import CredentialRef

NOW = "2026-11-21T10:00:00Z"
BUCKET = served(resources.bucket())


def conditions(*those: tuple[str, str, str], at: str = NOW) -> Object:
    return {
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": f"of {kind}", "lastTransitionTime": at}
            for kind, status, reason in those
        ]
    }


def told(before: Object, after: Object) -> list[tuple[str, str, str]]:
    action = SetStatus(ref_of(BUCKET), "uid-of-photos", after)
    return [(one.kind, one.reason, one.note) for one in happenings(action, {ref_of(BUCKET): BUCKET | {"status": before}}, NOW)]


READY = ("Ready", "True", "Served")
WAITS = ("Ready", "False", "Propagating")
STALLED = ("Stalled", "True", "SecretNotFound")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, conditions(READY), [("Normal", "Served", "of Ready")]),
        (conditions(WAITS), conditions(READY), [("Normal", "Served", "of Ready")]),
        (conditions(READY), conditions(READY), []),
        (conditions(READY), conditions(("Ready", "True", "Draining")), []),
        (conditions(READY), conditions(WAITS), []),
        ({}, conditions(STALLED), [("Warning", "SecretNotFound", "of Stalled")]),
        (conditions(STALLED), conditions(STALLED), []),
        (conditions(STALLED), conditions(("Stalled", "True", "NameConflict")), [("Warning", "NameConflict", "of Stalled")]),
        (conditions(STALLED), conditions(("Stalled", "False", "NotStalled")), []),
        ({}, conditions(("ConfigInSync", "False", "Propagating")), []),
        ({}, conditions(("ConfigInSync", "False", "Refused")), [("Warning", "Refused", "of ConfigInSync")]),
        ({}, conditions(("Ready", "True", "ScaledToZero")), []),
        ({}, conditions(("InvalidTrigger", "True", "InvalidTrigger")), [("Warning", "InvalidTrigger", "of InvalidTrigger")]),
    ],
)
def test_transitions_are_told_and_states_are_not(before: Object, after: Object, expected: list[tuple[str, str, str]]) -> None:
    assert told(before, after) == expected


def test_of_what_is_gone_nothing_is_told() -> None:
    assert happenings(SetStatus(ref_of(BUCKET), "uid", conditions(READY)), {}, NOW) == []


def test_keys_are_told_of_and_never_shown() -> None:
    credential = CredentialRef("default", "photos", "app", "SigV4")
    secret = Ref("Secret", "default", "photos")
    action = WriteKeys(KEY, NOW, (NewKey(credential, secret, "uid", "photos"), RotateKey(credential, "t-1", "2026-11-21T11:00:00Z")))
    minted, rotated = happenings(action, {ref_of(BUCKET): BUCKET}, NOW)
    assert (minted.reason, minted.note) == ("KeyMinted", "credential app has a key")
    assert rotated.note == "credential app has a new key; the one before works until 2026-11-21T11:00:00Z"
    owner = served(resources.orchestrator())
    (token,) = happenings(MintToken(owner, Ref("Secret", "default", "main-admin"), "missing"), {}, NOW)
    assert token.note == "the token in Secret default/main-admin was missing"


def test_the_same_transition_has_the_same_name_whoever_tells_it() -> None:
    def name(at: str, instance: str) -> str:
        action = SetStatus(ref_of(BUCKET), "uid", conditions(READY, at=at))
        (one,) = happenings(action, {ref_of(BUCKET): BUCKET}, NOW)
        found: str = build_event(one, instance, datetime.now(UTC))["metadata"]["name"]
        return found

    assert name(NOW, "a") == name(NOW, "b") != name("2026-11-21T10:00:01Z", "a")
    assert name(NOW, "a").startswith("photos.")


def test_an_event_is_short_enough_for_the_api_server() -> None:
    long = served(resources.bucket("n" * 253), name="n" * 253)
    status = conditions(STALLED)
    status["conditions"][0]["message"] = "m" * 2000
    (one,) = happenings(SetStatus(ref_of(long), "uid", status), {ref_of(long): long}, NOW)
    event = build_event(one, "i" * 300, datetime.now(UTC))
    assert (len(event["metadata"]["name"]) <= 253, len(event["note"]), len(event["reportingInstance"])) == (True, 1000, 128)


def told_by(world: World) -> list[Happening]:
    """By what is neither a report nor about keys, until there is nothing to do; as the reconciler looks: before each plan."""
    found: list[Happening] = []
    for _ in range(30):
        planned = world.planned(world.observed())
        before = {ref: world.resources[ref] for action in planned.actions for ref in concerned(action) if ref in world.resources}
        done = world.carry_out(planned, lambda action: None)
        found += [one for action in done if isinstance(action, Latch | Release) for one in happenings(action, before, NOW)]
        if not done:
            return found
    raise AssertionError("no end")


class TestWhatIsNotDone:
    def test_a_second_drain_is_refused_once(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        assert told_by(world) == []
        world.annotate(sb("one"), drain="t2")
        (refused,) = told_by(world)
        assert (refused.kind, refused.reason) == ("Warning", "DrainIsRunning")
        assert refused.note == "a drain is under way already (token t1); t2 starts no other"
        assert refused.regarding["uid"] == world.resources[sb("one")]["metadata"]["uid"]
        assert told_by(world) == []

    def test_a_cancel_that_is_overruled_is_told_once_for_each_drain(self) -> None:
        world = fleet()
        world.edit(sb("one"), state="Draining")
        world.settle()
        world.annotate(sb("one"), drain="cancel")
        (first,) = told_by(world)
        assert (first.reason, first.note) == (
            "DrainNotCancelled",
            "the drain (token spec-2) goes on: spec.state is Draining, and wins over the annotation",
        )
        assert told_by(world) == []
        world.edit(sb("one"), state="Active")
        world.annotate(sb("one"), drain=None)
        world.settle()
        world.annotate(sb("one"), drain="t3")
        world.settle()
        world.edit(sb("one"), state="Draining")
        world.annotate(sb("one"), drain="cancel")
        (second,) = told_by(world)
        assert second.note == "the drain (token t3) goes on: spec.state is Draining, and wins over the annotation"
        assert first.mark != second.mark


class TestForce:
    def test_what_a_backend_leaves_behind_is_told_once(self) -> None:
        world = fleet()
        usage = {"objectCount": 281, "size": "852Ki", "updatedAt": NOW}
        world.resources[sb("one")] |= {"status": world.status(sb("one")) | {"usage": usage}}
        world.annotate(sb("one"), force_delete="one")
        world.delete(sb("one"))
        (left,) = told_by(world)
        assert (left.kind, left.reason) == ("Warning", "ForceDeleted")
        assert left.note == (
            f"deleted by force: what was stored (281 objects, 852Ki, as counted at {NOW}) stays in bucket data at https://one.example.com, "
            "and is not served until there is a StorageBackend with backendName one again"
        )
        assert told_by(world) == []

    def test_a_bucket_that_nobody_counted(self) -> None:
        world = fleet()
        world.annotate(vb("photos"), force_delete="photos")
        world.delete(vb("photos"))
        (left,) = told_by(world)
        assert "what was stored (not yet counted) stays in its backends" in left.note

    def test_a_deletion_by_the_policy_leaves_nothing_to_be_told(self) -> None:
        world = fleet()
        world.edit(sb("one"), deletionPolicy="Retain")
        world.settle()
        world.delete(sb("one"))
        assert told_by(world) == []
        assert not world.is_there(sb("one"))

    def test_whoever_tells_it_again_tells_the_same(self) -> None:
        resource = served(resources.backend("one"))
        ref = ref_of(resource)
        release = Release(ref, resource["metadata"]["uid"], "ForceDeleted")
        (first,) = happenings(release, {ref: resource}, NOW)
        (again,) = happenings(release, {ref: resource}, "2026-11-21T10:00:07Z")
        assert first == again
        assert happenings(release, {}, NOW) == []
