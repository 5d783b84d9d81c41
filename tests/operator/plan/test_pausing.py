"""A paused orchestrator is left as it is, and says so; what happened meanwhile is caught up with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support import resources
from tests.support.planned import MAIN, World, fleet, sb

from s3o_operator.plan.actions import SetStatus
from s3o_operator.plan.observed import Ref
from s3o_operator.plan.pausing import is_paused


def by_spec(world: World, paused: bool) -> None:
    world.edit(MAIN, suspend=paused)


def by_annotation(world: World, paused: bool) -> None:
    world.annotate(MAIN, paused="true" if paused else None)


@pytest.mark.parametrize("pause", [by_spec, by_annotation])
def test_nothing_is_written_but_that_it_is_paused_and_all_is_caught_up_with(pause: Callable[[World, bool], None]) -> None:
    world = fleet()
    pause(world, True)
    assert is_paused(world.resources[MAIN])
    assert [type(action) for action in world.settle()] == [SetStatus]
    assert (world.status(MAIN)["phase"], world.condition(MAIN, "Paused")[0]) == ("Paused", "True")
    assert (world.condition(MAIN, "Ready")[0], world.condition(MAIN, "Reconciling")) == ("True", ("False", "Paused"))
    # An edit, a trigger, a deletion, and drift.
    world.create(resources.backend("three"))
    world.annotate(sb("one"), drain="t1")
    world.delete(sb("two"))
    del world.live[Ref("Service", "default", "main")]
    assert world.settle() == []
    pause(world, False)
    world.settle()
    assert sorted(one["backend"] for one in world.operations) == ["one", "two"]
    assert [one.name for one in world.config().backends] == ["one", "three", "two"]
    assert Ref("Service", "default", "main") in world.live
    assert (world.status(MAIN)["phase"], world.condition(MAIN, "Paused")) == ("Ready", ("", ""))


def test_another_value_of_the_annotation_is_no_pause() -> None:
    world = fleet()
    world.annotate(MAIN, paused="yes")
    assert not is_paused(world.resources[MAIN])


def test_a_deletion_of_the_orchestrator_is_not_held_up() -> None:
    world = fleet()
    by_spec(world, True)
    world.settle()
    world.delete(MAIN)
    world.delete(sb("one"))
    world.settle()
    assert not world.is_there(sb("one"))
