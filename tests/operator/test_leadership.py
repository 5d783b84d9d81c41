"""Of several operators one works, and another takes over from it."""

from __future__ import annotations

import time

import httpx
import pytest
from tests.support import resources
from tests.support.operators import Namespace, Operators, condition, leader_of

from s3o_operator.leadership import LEASE_NAME, Times


def lease(namespace: Namespace) -> dict[str, object]:
    found: dict[str, object] = namespace.cluster.get("lease", LEASE_NAME, namespace=namespace.name)["spec"]
    return found


def until_one_works(namespace: Namespace, name: str) -> None:
    namespace.cluster.apply(resources.orchestrator(name), namespace.name)
    namespace.eventually("S3Orchestrator", name, lambda found: condition(found, "Accepted")[0] == "True", within_s=40)


@pytest.mark.slow
def test_a_killed_leader_is_followed_when_its_lease_has_ended(namespace: Namespace, starting: Operators) -> None:
    pair = [starting.start(), starting.start()]
    first = leader_of(pair)
    until_one_works(namespace, "before")
    assert lease(namespace)["leaseTransitions"] == 0
    first.kill()
    killed = time.monotonic()
    until_one_works(namespace, "after")
    # Not before the killed one would have stopped by itself.
    assert time.monotonic() - killed > Times().deadline_s
    assert lease(namespace)["leaseTransitions"] == 1


def test_a_stopped_leader_is_followed_at_once(namespace: Namespace, starting: Operators) -> None:
    first = starting.start()
    leader_of([first])
    second = starting.start()
    assert first.stop() == 0
    leader_of([second])
    until_one_works(namespace, "after")
    assert httpx.get(f"http://127.0.0.1:{second.port}/healthz", trust_env=False).text == "ok"
    metrics = httpx.get(f"http://127.0.0.1:{second.port}/metrics", trust_env=False).text
    assert "s3o_operator_leader 1.0" in metrics
    assert 's3o_operator_writes_total{action="Ensure"}' in metrics
    assert lease(namespace)["leaseTransitions"] == 1


def test_without_its_rights_an_operator_says_which_and_ends(namespace: Namespace, starting: Operators) -> None:
    namespace.cluster.kubectl("delete", "rolebinding", "clusterrole", namespace=namespace.name)
    operator = starting.start()
    assert operator.process.wait(20) == 2
    assert "cannot start: rights are missing: " in operator.said()
    assert f"list s3orchestrators.s3orchestrator.io in namespace {namespace.name}; " in operator.said()
