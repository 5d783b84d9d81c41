"""What is made of each field of an S3Orchestrator, and what becomes of a wish that cannot be met here."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.support import operator_fields
from tests.support.blueprints import KEY, OWNER, kinds, made, observed, one, orchestrator_of
from tests.support.operator_fields import ALONE, CHANGED, ISSUED, SCALED, SMALL
from tests.support.planned import fleet
from tests.support.resources import Document

from s3o_operator.plan.children import extras_fact, restart_stamp
from s3o_operator.plan.manifests.routes import build_certificate


def with_path(spec: Document, path: str, value: Any) -> Document:
    document: Any = {"spec": copy.deepcopy(spec)}
    *sections, last = path.replace("[]", ".0").split(".")
    target = document
    for section in sections:
        target = target[int(section)] if isinstance(target, list) else target.setdefault(section, {})
    target[last] = value
    return document["spec"]  # type: ignore[no-any-return]  # what was put in


@pytest.mark.parametrize("path", sorted(CHANGED))
def test_a_field_changes_what_is_made(path: str) -> None:
    first = operator_fields.spec(0)
    assert made(with_path(first, path, CHANGED[path])) != made(first), f"nobody reads {path}"


@pytest.mark.parametrize("path", sorted(ALONE))
def test_a_field_that_stands_alone_changes_what_is_made(path: str) -> None:
    beside, value = ALONE[path]
    assert made(with_path(beside, path, value)) != made(beside), f"nobody reads {path}"


@pytest.mark.parametrize("path", sorted(ISSUED))
def test_a_field_changes_the_certificate(path: str) -> None:
    first = operator_fields.certificate_spec(0)
    changed = build_certificate(KEY, OWNER, orchestrator_of(with_path(first, path, ISSUED[path])))
    assert changed != build_certificate(KEY, OWNER, orchestrator_of(first))


def test_only_what_is_asked_for_is_made() -> None:
    assert kinds(made({})) == ["ServiceAccount", "Secret", "Secret", "Secret", "PersistentVolumeClaim", "Deployment", "Service"]
    everything = kinds(made(operator_fields.spec(0)))
    assert "ServiceAccount" not in everything  # Both pods have one of the user's own.
    assert everything.count("Deployment") == 2
    optional = ["NetworkPolicy", "Ingress", "HTTPRoute", "PodMonitor", "PrometheusRule"]
    assert everything[-5:] == optional


def test_what_cannot_be_made_here_is_left_out_and_told() -> None:
    spec = SMALL | {"monitoring": {"podMonitor": {"enabled": True}}, "networkPolicy": {"enabled": True}}
    children = made(spec, unusable={"PodMonitor": "PodMonitor: not served", "HTTPRoute": "nobody asked"})
    assert "PodMonitor" not in kinds(children)
    assert "NetworkPolicy" in kinds(children)
    fact = extras_fact(children.missing)
    assert (fact.type, fact.holds, fact.reason, fact.message) == ("ExtrasReady", False, "KindsUnusable", "PodMonitor: not served")
    assert extras_fact(()).holds is True


def test_replicas_are_ours_until_an_autoscaler_can_decide_them() -> None:
    without = {"HorizontalPodAutoscaler": "no rights"}
    assert one(made(SCALED, unusable=without), "Deployment")["spec"]["replicas"] == 2
    decided = one(made(SCALED), "Deployment")
    assert "replicas" not in decided["spec"]
    live = decided | {"spec": decided["spec"] | {"replicas": 7}}
    # The rights are gone again: what the autoscaler decided last is not undone.
    assert "replicas" not in one(made(SCALED, live, unusable=without), "Deployment")["spec"]


def test_a_budget_is_for_more_than_one() -> None:
    assert "PodDisruptionBudget" not in kinds(made(SMALL))
    assert "PodDisruptionBudget" in kinds(made(SMALL | {"proxy": {"replicas": 2}}))
    assert "PodDisruptionBudget" in kinds(made(SCALED))


def test_a_lost_status_restarts_nobody() -> None:
    stamped = one(made(SMALL, restart="token-1"), "Deployment")
    seen = observed(None, stamped)
    assert restart_stamp(seen) == "token-1"
    asked = {**OWNER, "status": {"lastHandled": {"restart": "token-2"}}}
    assert restart_stamp(type(seen)(KEY, seen.now, "proxy:1", asked, live=seen.live)) == "token-2"


def test_annotations_of_a_resource_stay_with_it() -> None:
    """Those of kubectl and of kopf would make a child look like something that they manage."""
    world = fleet()
    theirs = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kopf.zalando.org/last-handled-configuration": "{}"}
    for ref, resource in world.resources.items():
        world.resources[ref] = resource | {"metadata": resource["metadata"] | {"annotations": theirs, "labels": {"mine": "yes"}}}
    assert world.settle() == []
