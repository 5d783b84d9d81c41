"""Acto's *undesired state*: a declared property that is not realised, or stays when it is no longer declared. Every field of every CRD.

Each case goes there and back: whole spec, changed spec, whole spec again. What is made of the changed one is what would be made of it from
nothing; and in the end everything is as before.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.support import resources, whole_specs
from tests.support.planned import MAIN, World, sb, vb
from tests.support.resources import Document
from tests.support.whole_specs import WHOLE, Path_, fields_of, named, places, value_at, with_value, without

from s3o_crds.parse import InvalidResource, parse_resource
from s3o_operator.plan.manifests.config import DIGEST, GENERATION
from s3o_operator.plan.manifests.labels import APPLIED
from s3o_operator.plan.observed import Ref

REFS = {"S3Orchestrator": MAIN, "StorageBackend": sb("one"), "VirtualBucket": vb("photos")}
CASES = [(kind, number) for kind, specs in WHOLE.items() for number in range(len(specs))]
IMMUTABLE = {"orchestratorRef", "orchestratorRef.namespace", "backendName", "bucketName", "database", "database.driver"}
"""An API server refuses to take them out (`tests/crds/test_rules.py`)."""

TWINS = ("worker.podTemplate.", ".podAntiAffinity.", ".egressExtra[].to[].")
"""Sections that are read by the same lines as another: below them nothing is tried a second time."""

each_whole_spec = pytest.mark.parametrize(("kind", "number"), CASES, ids=lambda each: str(each))


def world_with(kind: str, spec: Document) -> World:
    """Settled, with one resource of each kind; the one of `kind` says this."""
    world = World()
    for secret in whole_specs.secrets():
        world.create(secret)
    documents = {
        "S3Orchestrator": resources.orchestrator(),
        "StorageBackend": resources.backend("one"),
        "VirtualBucket": resources.bucket("photos", credentials=resources.REMOVED),
    }
    for document in (documents | {kind: documents[kind] | {"spec": spec}}).values():
        world.create(document)
    world.settle()
    return world


def changed_to(world: World, kind: str, spec: Document) -> World:
    """A copy, in which it says this and all has settled."""
    copied = replace(world, resources=dict(world.resources), live=dict(world.live))
    before = copied.resources[REFS[kind]]
    metadata = before["metadata"] | {"generation": before["metadata"]["generation"] + 1}
    copied.resources[REFS[kind]] = before | {"spec": spec, "metadata": metadata}
    copied.settle()
    return copied


def made_anew(world: World, kind: str, spec: Document) -> World:
    """The same with nothing there of before but the keys, so that they are the same."""
    kept = {
        ref: child for ref, child in world.live.items() if "labels" not in child["metadata"] or ref.name in ("main-registry", "main-admin")
    }
    return changed_to(replace(world, live=kept), kind, spec)


def picture(world: World) -> dict[Ref, Any]:
    """All that was made, less what counts how often that was. The registry remembers keys that nobody names any more, and means to."""
    made = {ref: child for ref, child in world.live.items() if "labels" in child["metadata"] and ref.name != "main-registry"}
    return {ref: _plain(child) for ref, child in made.items()}


def _plain(child: Document) -> Document:
    metadata = child["metadata"]
    annotations = {name: value for name, value in metadata["annotations"].items() if name not in (APPLIED, DIGEST, GENERATION)}
    plain = {**child, "metadata": {"labels": metadata["labels"], "annotations": annotations}}
    plain.pop("status", None)
    if "config.json" in child.get("data", {}):
        config = json.loads(base64.b64decode(child["data"]["config.json"]))
        plain["data"] = child["data"] | {"config.json": {name: config[name] for name in config if name not in ("generation", "digest")}}
    return plain


def is_readable(kind: str, spec: Document) -> bool:
    named_so = {"S3Orchestrator": "main", "StorageBackend": "one", "VirtualBucket": "photos"}[kind]
    try:
        parse_resource({"apiVersion": resources.API_VERSION, "kind": kind, "metadata": {"name": named_so}, "spec": spec})
    except InvalidResource:
        return False
    return True


def assert_there_and_back(kind: str, whole: Document, others: Iterator[tuple[str, Document]]) -> None:
    world = world_with(kind, whole)
    before = picture(world)
    for what, other in others:
        there = changed_to(world, kind, other)
        # What is refused keeps what was made for it: it may be served again.
        if there.condition(REFS[kind], "Accepted")[0] == "True":
            assert picture(there) == picture(made_anew(world, kind, other)), f"{what}: something of before is still there"
        assert picture(changed_to(there, kind, whole)) == before, f"{what}: it did not come back"


def test_every_field_of_every_kind_is_in_a_whole_spec() -> None:
    for kind, specs in WHOLE.items():
        reached = {named(path) for number in range(len(specs)) for path, _, _ in places(kind, number)}
        assert not fields_of(kind) - reached, f"add to tests/support/whole_specs.py: {fields_of(kind) - reached}"
        assert all(is_readable(kind, spec) for spec in specs)


@each_whole_spec
def test_each_optional_field_and_each_member_of_a_list_or_map_removed_and_put_back(kind: str, number: int) -> None:
    whole = WHOLE[kind][number]
    optional = [path for path, _, may_be_absent in places(kind, number) if may_be_absent and named(path) not in IMMUTABLE]
    optional = [path for path in optional if not any(twin in named(path) for twin in TWINS)]
    assert_there_and_back(kind, whole, ((f"without {path}", without(whole, path)) for path in optional))


@each_whole_spec
def test_each_list_reordered(kind: str, number: int) -> None:
    whole = WHOLE[kind][number]
    lists = [path for path, _, _ in places(kind, number) if isinstance(value_at(whole, path), list) and len(value_at(whole, path)) > 1]
    reordered = ((f"{path} reordered", with_value(whole, path, value_at(whole, path)[::-1])) for path in lists)
    assert_there_and_back(kind, whole, reordered)


@each_whole_spec
def test_a_list_without_an_order_reordered_changes_nothing(kind: str, number: int) -> None:
    whole = WHOLE[kind][number]
    for path, schema, _ in places(kind, number):
        # A variable may refer to one that stands before it.
        if schema.get("x-kubernetes-list-type") in ("map", "set") and path != ("extraEnv",):
            other = with_value(whole, path, value_at(whole, path)[::-1])
            assert picture(world_with(kind, other)) == picture(world_with(kind, whole)), named(path)


@each_whole_spec
def test_each_key_of_a_secret_changed(kind: str, number: int) -> None:
    whole, world = WHOLE[kind][number], world_with(kind, WHOLE[kind][number])
    for path in keys_of_secrets(kind, number):
        other = with_value(whole, path, f"other-{value_at(whole, path)}")
        assert picture(world_with(kind, other)) != picture(world), f"nobody reads {named(path)}"
        assert_there_and_back(kind, whole, iter([(f"{path} changed", other)]))


def keys_of_secrets(kind: str, number: int) -> list[Path_]:
    whole = WHOLE[kind][number]
    told = [
        path
        for path, _, _ in places(kind, number)
        if any(str(step).endswith(("SecretRef", "secretRef", "secretKeyRef")) for step in path[:-1])
    ]
    return [path for path in told if path[-1] != "name" and isinstance(value_at(whole, path), str)]


@each_whole_spec
def test_a_default_that_is_written_out_is_as_one_that_is_not(kind: str, number: int) -> None:
    whole = WHOLE[kind][number]
    for path, schema, may_be_absent in places(kind, number):
        if "default" not in schema or not may_be_absent or named(path) in IMMUTABLE:
            continue
        omitted, explicit = without(whole, path), with_value(whole, path, schema["default"])
        if is_readable(kind, omitted):
            assert picture(world_with(kind, explicit)) == picture(world_with(kind, omitted)), named(path)
