"""What a Deployment's status says of a rollout, and whose workers are waited for."""

from __future__ import annotations

from tests.support.blueprints import KEY, observed, orchestrator_of
from tests.support.operator_fields import SMALL

from s3o_operator.plan.observed import Object
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.rollout import Rollout, rollout_of, workers_of


def deployment(name: str, wanted: int, status: Object, generation: int = 2) -> Object:
    metadata = {"name": name, "namespace": KEY.namespace, "generation": generation}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": wanted}, "status": {"observedGeneration": 2, **status}}


ALL = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def test_it_has_settled_when_all_are_new_and_available_and_no_other_runs() -> None:
    assert rollout_of(observed(None, deployment("d", 3, ALL)), "d") == Rollout(3, 3, settled=True)
    assert not rollout_of(observed(None, deployment("d", 3, ALL | {"replicas": 4})), "d").settled
    assert not rollout_of(observed(None, deployment("d", 3, ALL, generation=3)), "d").settled
    assert rollout_of(observed(None), "d") == Rollout()


def test_kubernetes_says_why_it_gave_up() -> None:
    gave_up: Object = {"conditions": [{"type": "Progressing", "status": "False", "message": "no room"}]}
    assert rollout_of(observed(None, deployment("d", 3, gave_up)), "d").stuck == "no room"


def test_what_it_gave_up_before_the_last_change_says_nothing_of_that_change() -> None:
    gave_up: Object = {"conditions": [{"type": "Progressing", "status": "False", "message": "no such image"}]}
    assert rollout_of(observed(None, deployment("d", 3, gave_up, generation=3)), "d").stuck == ""


def test_workers_are_waited_for_with_topology_split_only() -> None:
    left = observed(None, deployment("main-worker", 2, {"availableReplicas": 1}))
    combined, split = (Reading(orchestrator_of(SMALL | spec)) for spec in ({}, {"topology": "Split", "worker": {"replicas": 4}}))
    assert workers_of(left, combined) == Rollout()
    assert workers_of(left, split).summary == "1/2"
    assert workers_of(observed(None), split).summary == "0/4"
