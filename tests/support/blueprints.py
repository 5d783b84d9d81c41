"""What the operator makes of an S3Orchestrator's spec, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support import resources
from tests.support.resources import Document

from s3o_crds.compile import compile  # noqa: A004  the name that the design gives it
from s3o_crds.parse import parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_operator.plan.children import Children, children_of
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.observed import Key, Object, Observed, Ref

KEY = Key("default", "main")
OWNER: Object = {
    "apiVersion": resources.API_VERSION,
    "kind": "S3Orchestrator",
    "metadata": {"name": "main", "namespace": "default", "uid": "uid-of-main", "generation": 1},
}


def orchestrator_of(spec: Document) -> S3Orchestrator:
    parsed = parse_resource(resources.orchestrator() | {"spec": spec})
    assert isinstance(parsed, S3Orchestrator)
    return parsed


def blueprint_of(spec: Document, secrets: list[Document] | None = None, **changes: Any) -> Blueprint:
    orchestrator = orchestrator_of(spec)
    compilation = compile(orchestrator, [], [], [parse_resource(secret) for secret in secrets or []])  # type: ignore[misc]  # Secrets
    assert compilation.config is not None, compilation.rejections
    given: dict[str, Any] = {"token": "the-admin-token", "image": "localhost:5000/proxy:1"} | changes
    return Blueprint(KEY, OWNER, orchestrator, compilation.config, compilation.secret_values, **given)


def observed(unusable: Mapping[str, str] | None = None, *live: Object) -> Observed:
    there = {Ref(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in live}
    return Observed(KEY, "2026-11-21T10:00:00Z", "proxy:1", OWNER, live=there, unusable=unusable or {})


def made(
    spec: Document, *live: Object, unusable: Mapping[str, str] | None = None, secrets: list[Document] | None = None, **changes: Any
) -> Children:
    return children_of(blueprint_of(spec, secrets, **changes), observed(unusable, *live))


def one(children: Children, kind: str, name: str = "") -> Object:
    (found,) = [each for each in children.manifests if each["kind"] == kind and name in each["metadata"]["name"]]
    return found


def kinds(children: Children) -> list[str]:
    return [each["kind"] for each in children.manifests]
