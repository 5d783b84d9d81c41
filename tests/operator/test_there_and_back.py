"""Acto's *undesired state* on a real API server: what server-side apply leaves of a child when fields of its resource come and go."""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import resources, whole_specs
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster
from tests.support.operator_fields import SMALL
from tests.support.operators import Namespace, authorize
from tests.support.pictures import children, differences
from tests.support.resources import Document
from tests.support.whole_specs import WHOLE

NAMES = {"S3Orchestrator": "main", "StorageBackend": "one", "VirtualBucket": "photos"}


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    for secret in whole_specs.secrets():
        namespace.create(secret)
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        yield made


def whole(kind: str, namespace: Namespace) -> Document:
    spec = copy.deepcopy(WHOLE[kind][0])
    if "orchestratorRef" in spec:
        spec["orchestratorRef"]["namespace"] = namespace.name
    return spec


def least(kind: str, namespace: Namespace) -> Document:
    """With what never changes."""
    if kind == "S3Orchestrator":
        return dict(SMALL)
    kept = ("orchestratorRef", "backendName", "bucketName", "bucket", "endpoint", "provider", "region", "credentialsSecretRef")
    return {name: value for name, value in whole(kind, namespace).items() if name in kept}


def say(namespace: Namespace, kind: str, spec: Document) -> None:
    path = namespace.path(kind, NAMES[kind])
    live = namespace.cluster.api.get(path).raise_for_status().json()
    namespace.cluster.api.put(path, json=live | {"spec": spec}).raise_for_status()


_COUNTED = re.compile(r'((?:generation|nodePort)\\*": *\\*"?)\d+')


async def made(operator: InlineOperator, namespace: Namespace) -> dict[str, str]:
    """Less what counts how often there was a change, what the API server draws by lot, and the registry, which remembers each key."""
    assert await operator.work(2) == []
    found = {name: _COUNTED.sub(r"\g<1>N", child) for name, child in children(namespace).items()}
    return {name: child for name, child in found.items() if name != "Secret main-registry"}


async def test_everything_asked_for_and_taken_back_leaves_what_was_there(operator: InlineOperator, namespace: Namespace) -> None:
    for kind, name in NAMES.items():
        document = {"apiVersion": resources.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": least(kind, namespace)}
        namespace.create(document)
    little = await made(operator, namespace)
    for kind in NAMES:
        say(namespace, kind, whole(kind, namespace))
    much = await made(operator, namespace)
    assert {"Deployment main-worker", "Secret app-keys"} <= much.keys() - little.keys()
    for kind in NAMES:
        say(namespace, kind, least(kind, namespace))
    assert not differences(little, await made(operator, namespace))


@pytest.mark.parametrize("kind", ["S3Orchestrator", "VirtualBucket"])
async def test_each_section_taken_out_and_put_back(kind: str, operator: InlineOperator, namespace: Namespace) -> None:
    for each, name in NAMES.items():
        document = {"apiVersion": resources.API_VERSION, "kind": each, "metadata": {"name": name}, "spec": whole(each, namespace)}
        namespace.create(document)
    before, spec = await made(operator, namespace), whole(kind, namespace)
    for section in sorted(spec.keys() - least(kind, namespace).keys() - {"topology"}):
        say(namespace, kind, {name: value for name, value in spec.items() if name != section})
        await operator.work(1)
        say(namespace, kind, spec)
        assert not differences(before, await made(operator, namespace)), section
