"""What Argo CD shows, step by step, of resources as the operator's own plans report them: through a drain, and a deletion."""

from __future__ import annotations

from tests.support import resources
from tests.support.argo import enabled, health
from tests.support.planned import MAIN, World, fleet, sb, vb

from s3o_operator.plan.observed import Ref

HALF = {"objectsTotal": 100, "objectsMoved": 40, "objectsRemaining": 60}
DONE = {"objectsTotal": 100, "objectsMoved": 100, "objectsRemaining": 0}
LITTLE_ROOM = {"requiredBytes": 8 * 2**30, "availableBytes": 2**30, "fits": False}


def shown(world: World, ref: Ref) -> tuple[str, str]:
    world.settle()
    return health(world.resources[ref])


def offered(world: World, name: str) -> set[str]:
    return enabled(world.resources[sb(name)]) & {"drain", "cancel-drain"}


def test_what_is_served_is_healthy() -> None:
    world = fleet()
    assert {shown(world, ref)[0] for ref in (MAIN, sb("one"), sb("two"), vb("photos"))} == {"Healthy"}


def test_a_drain_from_its_first_word_to_its_last() -> None:
    world = fleet()
    world.settle()
    assert offered(world, "one") == {"drain"}
    world.annotate(sb("one"), drain="t1")
    assert shown(world, sb("one"))[0] == "Progressing"
    world.tell("Running", progress=HALF)
    assert shown(world, sb("one")) == ("Progressing", "draining: 40% (60 left)")
    assert offered(world, "one") == {"cancel-drain"}
    world.tell("Stalled", reason="InsufficientCapacity", progress=HALF, plan=LITTLE_ROOM)
    status, message = shown(world, sb("one"))
    assert (status, "1073741824 bytes" in message) == ("Degraded", True)
    assert shown(world, MAIN)[0] == "Healthy"
    world.tell("Running", reason="", progress=HALF)
    assert shown(world, sb("one"))[0] == "Progressing"
    world.tell("Succeeded", progress=DONE)
    assert shown(world, sb("one")) == ("Healthy", "drained")
    assert offered(world, "one") == {"cancel-drain"}
    world.annotate(sb("one"), drain="cancel")
    assert shown(world, sb("one"))[0] == "Healthy"
    assert offered(world, "one") == {"drain"}


def test_a_drain_that_git_asks_for_is_not_called_off_by_a_button() -> None:
    world = fleet()
    world.edit(sb("one"), state="Draining")
    assert shown(world, sb("one"))[0] == "Progressing"
    assert offered(world, "one") == set()


def test_a_deletion_says_how_far_it_is_and_what_blocks_it() -> None:
    world = fleet()
    world.settle()
    world.delete(sb("one"))
    world.settle()
    world.tell("Running", progress=HALF)
    status, message = shown(world, sb("one"))
    assert (status, message.startswith("40% (60 left)")) == ("Progressing", True)
    world.tell("Stalled", reason="InsufficientCapacity", progress=HALF, plan=LITTLE_ROOM)
    assert shown(world, sb("one"))[0] == "Degraded"


def test_a_secret_that_was_never_there_degrades_what_names_it_and_nothing_else() -> None:
    world = fleet()
    lost = world.create(resources.backend("three", credentialsSecretRef={"name": "no-such-keys"}))
    status, message = shown(world, lost)
    assert (status, "no-such-keys" in message) == ("Degraded", True)
    assert {shown(world, ref)[0] for ref in (MAIN, sb("one"), vb("photos"))} == {"Healthy"}


def test_a_paused_orchestrator_is_suspended_also_when_its_spec_has_changed_meanwhile() -> None:
    world = fleet()
    world.annotate(MAIN, paused="true")
    assert shown(world, MAIN)[0] == "Suspended"
    world.edit(MAIN, routing={"strategy": "Spread"})
    assert shown(world, MAIN)[0] == "Suspended"
    world.annotate(MAIN, paused=None)
    assert shown(world, MAIN)[0] == "Healthy"
