"""A status reaches the object that it was meant for, however old the cache is, and never another one of its name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, authorize

from s3o_operator.apply.report import report
from s3o_operator.kube.client import Kube
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.observed import Ref

STATUS: Object = {"phase": "Ready"}


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        yield made


def kube_of(operator: InlineOperator) -> Kube:
    return Kube(operator.mortal)  # type: ignore[arg-type]  # what Kube uses of it


def phase(namespace: Namespace) -> str | None:
    found = namespace.get("StorageBackend", "one") or {}
    return (found.get("status") or {}).get("phase")


@pytest.mark.parametrize("seen", ["as it is", "before an edit", "never"])
async def test_it_is_written_whatever_is_known(seen: str, operator: InlineOperator, namespace: Namespace) -> None:
    cache, made = Cache(), namespace.create(resources.backend("one"))
    if seen != "never":
        cache.put(made)
    if seen == "before an edit":
        namespace.patch("StorageBackend", "one", {"spec": {"order": 7}})
    ref = Ref("StorageBackend", namespace.name, "one")
    await report(ref, made["metadata"]["uid"], STATUS, kube_of(operator), cache)
    assert phase(namespace) == "Ready"
    assert (cache.get(ref) or {})["status"] == STATUS


@pytest.mark.parametrize("seen", ["the old one", "the new one", "none"])
async def test_a_namesake_is_left_alone(seen: str, operator: InlineOperator, namespace: Namespace) -> None:
    """The API server would write it there: it does not look at the uid."""
    cache, old = Cache(), namespace.create(resources.backend("one"))
    namespace.delete("StorageBackend", "one")
    new = namespace.create(resources.backend("one"))
    if seen != "none":
        cache.put(old if seen == "the old one" else new)
    ref = Ref("StorageBackend", namespace.name, "one")
    await report(ref, old["metadata"]["uid"], STATUS, kube_of(operator), cache)
    assert phase(namespace) is None
    assert (cache.get(ref) or {})["metadata"]["uid"] == new["metadata"]["uid"]


async def test_of_one_that_is_gone_nothing_is_said(operator: InlineOperator, namespace: Namespace) -> None:
    cache, old = Cache(), namespace.create(resources.backend("one"))
    cache.put(old)
    namespace.delete("StorageBackend", "one")
    ref = Ref("StorageBackend", namespace.name, "one")
    await report(ref, old["metadata"]["uid"], STATUS, kube_of(operator), cache)
    assert cache.get(ref) is None
