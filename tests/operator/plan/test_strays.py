"""A drain or a purge that nobody means any more is cancelled, whoever asked for it and wherever he is; one that is meant goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support import resources
from tests.support.planned import MAIN, World, fleet, sb, vb

from s3o_operator.plan.actions import CancelOperation, Ensure, Release
from s3o_operator.plan.observed import Object, Ref

Begun = Callable[[], World]
HALF = {"objectsTotal": 100, "objectsMoved": 40, "objectsRemaining": 60}


def active(world: World) -> list[tuple[str, str]]:
    going = [one for one in world.operations if one["state"] in ("Pending", "Running", "Stalled")]
    return [(one["kind"], one["backend"] or one["bucket"]) for one in going]


def purging_bucket() -> World:
    world = fleet()
    world.edit(vb("photos"), deletionPolicy="Delete")
    world.settle()
    world.delete(vb("photos"))
    world.settle()
    world.tell("Running", kind="Purge", progress=HALF)
    world.settle()
    assert active(world) == [("Purge", "photos")]
    return world


def purging_backend() -> World:
    world = fleet()
    world.edit(sb("one"), deletionPolicy="Purge")
    world.delete(sb("one"))
    world.annotate(sb("one"), confirm_purge="one")
    world.settle()
    world.tell("Running", kind="Purge", progress=HALF)
    world.settle()
    assert active(world) == [("Purge", "one")]
    return world


def draining_backend() -> World:
    world = fleet()
    world.delete(sb("one"))
    world.settle()
    world.tell("Running", progress=HALF)
    world.settle()
    assert active(world) == [("Drain", "one")]
    return world


BEGINNINGS = [(purging_bucket, vb("photos")), (purging_backend, sb("one")), (draining_backend, sb("one"))]


@pytest.mark.parametrize(("begun", "ref"), BEGINNINGS)
class TestWhatIsNotMeantAnyMore:
    def test_force_delete_keeps_what_is_left(self, begun: Begun, ref: Ref) -> None:
        world = begun()
        world.annotate(ref, force_delete=ref.name)
        done = [type(action) for action in world.settle()]
        assert (world.is_there(ref), active(world)) == (False, [])
        assert done.index(CancelOperation) < done.index(Release)

    def test_retain_keeps_what_is_left_and_goes_when_it_was_cancelled(self, begun: Begun, ref: Ref) -> None:
        world = begun()
        world.edit(ref, deletionPolicy="Retain")
        world.reachable = False
        world.settle()
        assert (world.is_there(ref), len(active(world))) == (True, 1)
        world.reachable = True
        world.settle()
        assert (world.is_there(ref), active(world)) == (False, [])

    def test_one_made_anew_inherits_nothing(self, begun: Begun, ref: Ref) -> None:
        """Released by force while the proxies were away, or its finalizers taken off: nobody is left who could ask."""
        world = begun()
        world.vanish(ref)
        anew = resources.backend("one") if ref.kind == "StorageBackend" else resources.bucket("photos", credentials=resources.REMOVED)
        world.create(anew)
        done = world.settle()
        assert active(world) == []
        assert world.condition(ref, "Ready")[0] == "True"
        # And is served no sooner.
        ensured = [one.manifest["metadata"]["name"] if isinstance(one, Ensure) else type(one) for one in done]
        assert ensured.index(CancelOperation) < ensured.index("main-config")

    def test_nor_what_goes_on_when_the_orchestrator_is_made_anew(self, begun: Begun, ref: Ref) -> None:
        """On the same database."""
        world = begun()
        world.reachable = False
        world.delete(MAIN)
        world.settle()
        assert not world.is_there(ref)
        world.create(resources.orchestrator())
        world.reachable = True
        world.settle()
        assert active(world) == []

    def test_while_it_is_meant_it_goes_on(self, begun: Begun, ref: Ref) -> None:
        world = begun()
        world.edit(MAIN, routing={"strategy": "Pack"})
        world.annotate(ref, paused="true")
        world.settle()
        world.annotate(ref, paused=None)
        world.settle()
        assert len(active(world)) == 1
        world.tell("Succeeded", kind=active(world)[0][0], progress=HALF)
        world.settle()
        assert not world.is_there(ref)


def test_a_purge_that_is_confirmed_no_more_stops_and_begins_again_when_it_is() -> None:
    world = purging_backend()
    world.annotate(sb("one"), confirm_purge=None)
    world.settle()
    assert (active(world), world.condition(sb("one"), "DeletionBlocked")) == ([], ("True", "PurgeNotConfirmed"))
    assert world.status(sb("one"))["purge"]["state"] == "Cancelled"
    world.annotate(sb("one"), confirm_purge="one")
    world.settle()
    assert active(world) == [("Purge", "one")]
    assert [(one["token"], one["state"]) for one in world.operations] == [("deletion-2", "Pending"), ("deletion", "Cancelled")]
    world.tell("Succeeded", kind="Purge", progress=HALF)
    world.settle()
    assert not world.is_there(sb("one"))


def test_a_drain_is_given_up_for_a_purge() -> None:
    world = draining_backend()
    world.edit(sb("one"), deletionPolicy="Purge")
    world.annotate(sb("one"), confirm_purge="one")
    world.settle()
    assert active(world) == [("Purge", "one")]
    assert world.status(sb("one"))["drain"]["state"] == "Cancelled"


def test_a_purge_is_given_up_for_a_drain() -> None:
    world = purging_backend()
    world.edit(sb("one"), deletionPolicy="Drain")
    world.settle()
    assert active(world) == [("Drain", "one")]


def test_a_bucket_that_cannot_be_read_any_more_is_not_emptied_further() -> None:
    world = purging_bucket()
    world.edit(vb("photos"), maxMultipartUploads="many")
    world.settle()
    assert (active(world), world.condition(vb("photos"), "DeletionBlocked")) == ([], ("True", "Invalid"))
    world.edit(vb("photos"), maxMultipartUploads=5)
    world.settle()
    assert active(world) == [("Purge", "photos")]


def test_a_backend_that_cannot_be_read_is_drained_on() -> None:
    world = draining_backend()
    world.edit(sb("one"), quota={"bytes": "many"})
    world.settle()
    assert active(world) == [("Drain", "one")]


def test_what_was_told_last_counts_while_paused_where_it_is_to_destroy_nothing() -> None:
    world = purging_bucket()
    world.annotate(vb("photos"), paused="true")
    world.settle()
    assert active(world) == [("Purge", "photos")]
    world.edit(vb("photos"), deletionPolicy="Retain")
    world.settle()
    assert (active(world), world.is_there(vb("photos"))) == ([], True)


def test_a_rebalance_is_asked_for_by_the_orchestrator_and_goes_on() -> None:
    world = fleet()
    world.annotate(MAIN, rebalance="t1")
    world.settle()
    world.tell("Running", kind="Rebalance", progress=HALF)
    world.settle()
    assert active(world) == [("Rebalance", "")]


def test_one_that_ended_is_left_alone() -> None:
    world = fleet()
    ended: Object = {"id": "op", "subject": "gone", "kind": "Purge", "token": "t", "backend": "", "bucket": "photos", "state": "Succeeded"}
    world.operations.append(ended)
    assert world.settle() == []
