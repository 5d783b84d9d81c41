"""The Secrets of a configuration: as many as it needs, the same bytes each time, and never a reason to replace a pod."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

from tests.support import resources
from tests.support.blueprints import KEY, blueprint_of
from tests.support.operator_fields import SMALL
from tests.support.planned import MAIN, World, fleet
from tests.support.repository import ROOT

from s3o_crds.compiled import BucketConfig, CredentialConfig, FleetConfig
from s3o_crds.digest import digest_of, digest_of_document
from s3o_crds.layout import join
from s3o_crds.v1alpha1.pods import PodTemplate
from s3o_operator.plan.actions import Ensure
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.config import build_config_secrets, build_static_secret, is_static, static_name
from s3o_operator.plan.manifests.pods import pod_template
from s3o_operator.plan.observed import Object, Observed
from s3o_operator.plan.planner import plan

MIB = 1024**2


def with_buckets(count: int) -> Blueprint:
    blueprint = blueprint_of(SMALL)
    buckets, values = [], dict(blueprint.values)
    for number in range(count):
        name = f"bucket-{number:05}"
        values |= {f"default/{name}/id": f"S3O{number:017}", f"default/{name}/key": f"{number:040}"}
        credential = CredentialConfig(name="default", access_key_id=f"default/{name}/id", secret_access_key=f"default/{name}/key")
        buckets.append(BucketConfig(name=name, credentials=(credential,)))
    config = blueprint.config.model_copy(update={"buckets": tuple(buckets)})
    return replace(blueprint, config=config.model_copy(update={"digest": digest_of(config, values)}), values=values)


def data_of(secrets: list[Object]) -> dict[str, Object]:
    return {name: json.loads(base64.b64decode(text)) for secret in secrets for name, text in secret["data"].items()}


def test_ten_thousand_buckets_lie_in_several_secrets_that_an_api_server_takes() -> None:
    blueprint = with_buckets(10_000)
    secrets = build_config_secrets(blueprint)
    assert len(secrets) > 2
    assert {secret["metadata"]["name"] for secret in secrets} == {"main-config", *(f"main-config-{n}" for n in range(1, len(secrets)))}
    # https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size
    assert all(sum(len(base64.b64decode(text)) for text in secret["data"].values()) <= MIB for secret in secrets)
    document, values = join(data_of([*secrets, build_static_secret(blueprint)]))
    assert FleetConfig.model_validate(document) == blueprint.config
    assert digest_of_document(document, values) == blueprint.config.digest
    # The head comes last: until then, what it names is refused by its digest.
    assert secrets[-1]["metadata"]["name"] == "main-config"
    assert secrets == build_config_secrets(with_buckets(10_000))


def test_no_number_of_buckets_changes_the_template_of_pods() -> None:
    few, many = (pod_template(with_buckets(count), "proxy", "", PodTemplate(), None) for count in (1, 10_000))
    assert few == many
    sources = few["spec"]["volumes"][0]["projected"]["sources"]
    mounted = {source["secret"]["name"]: source["secret"].get("optional", False) for source in sources}
    assert mounted["main-config"] is False
    assert all(mounted[secret["metadata"]["name"]] for secret in build_config_secrets(with_buckets(10_000))[:-1])


def test_the_static_secret_is_named_by_what_it_holds() -> None:
    one, other = blueprint_of(SMALL), blueprint_of(SMALL | {"database": SMALL["database"] | {"host": "other"}})
    assert static_name(one) != static_name(other)
    assert static_name(one) == static_name(with_buckets(3))
    assert is_static(KEY, static_name(one))
    assert not is_static(KEY, "main-static-of-mine")
    assert build_static_secret(one)["immutable"] is True


def fleet_of_many() -> World:
    """With everything that a rendered byte may depend on: names, labels, several Secrets, and keys of several buckets."""
    labels = {"labels": {"b": "2", "a": "1"}, "annotations": {"d": "4", "c": "3"}}
    credentials = [{"name": "writer", "generate": {}, "secretTemplate": labels}]
    world = fleet("one", "two", "three")
    world.create(resources.bucket("films", credentials=credentials))
    world.edit(MAIN, proxy={"podTemplate": {"metadata": labels, "spec": {"nodeSelector": {"zone": "a", "disk": "ssd"}}}})
    world.settle()
    return world


def shuffled(world: World, order: random.Random) -> Observed:
    """With nothing made yet but the keys. Members of objects are in any order, as lists of objects are; those of lists in a spec stay."""

    def mixed(value: Any) -> Any:
        return {name: mixed(value[name]) for name in order.sample(list(value), len(value))} if isinstance(value, dict) else value

    keys = {
        ref: one for ref, one in world.live.items() if ref.kind == "Secret" and ref.name in ("main-registry", "main-admin", "backend-keys")
    }
    live = {ref: keys[ref] for ref in order.sample(list(keys), len(keys))}
    seen = world.observed()
    backends, buckets, secrets = (
        tuple(mixed(one) for one in order.sample(group, len(group))) for group in (seen.backends, seen.buckets, tuple(live.values()))
    )
    return replace(seen, orchestrator=mixed(seen.orchestrator), live=live, backends=backends, buckets=buckets, secrets=secrets)


def rendered(seen: Observed) -> str:
    """All that is made, in the order in which it is made. The bytes are those of Secrets and digests; an API server sorts the rest."""
    made = [action.manifest for action in plan(seen).actions if isinstance(action, Ensure)]
    assert len(made) == 10
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def test_rendered_a_thousand_times_from_shuffled_input_all_children_are_the_same_bytes() -> None:
    """Garage #229: a digest that changes by itself replaces pods for ever."""
    world, order = fleet_of_many(), random.Random(1)
    first = rendered(shuffled(world, order))
    assert {rendered(shuffled(world, order)) for _ in range(1000)} == {first}
    # Nor do they depend on the order of a set of texts, which each process has for itself.
    command = [sys.executable, "-c", f"from {__name__} import *; print(rendered(shuffled(fleet_of_many(), random.Random(2))))"]
    for seed in ("1", "2"):
        done = subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == first
