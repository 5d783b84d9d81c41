"""Acto's *recovery failure*: whoever takes back what was wrong has nothing more to do; by the same API server, with stand-ins for pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, authorize, condition

POSTGRES = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o", "passwordSecretRef": {"name": "pg", "key": "password"}}


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    """Everything is ready."""
    keys = [resources.key_pair("backend-keys"), resources.secret("pg", password="right")]
    orchestrator = resources.orchestrator(database=POSTGRES, proxy={"replicas": 2})
    for document in (*keys, orchestrator, resources.backend("one"), resources.bucket("photos", credentials=resources.REMOVED)):
        namespace.create(document)
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        await made.settle()
        namespace.make_proxies_ready()
        await made.settle()
        yield made


def main(namespace: Namespace) -> Object:
    return namespace.get("S3Orchestrator", "main") or {}


def deployment(namespace: Namespace) -> Object:
    return namespace.get("Deployment", "main-proxy") or {}


def the_rollout_is_given_up(namespace: Namespace, message: str) -> None:
    """As the controller of Deployments says it; the old pods serve on."""
    seen = deployment(namespace)
    now = "2026-11-21T10:00:00Z"
    gave_up = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message}
    counts = {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2}
    status = {"observedGeneration": seen["metadata"]["generation"], **counts}
    status["conditions"] = [gave_up | {"lastTransitionTime": now, "lastUpdateTime": now}]
    namespace.patch("Deployment", "main-proxy", {"status": status}, subresource="status")


async def test_a_bad_image_is_told_and_rolled_back_by_writing_the_old_one(operator: InlineOperator, namespace: Namespace) -> None:
    before = deployment(namespace)["spec"]["template"]
    namespace.patch("S3Orchestrator", "main", {"spec": {"image": {"repository": "example.com/none", "tag": "v0"}}})
    await operator.settle()
    the_rollout_is_given_up(namespace, "ImagePullBackOff")
    await operator.settle()
    assert condition(main(namespace), "Stalled") == ("True", "RolloutStuck")
    assert condition(namespace.get("VirtualBucket", "photos"), "Ready")[0] == "True"
    namespace.patch("S3Orchestrator", "main", {"spec": {"image": {"repository": None, "tag": None}}})
    await operator.settle()
    assert deployment(namespace)["spec"]["template"] == before
    # Nobody has looked at the new template yet: what was said of the last one is no verdict on this.
    assert condition(main(namespace), "Stalled")[0] == "False"
    namespace.make_proxies_ready()
    namespace.patch("Deployment", "main-proxy", {"status": {"conditions": None}}, subresource="status")
    await operator.settle()
    assert (condition(main(namespace), "Ready")[0], main(namespace)["status"]["phase"]) == ("True", "Ready")


async def test_a_bad_database_password_is_told_and_mended_by_the_secret(operator: InlineOperator, namespace: Namespace) -> None:
    before, pod = deployment(namespace)["spec"]["template"], namespace.pods.stand_in("main")
    namespace.patch("Secret", "pg", {"stringData": {"password": "wrong"}})
    pod.says = lambda status: status | {"troubles": ["the database refuses the password"]}
    await operator.settle()
    assert deployment(namespace)["spec"]["template"] != before, "pods that start get the new one"
    the_rollout_is_given_up(namespace, "its pods are not ready")
    await operator.settle()
    assert condition(main(namespace), "DatabaseReady") == ("False", "Unavailable")
    assert condition(main(namespace), "Degraded")[0] == "True"
    assert condition(main(namespace), "Stalled") == ("True", "RolloutStuck")
    namespace.patch("Secret", "pg", {"stringData": {"password": "right"}})
    pod.says = lambda status: status
    await operator.settle()
    assert deployment(namespace)["spec"]["template"] == before
    namespace.make_proxies_ready()
    namespace.patch("Deployment", "main-proxy", {"status": {"conditions": None}}, subresource="status")
    await operator.settle()
    assert (condition(main(namespace), "DatabaseReady")[0], condition(main(namespace), "Ready")[0]) == ("True", "True")


async def test_an_unreachable_backend_is_told_and_used_again_when_it_answers(operator: InlineOperator, namespace: Namespace) -> None:
    pod = namespace.pods.stand_in("main")
    away = {"reason": "Unreachable", "message": "connection refused"}
    pod.says = lambda status: status | {"backends": {name: one | {"check": away} for name, one in status["backends"].items()}}
    await operator.settle()
    assert condition(namespace.get("StorageBackend", "one"), "Ready") == ("False", "Unreachable")
    assert condition(namespace.get("StorageBackend", "one"), "Stalled")[0] == "False", "time may heal it"
    pod.says = lambda status: status
    await operator.settle()
    assert condition(namespace.get("StorageBackend", "one"), "Ready")[0] == "True"


# --- any error taken for absence -----------------------------------------------------------------------------------------------------

FAULTS = {
    "500": (500, {"error": "the database is away"}),
    "404-of-something-else": (404, "<html>not found</html>"),
    "half-an-operation": (200, {"operations": [{"id": "1"}]}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_no_error_of_the_admin_api_is_taken_for_absence(
    fault: tuple[int, object], operator: InlineOperator, namespace: Namespace
) -> None:
    """Garage #147, #271: nothing is begun, nothing is forgotten and nothing goes while it cannot be asked; then all goes on."""
    pod, book = namespace.pods.stand_in("main"), namespace.pods.stand_in("main").operations
    for name in ("two", "three"):
        namespace.create(resources.backend(name))
    await operator.settle()
    namespace.patch("StorageBackend", "three", {"metadata": {"annotations": {"s3orchestrator.io/drain": "t1"}}})
    await operator.round()
    drained = (namespace.get("StorageBackend", "three") or {})["status"]["drain"]
    assert [one["token"] for one in book.rows] == ["t1"]
    pod.fault = fault
    namespace.patch("VirtualBucket", "photos", {"spec": {"deletionPolicy": "Delete"}})
    namespace.delete("VirtualBucket", "photos")
    namespace.delete("StorageBackend", "two")
    await operator.settle()
    assert [one["token"] for one in book.rows] == ["t1"]
    assert book.forgotten == []
    assert namespace.get("VirtualBucket", "photos")
    assert namespace.get("StorageBackend", "two")
    # What was known last is not unlearnt.
    assert (namespace.get("StorageBackend", "three") or {})["status"]["drain"]["state"] == drained["state"]
    pod.fault = None
    await operator.settle()
    assert sorted((one["kind"], one["backend"] or one["bucket"]) for one in book.rows) == [
        *(("Drain", "three"), ("Drain", "two"), ("Purge", "photos"))
    ]
    assert (book.forgotten, namespace.get("VirtualBucket", "photos"), namespace.get("StorageBackend", "two")) == (["two"], None, None)
