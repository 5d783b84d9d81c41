"""Replicas pass from us to an autoscaler and back, on a real API server: they are never, for no moment, anything that nobody decided."""

from __future__ import annotations

import json
from itertools import groupby

from tests.support import resources
from tests.support.operator_fields import SMALL
from tests.support.operators import Namespace, Object, Operators


def scaled(enabled: bool, replicas: int = 3, **image: str) -> Object:
    autoscaling = {"enabled": enabled, "minReplicas": 2, "maxReplicas": 10}
    return resources.orchestrator() | {"spec": SMALL | {"proxy": {"replicas": replicas, "autoscaling": autoscaling}, "image": image}}


def decide(namespace: Namespace, replicas: int) -> None:
    """As the controller of an autoscaler does: through the scale subresource."""
    namespace.patch("Deployment", "main-proxy", {"spec": {"replicas": replicas}}, subresource="scale")


def history(namespace: Namespace) -> list[int]:
    """Every value that the replicas ever had, in order: an API server keeps all versions for five minutes, longer than a test."""
    born = namespace.cluster.api.get(f"/api/v1/namespaces/{namespace.name}").raise_for_status().json()["metadata"]["resourceVersion"]
    query = {"watch": "1", "resourceVersion": born, "fieldSelector": "metadata.name=main-proxy", "timeoutSeconds": "1"}
    events = namespace.cluster.api.get(namespace.path("Deployment"), params=query).raise_for_status().text.splitlines()
    return [replicas for replicas, _ in groupby(json.loads(event)["object"]["spec"]["replicas"] for event in events)]


def test_there_and_back_and_there_again(namespace: Namespace, starting: Operators) -> None:
    starting.start()
    namespace.cluster.apply(scaled(enabled=False), namespace.name)
    namespace.eventually("Deployment", "main-proxy", lambda found: found is not None and found["spec"]["replicas"] == 3)

    namespace.cluster.apply(scaled(enabled=True), namespace.name)
    namespace.eventually("HorizontalPodAutoscaler", "main-proxy", lambda found: found is not None)
    decide(namespace, 6)
    # Another change of the Deployment must not take back what was decided.
    namespace.cluster.apply(scaled(enabled=True, tag="2"), namespace.name)
    namespace.eventually("Deployment", "main-proxy", lambda found: json.dumps(found).count("s3o-proxy:2") > 0)

    namespace.cluster.apply(scaled(enabled=False, replicas=4, tag="2"), namespace.name)
    namespace.eventually("HorizontalPodAutoscaler", "main-proxy", lambda found: found is None)
    namespace.eventually("Deployment", "main-proxy", lambda found: found["spec"]["replicas"] == 4)

    namespace.cluster.apply(scaled(enabled=True, replicas=4, tag="3"), namespace.name)
    namespace.eventually("Deployment", "main-proxy", lambda found: json.dumps(found).count("s3o-proxy:3") > 0)
    decide(namespace, 8)
    namespace.cluster.apply(scaled(enabled=True, replicas=4, tag="4"), namespace.name)
    namespace.eventually("Deployment", "main-proxy", lambda found: json.dumps(found).count("s3o-proxy:4") > 0)
    assert history(namespace) == [3, 6, 4, 8]


def test_a_new_fleet_starts_with_the_fewest(namespace: Namespace, starting: Operators) -> None:
    starting.start()
    namespace.cluster.apply(scaled(enabled=True), namespace.name)
    namespace.eventually("HorizontalPodAutoscaler", "main-proxy", lambda found: found is not None)
    decide(namespace, 5)
    starting.started[0].stop()
    starting.start()
    namespace.cluster.apply(scaled(enabled=True, tag="2"), namespace.name)
    namespace.eventually("Deployment", "main-proxy", lambda found: json.dumps(found).count("s3o-proxy:2") > 0)
    assert history(namespace) == [2, 5]


def test_without_an_autoscaler_a_scaled_deployment_is_drift(namespace: Namespace, starting: Operators) -> None:
    starting.start()
    namespace.cluster.apply(scaled(enabled=False), namespace.name)
    namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
    decide(namespace, 7)
    namespace.eventually("Deployment", "main-proxy", lambda found: found["spec"]["replicas"] == 3)
