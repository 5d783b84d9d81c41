"""What Argo CD shows of our resources in each of their phases; the conditions are written by the operator's own functions."""

from __future__ import annotations

import pytest
from tests.support import resources
from tests.support.argo import Object, health

from s3o_operator.plan.conditions import Verdict, conditions, refused, waiting

READY = Verdict(ready=True, reason="Served", message="3/3 proxies are available")


def recorded(document: Object, verdict: Verdict | None, *more: Object, **status: object) -> Object:
    """As the API server gives it after the operator has reported `verdict`; `more`: further conditions."""
    live = {**document, "metadata": {**document["metadata"], "generation": 2}}
    if verdict is None:
        return live
    told = conditions(live, verdict, "2026-11-21T10:00:00Z")
    return live | {"status": {"observedGeneration": 2, "conditions": [*told, *more], **status}}


def condition(kind: str, message: str = "", status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": kind, "message": message}


KINDS = (resources.orchestrator(), resources.backend(), resources.bucket())
all_kinds = pytest.mark.parametrize("document", KINDS, ids=lambda document: document["kind"])


@all_kinds
def test_what_is_ready_is_healthy(document: Object) -> None:
    assert health(recorded(document, READY)) == ("Healthy", "3/3 proxies are available")


@all_kinds
def test_what_the_operator_has_not_seen_yet_is_progressing_and_never_healthy(document: Object) -> None:
    assert health(recorded(document, None)) == ("Progressing", "waiting for the operator")
    changed = recorded(document, READY)
    changed["metadata"]["generation"] = 3
    assert health(changed) == ("Progressing", "waiting for the operator")


@all_kinds
def test_what_is_on_its_way_is_progressing_and_says_with_what(document: Object) -> None:
    assert health(recorded(document, waiting("ProxiesNotReady", "1/3 proxies are available"))) == (
        "Progressing",
        "1/3 proxies are available",
    )


@all_kinds
def test_what_needs_somebody_is_degraded_and_says_why(document: Object) -> None:
    assert health(recorded(document, refused("SecretNotFound", "there is no Secret keys"))) == ("Degraded", "there is no Secret keys")


@all_kinds
def test_what_is_neither_ready_nor_at_work_is_degraded(document: Object) -> None:
    told = [condition("Ready", "2 of 3 proxies fail", "False"), condition("Reconciling", "", "False"), condition("Stalled", "", "False")]
    resource = recorded(document, READY)
    resource["status"]["conditions"] = told
    assert health(resource) == ("Degraded", "2 of 3 proxies fail")


@all_kinds
def test_what_is_paused_is_suspended(document: Object) -> None:
    assert health(recorded(document, READY, condition("Paused", "by spec.suspend"))) == ("Suspended", "by spec.suspend")


@all_kinds
def test_what_is_deleted_is_progressing_until_something_blocks_it(document: Object) -> None:
    going = recorded(document, READY)
    going["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    assert health(going) == ("Progressing", "being deleted")
    going["status"]["conditions"].append(condition("DeletionBlocked", "needs 5 GiB, 2 GiB are free"))
    assert health(going) == ("Degraded", "needs 5 GiB, 2 GiB are free")


def test_a_drain_is_progressing_while_the_backend_stays_ready() -> None:
    draining = recorded(resources.backend(), READY, condition("Draining"), drain={"state": "Running", "summary": "60% (7211 left)"})
    assert health(draining) == ("Progressing", "draining: 60% (7211 left)")
    begun = recorded(resources.backend(), READY, condition("Draining"))
    assert health(begun) == ("Progressing", "draining: has begun")


def test_a_drain_that_is_stalled_is_degraded() -> None:
    stalled = Verdict(ready=True, reason="Served", message="", stalled=True)
    told = recorded(
        resources.backend(), stalled, condition("Draining"), drain={"state": "Stalled", "summary": "stalled at 60% (7211 left)"}
    )
    assert health(told)[0] == "Degraded"


def test_a_drained_backend_is_healthy_and_says_so() -> None:
    assert health(recorded(resources.backend(), READY, condition("Drained"), condition("Draining", "", "False"))) == ("Healthy", "drained")
