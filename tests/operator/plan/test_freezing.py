"""A backend or a bucket that is paused is left as it is, while everything else goes on; what happened meanwhile is caught up with."""

from __future__ import annotations

import base64
import json

import pytest
from tests.support import resources
from tests.support.planned import KEY, MAIN, World, fleet, sb, vb

from s3o_operator.plan.observed import Object, Ref
from s3o_operator.plan.registry import read_registry, shards_of

HEAD = Ref("Secret", "default", "main-config")
BOTH = (sb("one"), vb("photos"))


def paused(world: World, ref: Ref, value: str | None = "true") -> None:
    world.annotate(ref, paused=value)
    world.settle()


def given(world: World, ref: Ref) -> Object | None:
    """What proxies are given of it."""
    parts = world.config().backends if ref.kind == "StorageBackend" else world.config().buckets
    return next((one.model_dump() for one in parts if one.name == ref.name), None)


@pytest.mark.parametrize("ref", BOTH)
def test_it_says_so_and_stays_ready(ref: Ref) -> None:
    world = fleet()
    paused(world, ref)
    assert (world.condition(ref, "Paused")[0], world.condition(ref, "Reconciling")) == ("True", ("False", "Paused"))
    assert world.status(ref)["phase"] == "Paused"
    assert world.condition(ref, "Ready")[0] == "True"
    assert (world.status(MAIN)["backends"]["summary"], world.status(MAIN)["buckets"]["summary"]) == ("2/2", "1/1")
    paused(world, ref, None)
    assert world.condition(ref, "Paused") == ("", "")
    assert world.condition(ref, "Ready")[0] == "True"


def test_an_edit_of_a_paused_backend_reaches_nobody_until_it_goes_on() -> None:
    world = fleet()
    paused(world, sb("one"))
    before = given(world, sb("one"))
    world.edit(sb("one"), order=77, quota={"bytes": "1Gi"})
    world.edit(sb("two"), order=88)
    world.settle()
    assert given(world, sb("one")) == before
    assert (given(world, sb("two")) or {})["order"] == 88
    paused(world, sb("one"), None)
    assert (given(world, sb("one")) or {})["order"] == 77


def test_neither_what_makes_no_sense_nor_a_lost_secret_takes_it_out() -> None:
    world = fleet()
    paused(world, sb("one"))
    before = given(world, sb("one"))
    world.edit(sb("one"), order="many")
    world.delete(Ref("Secret", "default", "backend-keys"))
    world.settle()
    assert given(world, sb("one")) == before


def test_no_trigger_is_answered_and_what_runs_goes_on() -> None:
    world = fleet()
    world.annotate(sb("two"), drain="t0")
    world.settle()
    paused(world, sb("one"))
    paused(world, sb("two"))
    world.annotate(sb("one"), drain="t1")
    world.annotate(sb("two"), drain="cancel")
    world.settle()
    assert [(one["backend"], one["state"]) for one in world.operations] == [("two", "Pending")]
    assert (given(world, sb("two")) or {})["accepts_writes"] is False
    paused(world, sb("one"), None)
    paused(world, sb("two"), None)
    assert [(one["backend"], one["state"]) for one in world.operations] == [("one", "Pending"), ("two", "Cancelled")]


@pytest.mark.parametrize("ref", BOTH)
def test_a_deletion_waits_and_says_so(ref: Ref) -> None:
    world = fleet()
    paused(world, ref)
    before = given(world, ref)
    world.delete(ref)
    world.settle()
    assert world.is_there(ref)
    assert world.condition(ref, "DeletionBlocked") == ("True", "Paused")
    assert (given(world, ref), world.operations) == (before, [])
    paused(world, ref, None)
    world.tell("Succeeded", progress={"objectsTotal": 0, "objectsMoved": 0, "objectsRemaining": 0})
    world.settle()
    assert not world.is_there(ref)


@pytest.mark.parametrize("ref", BOTH)
def test_it_goes_with_its_orchestrator(ref: Ref) -> None:
    """Nobody would resume it."""
    world = fleet()
    paused(world, ref)
    world.delete(MAIN)
    world.delete(ref)
    world.settle()
    assert not world.is_there(ref)


def test_a_paused_bucket_keeps_its_keys_its_children_and_its_name() -> None:
    world = fleet()
    paused(world, vb("photos"))
    before, keys = given(world, vb("photos")), read_registry(shards_of(KEY, world.live.values()))
    world.edit(vb("photos"), credentials=[{"name": "another", "generate": {}}])
    world.annotate(vb("photos"), rotate_credentials="t1")
    world.create(resources.changed(resources.bucket("thief", credentials=resources.REMOVED), {"spec.bucketName": "photos"}))
    world.settle()
    assert given(world, vb("photos")) == before
    assert read_registry(shards_of(KEY, world.live.values())) == keys
    assert Ref("Secret", "default", "photos") in world.live
    assert world.condition(vb("thief"), "Accepted") == ("False", "BucketNameConflict")


@pytest.mark.parametrize("ref", [sb("three"), vb("videos")])
def test_one_that_was_never_served_is_not_until_it_goes_on(ref: Ref) -> None:
    world = fleet()
    made = resources.backend("three") if ref.kind == "StorageBackend" else resources.bucket("videos", credentials=resources.REMOVED)
    world.create(made | {"metadata": made["metadata"] | {"annotations": {"s3orchestrator.io/paused": "true"}}})
    world.settle()
    assert (given(world, ref), world.condition(ref, "Ready")) == (None, ("False", "Paused"))
    paused(world, ref, None)
    assert (given(world, ref) is not None, world.condition(ref, "Ready")[0]) == (True, "True")


def test_one_that_only_wants_a_name_does_not_take_the_part_of_who_has_it() -> None:
    world = fleet()
    late = resources.changed(resources.backend("late"), {"spec.backendName": "one", "spec.order": 5})
    world.create(late | {"metadata": late["metadata"] | {"annotations": {"s3orchestrator.io/paused": "true"}}})
    world.settle()
    world.edit(sb("one"), order=99)
    world.settle()
    assert [(one.name, one.order) for one in world.config().backends if one.name == "one"] == [("one", 99)]


@pytest.mark.parametrize("damage", ["gone", "another"])
def test_when_what_it_was_is_lost_it_is_served_by_its_spec(damage: str) -> None:
    """Or nobody could read what is stored there."""
    world = fleet()
    paused(world, sb("one"))
    if damage == "gone":
        del world.live[HEAD]
    else:
        head = world.live[HEAD]
        config = json.loads(base64.b64decode(head["data"]["config.json"])) | {"backends": []}
        data = head["data"] | {"config.json": base64.b64encode(json.dumps(config).encode()).decode()}
        world.live[HEAD] = head | {"data": data}
    world.settle()
    assert given(world, sb("one")) is not None
    assert given(world, vb("photos")) is not None
