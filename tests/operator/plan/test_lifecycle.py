"""What triggers, edits and deletions lead to, in any order, with the operator ending between any two of its writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from tests.support import resources
from tests.support.planned import MAIN, Crash, World, fleet, sb, vb

from s3o_operator.plan.actions import Action, CancelOperation, Ensure, Latch, Release, SetStatus, StartOperation
from s3o_operator.plan.lifecycle import wants_operations
from s3o_operator.plan.observed import Ref

DONE = {"objectsTotal": 100, "objectsMoved": 100, "objectsRemaining": 0}
HALF = {"objectsTotal": 100, "objectsMoved": 40, "objectsRemaining": 60}
LITTLE_ROOM = {"requiredBytes": 8 * 2**30, "availableBytes": 2**30, "fits": False}


def takes_new(world: World, name: str) -> bool | None:
    """None: it is not served at all."""
    found = [one for one in world.config().backends if one.name == name]
    return found[0].accepts_writes if found else None


def serves(world: World, bucket: str) -> bool:
    return bucket in [one.name for one in world.config().buckets]


class TestDrain:
    def test_by_annotation(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        done = world.settle()
        assert [type(action) for action in done if not isinstance(action, Ensure)][:2] == [Latch, StartOperation]
        assert takes_new(world, "one") is False
        assert world.condition(sb("one"), "Ready") == ("True", "Draining")
        assert world.status(sb("one"))["phase"] == "Draining"
        world.tell("Running", progress=HALF)
        world.settle()
        assert world.status(sb("one"))["drain"]["summary"] == "40% (60 left)"
        assert world.condition(sb("one"), "Draining") == ("True", "MovingObjects")
        world.tell("Succeeded", progress=DONE)
        world.settle()
        assert world.condition(sb("one"), "Drained") == ("True", "Drained")
        assert (world.status(sb("one"))["phase"], takes_new(world, "one")) == ("Drained", False)

    def test_its_annotation_taken_away_cancels_nothing(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        world.settle()
        world.annotate(sb("one"), drain=None)
        world.settle()
        assert [one["state"] for one in world.operations] == ["Pending"]

    def test_cancelled_half_way_it_takes_new_objects_again(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        world.settle()
        world.tell("Running", progress=HALF)
        world.settle()
        world.annotate(sb("one"), drain="cancel")
        world.settle()
        assert [one["state"] for one in world.operations] == ["Cancelled"]
        assert takes_new(world, "one") is True
        assert world.status(sb("one"))["phase"] == "Ready"
        assert world.status(sb("one"))["drain"]["summary"] == "cancelled at 40%"
        assert (world.condition(sb("one"), "Draining"), world.condition(sb("one"), "Drained")) == (("False", "Cancelled"),) * 2

    def test_ready_stays_true_while_pods_are_being_told(self) -> None:
        """The kubelet takes its time, and reads go on."""
        world = fleet()
        world.serving = False
        for value, phase, reason in (("t1", "Draining", "Draining"), ("cancel", "Ready", "Served")):
            world.annotate(sb("one"), drain=value)
            world.settle()
            assert (world.condition(sb("one"), "Ready"), world.status(sb("one"))["phase"]) == (("True", reason), phase)

    def test_by_spec_and_back(self) -> None:
        world = fleet()
        world.edit(sb("one"), state="Draining")
        world.settle()
        world.tell("Succeeded", progress=DONE)
        world.settle()
        assert world.condition(sb("one"), "Drained")[0] == "True"
        world.edit(sb("one"), state="Active")
        world.settle()
        assert ([one["state"] for one in world.operations], takes_new(world, "one")) == (["Cancelled"], True)

    def test_draining_active_draining_quickly_ends_in_a_drain(self) -> None:
        """Unobserved state: the middle one may be seen or not."""
        for seen in (True, False):
            world = fleet()
            world.edit(sb("one"), state="Draining")
            world.settle()
            world.edit(sb("one"), state="Active")
            if seen:
                world.settle()
            world.edit(sb("one"), state="Draining")
            world.settle()
            active = [one for one in world.operations if one["state"] == "Pending"]
            assert len(active) == 1
            assert (world.status(sb("one"))["phase"], takes_new(world, "one")) == ("Draining", False)

    def test_two_tokens_quickly_are_one_drain(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        world.annotate(sb("one"), drain="t2")
        world.settle()
        world.annotate(sb("one"), drain="t3")
        world.settle()
        assert [(one["token"], one["state"]) for one in world.operations] == [("t2", "Pending")]
        assert world.status(sb("one"))["lastHandled"] == {"drain": "t3"}

    def test_what_stands_there_at_first_sight_is_latched_and_not_run(self) -> None:
        """A restored or re-created resource; what is declared in its spec is run."""
        world = fleet()
        annotations = {"s3orchestrator.io/drain": "t1"}
        restored = resources.backend("three")
        world.create(restored | {"metadata": restored["metadata"] | {"annotations": annotations}})
        world.create(resources.backend("four", state="Draining"))
        world.settle()
        assert [one["backend"] for one in world.operations] == ["four"]
        assert world.status(sb("three"))["lastHandled"] == {"drain": "t1"}

    def test_without_room_both_figures_are_told_and_it_goes_on_by_itself(self) -> None:
        world = fleet()
        world.edit(sb("one"), state="Draining")
        world.settle()
        world.tell("Stalled", reason="InsufficientCapacity", progress=HALF, plan=LITTLE_ROOM)
        world.settle()
        assert world.condition(sb("one"), "Stalled") == ("True", "InsufficientCapacity")
        assert world.condition(sb("one"), "Ready") == ("True", "Draining")
        assert world.condition(sb("one"), "Reconciling")[0] == "False"
        (told,) = [one["message"] for one in world.status(sb("one"))["conditions"] if one["type"] == "Stalled"]
        assert "8589934592 bytes" in told
        assert "1073741824 bytes" in told
        world.tell("Running", reason="", progress=HALF)
        world.settle()
        assert world.condition(sb("one"), "Stalled")[0] == "False"

    def test_progress_is_kept_while_nobody_answers(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        world.settle()
        world.tell("Running", progress=HALF)
        world.settle()
        before = world.status(sb("one"))["drain"]
        world.reachable = False
        world.settle()
        assert world.status(sb("one"))["drain"] == before

    def test_a_namesake_does_not_inherit_it(self) -> None:
        """Stale state: deleted and made anew under the same name; what was asked for the old one is cancelled, and the new one is open."""
        world = fleet()
        world.edit(sb("one"), state="Draining")
        world.settle()
        world.tell("Succeeded", progress=DONE)
        world.settle()
        world.vanish(sb("one"))
        world.create(resources.backend("one"))
        world.settle()
        assert [one["state"] for one in world.operations] == ["Cancelled"]
        assert (world.status(sb("one"))["phase"], takes_new(world, "one")) == ("Ready", True)

    def test_one_without_its_secret_goes_on(self) -> None:
        world = fleet()
        world.edit(sb("one"), state="Draining")
        world.settle()
        world.delete(Ref("Secret", "default", "backend-keys"))
        world.settle()
        assert takes_new(world, "one") is False
        assert world.condition(sb("one"), "Accepted") == ("True", "SecretGone")
        assert world.condition(sb("one"), "Ready") == ("True", "Draining")

    def test_progress_is_looked_at_only_while_there_is_some(self) -> None:
        world = fleet()
        assert not wants_operations(world.observed())
        world.annotate(sb("one"), drain="t1")
        world.settle()
        assert wants_operations(world.observed())
        world.tell("Succeeded", progress=DONE)
        world.settle()
        assert not wants_operations(world.observed())

    def test_they_are_looked_at_for_whatever_goes_and_for_a_bucket_that_is_not_served_yet(self) -> None:
        """One of that name may have left a purge."""
        world = fleet()
        world.serving = False
        world.create(resources.bucket("videos", credentials=resources.REMOVED))
        assert wants_operations(world.observed())
        world.settle()
        assert wants_operations(world.observed())
        world.serving = True
        world.settle()
        assert not wants_operations(world.observed())
        world.serving = False
        world.delete(vb("videos"))
        world.settle()
        assert wants_operations(world.observed())

    def test_the_message_is_renewed_every_thirty_seconds_and_the_figures_always(self) -> None:
        world = fleet()
        world.annotate(sb("one"), drain="t1")
        world.settle()

        def seen(moved: int, now: str) -> tuple[str, int]:
            world.now = now
            world.tell("Running", progress=HALF | {"objectsMoved": moved, "objectsRemaining": 100 - moved})
            world.settle()
            (message,) = [one["message"] for one in world.status(sb("one"))["conditions"] if one["type"] == "Draining"]
            return message, world.status(sb("one"))["drain"]["objectsMoved"]

        assert seen(10, "2026-11-21T11:00:00Z") == ("10 of 100 objects are moved", 10)
        assert seen(20, "2026-11-21T11:00:29Z") == ("10 of 100 objects are moved", 20)
        assert seen(30, "2026-11-21T11:00:30Z") == ("30 of 100 objects are moved", 30)


def by_annotation(world: World) -> None:
    world.annotate(sb("one"), drain="t1")


def by_spec(world: World) -> None:
    world.edit(sb("one"), state="Draining")


def by_deletion(world: World) -> None:
    world.delete(sb("one"))


def by_deletion_of_the_bucket(world: World) -> None:
    world.edit(vb("photos"), deletionPolicy="Delete")
    world.delete(vb("photos"))


@pytest.mark.parametrize("begin", [by_annotation, by_spec, by_deletion, by_deletion_of_the_bucket])
def test_an_operator_that_ends_between_any_two_writes_does_everything_once(begin: Callable[[World], None]) -> None:
    """Intermediate state: every write of every plan is once the last one; the next operator goes on from there."""

    def story(crash_at: int) -> tuple[World, int]:
        world, seen = fleet(), itertools.count()

        def before_each(_: Action) -> None:
            if next(seen) == crash_at:
                raise Crash

        def operator() -> None:
            try:
                world.settle(before_each)
            except Crash:
                world.settle(before_each)

        begin(world)
        operator()
        for kind in ("Drain", "Purge"):
            world.tell("Succeeded", kind=kind, progress=DONE)
        operator()
        return world, next(seen)

    plain, writes = story(-1)
    assert writes > 3
    for crash_at in range(writes):
        world, _ = story(crash_at)
        assert [(one["token"], one["state"]) for one in world.operations] == [(one["token"], one["state"]) for one in plain.operations]
        assert world.outline() == plain.outline(), f"after a crash at write {crash_at}"
        assert world.settle() == []


def test_a_plan_for_a_namesake_touches_nothing() -> None:
    """Stale state: plans name the uid; the world refuses another, as the API server does."""
    world = fleet()
    world.annotate(sb("one"), drain="t1")
    stale = world.observed()
    world.vanish(sb("one"))
    world.create(resources.backend("one"))
    world.carry_out(world.planned(stale), lambda action: None)
    world.settle()
    assert (world.operations, takes_new(world, "one")) == ([], True)


def actions_of(done: list[Action]) -> list[type]:
    return [type(action) for action in done if isinstance(action, StartOperation | CancelOperation | Release)]


def test_nothing_is_asked_twice() -> None:
    world = fleet()
    world.annotate(sb("one"), drain="t1")
    assert actions_of(world.settle()) == [StartOperation]
    assert world.settle() == []


@pytest.mark.parametrize("ref", [MAIN, sb("one"), vb("photos")])
def test_a_reconcile_is_noted_when_everything_was_looked_at(ref: Ref) -> None:
    world = fleet()
    world.annotate(ref, reconcile="r1")
    assert [type(action) for action in world.settle()] == [SetStatus]
    assert world.status(ref)["lastHandled"] == {"reconcile": "r1"}
    world.annotate(ref, reconcile=None)
    assert world.settle() == []
