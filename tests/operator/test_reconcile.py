"""What the API server refuses of one resource (an admission policy, a stored object that a newer schema does not allow) is that resource's
trouble: all others are served, drained and deleted meanwhile, and it goes on by itself when nothing is refused any more."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster
from tests.support.operators import Namespace, authorize, condition

pytestmark = pytest.mark.slow

DRAIN = {"metadata": {"annotations": {"s3orchestrator.io/drain": "t1"}}}


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    """It serves one backend and the bucket photos."""
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        bucket = resources.bucket(credentials=resources.REMOVED)
        for one in (resources.key_pair("backend-keys"), resources.backend(), resources.orchestrator(), bucket):
            namespace.create(one)
        await made.settle()
        yield made


def served(namespace: Namespace, kind: str = "buckets") -> list[str]:
    data = (namespace.get("Secret", "main-config") or {})["data"]
    return [one["name"] for one in json.loads(base64.b64decode(data["config.json"]))[kind]]


async def test_a_bucket_whose_finalizer_is_refused_says_so_and_holds_up_no_other(operator: InlineOperator, namespace: Namespace) -> None:
    operator.mortal.refused = "/virtualbuckets/stuck"
    namespace.create(resources.bucket("stuck", credentials=resources.REMOVED))
    await operator.work()
    namespace.create(resources.bucket("late", credentials=resources.REMOVED))
    assert "injected" in (await operator.work())[0]
    assert served(namespace) == ["late", "photos"]
    stuck = namespace.get("VirtualBucket", "stuck") or {}
    assert condition(stuck, "Accepted") == ("False", "NotProtected")
    assert "injected" in next(one["message"] for one in stuck["status"]["conditions"] if one["type"] == "Accepted")
    assert condition(namespace.get("S3Orchestrator", "main"), "Stalled")[0] == "False"
    await assert_it_is_quiet(operator)
    operator.mortal.refused = ""
    await operator.settle()
    assert served(namespace) == ["late", "photos", "stuck"]


async def test_a_backend_whose_drain_cannot_be_noted_holds_up_no_other(operator: InlineOperator, namespace: Namespace) -> None:
    operator.mortal.refused = "/storagebackends/one/status"
    namespace.patch("StorageBackend", "one", DRAIN)
    await operator.work()
    namespace.create(resources.bucket("late", credentials=resources.REMOVED))
    namespace.create(resources.backend("two", bucket="bytes-two"))
    namespace.delete("VirtualBucket", "photos")
    assert "injected" in (await operator.work())[0]
    assert (served(namespace), served(namespace, "backends")) == (["late"], ["one", "two"])
    assert condition(namespace.get("S3Orchestrator", "main"), "Stalled") == ("True", "ApplyFailed")
    await assert_it_is_quiet(operator)
    operator.mortal.refused = ""
    await operator.settle()
    assert (namespace.get("StorageBackend", "one") or {})["status"]["drain"]["token"] == "t1"
    assert condition(namespace.get("S3Orchestrator", "main"), "Stalled")[0] == "False"


async def test_an_orchestrator_whose_triggers_cannot_be_noted_serves_on(operator: InlineOperator, namespace: Namespace) -> None:
    operator.mortal.refused = "/s3orchestrators/main/status"
    namespace.patch("S3Orchestrator", "main", {"metadata": {"annotations": {"s3orchestrator.io/rebalance": "t1"}}})
    namespace.create(resources.bucket("late", credentials=resources.REMOVED))
    assert "injected" in (await operator.work())[0]
    assert served(namespace) == ["late", "photos"]


async def test_who_lost_the_finalizer_and_cannot_have_it_again_is_served_on(operator: InlineOperator, namespace: Namespace) -> None:
    """What is stored there must be found, whoever took the finalizer away."""
    for kind, name in (("StorageBackend", "one"), ("VirtualBucket", "photos")):
        namespace.patch(kind, name, {"metadata": {"finalizers": None}})
    operator.mortal.refused = "/storagebackends/one"
    namespace.create(resources.bucket("late", credentials=resources.REMOVED))
    assert "injected" in (await operator.work())[0]
    assert (served(namespace), served(namespace, "backends")) == (["late", "photos"], ["one"])
    assert condition(namespace.get("StorageBackend", "one"), "Stalled") == ("True", "ApplyFailed")
    assert (namespace.get("VirtualBucket", "photos") or {})["metadata"]["finalizers"]


async def test_an_admission_webhook_that_is_away_holds_up_only_what_it_is_asked_about(
    operator: InlineOperator, namespace: Namespace
) -> None:
    namespace.create(resources.bucket("stuck", credentials=resources.REMOVED))
    with webhook_away(namespace, "stuck"):
        namespace.create(resources.bucket("late", credentials=resources.REMOVED))
        assert "failed calling webhook" in (await operator.work())[0]
        assert served(namespace) == ["late", "photos"]
        assert condition(namespace.get("VirtualBucket", "stuck"), "Accepted") == ("False", "NotProtected")


@contextmanager
def webhook_away(namespace: Namespace, name: str) -> Iterator[None]:
    """Nobody answers it, and it must agree to every change of the VirtualBucket of this name."""
    url, api = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", namespace.cluster.api
    rule = {"apiGroups": ["s3orchestrator.io"], "apiVersions": ["*"], "resources": ["virtualbuckets"], "operations": ["UPDATE"]}
    hook = {
        "name": "policy.example.com",
        "rules": [rule],
        "matchConditions": [{"name": "one", "expression": f"object.metadata.name == '{name}'"}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    api.post(url, json={"metadata": {"name": namespace.name}, "webhooks": [hook]}).raise_for_status()
    try:
        for number in range(100):  # The API server notices it a moment later.
            try:
                namespace.patch("VirtualBucket", name, {"metadata": {"labels": {"tried": str(number)}}})
            except httpx.HTTPStatusError:
                break
            time.sleep(0.1)
        yield
    finally:
        api.delete(f"{url}/{namespace.name}").raise_for_status()


async def assert_it_is_quiet(operator: InlineOperator) -> None:
    """Tried again, it is refused again, and nothing is written of that a second time."""
    before = len(operator.mortal.writes)
    assert await operator.work(1)
    assert [path for _, path, _ in operator.mortal.writes[before:]] == []
