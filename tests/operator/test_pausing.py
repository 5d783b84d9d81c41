"""Pausing a backend or a bucket on a real API server: it takes the statuses, and nothing is written at rest."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, authorize, condition

PAUSED = {"metadata": {"annotations": {"s3orchestrator.io/paused": "true"}}}
RESUMED = {"metadata": {"annotations": {"s3orchestrator.io/paused": None}}}


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    for document in (resources.key_pair("backend-keys"), resources.backend(), resources.orchestrator()):
        namespace.create(document)
    namespace.create(resources.bucket("photos", credentials=resources.REMOVED))
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        await made.settle()
        yield made


def given(namespace: Namespace) -> tuple[list[Object], list[Object]]:
    """The backends and the buckets that proxies are given."""
    secret = namespace.get("Secret", "main-config") or {}
    config = json.loads(base64.b64decode(secret["data"]["config.json"]))
    return config["backends"], config["buckets"]


async def test_it_is_left_as_it_is_and_caught_up_with(operator: InlineOperator, namespace: Namespace) -> None:
    before, secret = given(namespace), namespace.get("Secret", "photos")
    for kind, name in (("StorageBackend", "one"), ("VirtualBucket", "photos")):
        namespace.patch(kind, name, PAUSED)
        await operator.settle()
        found = namespace.get(kind, name) or {}
        assert (found["status"]["phase"], condition(found, "Paused")[0]) == ("Paused", "True")
    namespace.patch("StorageBackend", "one", {"spec": {"order": 7}})
    namespace.patch("VirtualBucket", "photos", {"spec": {"maxMultipartUploads": 5}})
    namespace.delete("Secret", "backend-keys")
    await operator.settle()
    assert given(namespace) == before
    writes = len(operator.mortal.writes)
    await operator.settle()
    assert len(operator.mortal.writes) == writes
    assert namespace.get("Secret", "photos") == secret

    namespace.create(resources.key_pair("backend-keys"))
    namespace.patch("StorageBackend", "one", RESUMED)
    namespace.patch("VirtualBucket", "photos", RESUMED)
    await operator.settle()
    (backend,), (bucket,) = given(namespace)
    assert (backend["order"], bucket["maxMultipartUploads"]) == (7, 5)
    assert condition(namespace.get("StorageBackend", "one"), "Paused")[0] == ""


async def test_a_deletion_waits_until_it_goes_on(operator: InlineOperator, namespace: Namespace) -> None:
    namespace.patch("VirtualBucket", "photos", PAUSED)
    await operator.settle()
    namespace.delete("VirtualBucket", "photos")
    await operator.settle()
    conditions = (namespace.get("VirtualBucket", "photos") or {})["status"]["conditions"]
    assert [(one["status"], one["reason"]) for one in conditions if one["type"] == "DeletionBlocked"] == [("True", "Paused")]
    namespace.patch("VirtualBucket", "photos", RESUMED)
    await operator.settle()
    assert namespace.get("VirtualBucket", "photos") is None
