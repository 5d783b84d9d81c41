"""Sieve's *unobserved state*, a change that was over before anybody looked, and its *indirect* bugs, which come of what is not there: no
status, half of one, one of another version."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
import yaml
from tests.support import resources
from tests.support.planned import MAIN, World, fleet, sb, vb
from tests.support.resources import Document
from tests.support.whole_specs import CRDS, Path_, with_value, without

from s3o_crds.kinds import KINDS
from s3o_operator.plan.observed import Object, Ref

KEYS = Ref("Secret", "default", "backend-keys")


def rotate(world: World, secret_access_key: str) -> None:
    data = world.live[KEYS]["data"] | {"AWS_SECRET_ACCESS_KEY": base64.b64encode(secret_access_key.encode()).decode()}
    world.live[KEYS] = world.live[KEYS] | {"data": data}


def served_secrets(world: World) -> set[str]:
    return set(json.loads(base64.b64decode(world.live[Ref("Secret", "default", "main-config")]["data"]["secrets.json"])).values())


class TestUnobserved:
    @pytest.mark.parametrize("seen", [True, False])
    def test_a_secret_rotated_twice(self, seen: bool) -> None:
        world = fleet()
        before = world.config().generation
        rotate(world, "second")
        if seen:
            world.settle()
        rotate(world, "third")
        world.settle()
        assert "third" in served_secrets(world)
        assert not {"shh", "second"} & served_secrets(world)
        assert world.config().generation == before + (2 if seen else 1)

    @pytest.mark.parametrize("seen", [True, False])
    def test_a_secret_rotated_and_put_back(self, seen: bool) -> None:
        world = fleet()
        rotate(world, "second")
        if seen:
            world.settle()
        rotate(world, "shh")
        done = world.settle()
        assert bool(done) == seen, "what was never seen is no reason to write"
        assert "shh" in served_secrets(world)

    def test_an_edit_that_was_taken_back(self) -> None:
        """3 → 1 → 3: all there is to tell is that it was looked at."""
        world = fleet()
        before = dict(world.live)
        world.edit(sb("one"), order=1)
        world.edit(sb("one"), order=100)
        world.settle()
        assert world.live == before
        assert world.status(sb("one"))["observedGeneration"] == 3

    @pytest.mark.parametrize("policy", ["Retain", "Delete"])
    def test_a_bucket_deleted_and_made_again_while_no_operator_ran(self, policy: str) -> None:
        world = fleet()
        world.edit(vb("photos"), deletionPolicy=policy)
        world.settle()
        registry = world.live[Ref("Secret", "default", "main-registry")]["data"]
        world.vanish(vb("photos"))
        world.create(resources.bucket("photos", credentials=resources.REMOVED, deletionPolicy=policy))
        world.settle()
        assert world.operations == [], "its objects are those of whoever has its name"
        assert world.live[Ref("Secret", "default", "main-registry")]["data"] == registry
        assert world.condition(vb("photos"), "Ready")[0] == "True"
        owners = world.live[Ref("Secret", "default", "photos")]["metadata"]["ownerReferences"]
        assert [one["uid"] for one in owners] == [world.resources[vb("photos")]["metadata"]["uid"]]

    def test_a_backend_deleted_and_made_again_while_no_operator_ran(self) -> None:
        world = fleet()
        world.edit(sb("one"), state="Draining")
        world.settle()
        world.vanish(sb("one"))
        world.create(resources.backend("one"))
        world.settle()
        assert [one["state"] for one in world.operations] == ["Cancelled"]
        assert world.forgotten == []
        assert world.condition(sb("one"), "Ready")[0] == "True"


# --- indirect ------------------------------------------------------------------------------------------------------------------------

HALF = {"objectsTotal": 100, "objectsMoved": 40, "objectsRemaining": 60, "bytesTotal": 9, "lastError": "timed out"}
PLAN = {"objects": 100, "bytes": 9, "calls": 300, "fits": True, "backends": {"two": {"bytesIn": 9, "calls": 100}}}


def at_work() -> World:
    """Everything of which a status tells is under way: a drain, a rebalance, a purge, and what was asked for before them."""
    world = fleet("one", "two", "three", buckets=("photos", "music"))
    world.annotate(sb("one"), drain="t1")
    world.annotate(MAIN, rebalance="r1", restart="s1", reconcile="c1")
    world.annotate(vb("photos"), reconcile="c1")
    world.edit(vb("music"), deletionPolicy="Delete")
    world.settle()
    world.delete(vb("music"))
    world.delete(sb("two"))
    world.settle()
    for kind in ("Drain", "Rebalance", "Purge"):
        world.tell("Running", kind=kind, progress=HALF, plan=PLAN)
    world.settle()
    return world


SCENE = at_work()
WHO = (MAIN, sb("one"), sb("two"), vb("photos"), vb("music"))


def copied() -> World:
    return World(dict(SCENE.resources), dict(SCENE.live), [dict(one) for one in SCENE.operations], served=SCENE.served, made=SCENE.made)


@cache
def schema_of(kind: str) -> dict[str, Any]:
    plural = next(one.plural for one in KINDS if one.name == kind)
    definition = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return found


def halves(schema: dict[str, Any], value: Any, path: Path_ = ()) -> Iterator[tuple[str, Callable[[Document], Document]]]:
    """What a schema lets be absent or empty, and words that an operator of another version has written."""
    if isinstance(value, dict):
        if path and not schema.get("required"):
            yield f"{path} empty", lambda status: with_value(status, path, {})
        for name, inner in value.items():
            here = (*path, name)
            if name not in schema.get("required", ()):
                yield f"{here} absent", partial(without, path=here)
            yield from halves(schema["properties"][name], inner, here)
    elif isinstance(value, list):
        if not schema.get("minItems"):
            yield f"{path} empty", lambda status: with_value(status, path, [])
        for number, inner in enumerate(value):
            yield from halves(schema["items"], inner, (*path, number))
    elif "enum" in schema or (isinstance(value, str) and "format" not in schema and path[-1] != "token"):  # another token is another wish
        yield f"{path} unknown", lambda status: with_value(status, path, "Unheard-of")


def outcome(world: World) -> Object:
    """What people and proxies see of it."""
    return {
        "conditions": {ref: [(one["type"], one["status"]) for one in world.status(ref)["conditions"]] for ref in world.resources},
        "asked": sorted((one["kind"], one["backend"], one["bucket"]) for one in world.operations if one["state"] == "Running"),
        "served": [(one.name, one.accepts_writes) for one in world.config().backends],
        "buckets": [one.name for one in world.config().buckets],
        "there": sorted(map(str, world.resources)),
        "children": sorted(map(str, world.live)),
    }


@pytest.mark.parametrize("ref", WHO, ids=str)
def test_half_a_status_or_one_of_another_version_is_made_whole(ref: Ref) -> None:
    whole, count = SCENE.status(ref), 0
    for what, changed in halves(schema_of(ref.kind), whole):
        world = copied()
        world.resources[ref] = world.resources[ref] | {"status": changed(copy.deepcopy(whole))}
        world.settle()
        assert outcome(world) == outcome(SCENE), what
        count += 1
    assert count > 20


@pytest.mark.parametrize("ref", WHO, ids=str)
@pytest.mark.parametrize("status", [None, {}, {"conditions": []}], ids=["none", "empty", "no-conditions"])
def test_without_a_status_it_is_found_out_again(ref: Ref, status: Object | None) -> None:
    world = copied()
    world.resources[ref] = {name: value for name, value in world.resources[ref].items() if name != "status"}
    if status is not None:
        world.resources[ref] |= {"status": status}
    world.settle()
    assert outcome(world) == outcome(SCENE)


@pytest.mark.parametrize(
    "documents",
    [
        [resources.bucket("least", credentials=resources.REMOVED)],
        [resources.bucket("least", credentials=[])],
        [resources.orchestrator() | {"spec": {}}, resources.backend("one")],
        [
            resources.orchestrator(database={}, proxy={}, server={}, routing={}, cleanup={}, access={}, extraEnv=[]),
            resources.backend("one"),
        ],
        [resources.backend("least", quota={}, timeouts={})],
    ],
    ids=["no-credentials", "empty-credentials", "no-spec", "empty-sections", "empty-quota"],
)
def test_without_optional_sections_and_with_empty_ones_all_is_served(documents: list[Document]) -> None:
    world = World()
    for document in (resources.key_pair("backend-keys"), resources.orchestrator(), resources.backend("one"), *documents):
        ref = Ref(document["kind"], "default", document["metadata"]["name"])
        world.resources.pop(ref, None)
        world.create(document)
    world.settle()
    for ref in world.resources:
        assert world.condition(ref, "Ready")[0] == "True", (ref, world.status(ref))
