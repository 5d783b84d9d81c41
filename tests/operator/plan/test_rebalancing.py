"""A rebalance is asked for by a token, once; what is asked meanwhile is one more afterwards."""

from __future__ import annotations

from tests.support.planned import MAIN, World, fleet

from s3o_operator.plan.rebalancing import REBALANCE

HALF = {"objectsTotal": 10, "objectsMoved": 5, "objectsRemaining": 5}


def asked(world: World) -> list[tuple[str, str]]:
    return [(one["token"], one["state"]) for one in world.operations]


def test_a_token_is_one_run_for_the_whole_orchestrator() -> None:
    world = fleet()
    world.annotate(MAIN, rebalance="t1")
    world.settle()
    assert asked(world) == [("t1", "Pending")]
    assert (world.operations[0]["backend"], world.operations[0]["bucket"]) == ("", "")
    world.tell("Running", kind="Rebalance", progress=HALF)
    world.settle()
    assert world.status(MAIN)["rebalance"]["summary"] == "50% (5 left)"
    assert world.condition(MAIN, "Ready")[0] == "True"
    world.tell("Succeeded", kind="Rebalance")
    world.settle()
    assert (world.status(MAIN)["rebalance"]["summary"], world.settle()) == ("done", [])
    assert world.status(MAIN)["lastHandled"] == {REBALANCE.latch: "t1"}


def test_tokens_meanwhile_are_one_more_run_by_the_last_of_them() -> None:
    world = fleet()
    for token in ("t1", "t2", "t3"):
        world.annotate(MAIN, rebalance=token)
        world.settle()
    assert asked(world) == [("t1", "Pending")]
    world.tell("Succeeded", kind="Rebalance")
    world.settle()
    assert asked(world) == [("t3", "Pending"), ("t1", "Succeeded")]


def test_cancel_ends_it_and_what_was_to_follow() -> None:
    world = fleet()
    for token in ("t1", "t2", "cancel"):
        world.annotate(MAIN, rebalance=token)
        world.settle()
    assert asked(world) == [("t1", "Cancelled")]
    assert world.status(MAIN)["rebalance"]["state"] == "Cancelled"


def test_a_restart_is_latched_for_the_template_of_the_pods() -> None:
    world = fleet()
    world.annotate(MAIN, restart="r1")
    world.settle()
    assert world.status(MAIN)["lastHandled"] == {"restart": "r1"}
    world.annotate(MAIN, restart=None)
    world.settle()
    assert world.status(MAIN)["lastHandled"] == {"restart": "r1"}
