"""A namespace that is deleted goes, with everything in it, in whatever order its controller deletes that (COSI #78, Rook #12516)."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.garbage import collect_garbage
from tests.support.inline_operator import inline_operator
from tests.support.kube import Cluster
from tests.support.operators import BASES, Namespace, authorize_everywhere
from tests.support.pictures import OURS

PARTS = (*OURS, "Secret")
ORDERS = list(itertools.permutations(PARTS))[::6]


@pytest.fixture(scope="module")
def everywhere(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authorize_everywhere(cluster, tmp_path_factory.mktemp("kubeconfigs"))


def delete_all(namespace: Namespace, kind: str) -> None:
    for item in namespace.list(kind):
        namespace.delete(kind, item["metadata"]["name"])


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(kind[:2] for kind in order))
async def test_nothing_holds_it_up_and_nothing_is_made_in_it(order: tuple[str, ...], everywhere: Path, namespace: Namespace) -> None:
    for document in (resources.key_pair("backend-keys"), resources.orchestrator(), resources.backend("one"), resources.backend("two")):
        namespace.create(document)
    namespace.create(resources.bucket("photos", credentials=resources.REMOVED, deletionPolicy="Delete"))
    async with inline_operator(everywhere, namespace.name) as operator:
        await operator.settle()
        namespace.make_proxies_ready()
        await operator.settle()
        namespace.cluster.api.delete(f"/api/v1/namespaces/{namespace.name}").raise_for_status()
        for kind in order:
            delete_all(namespace, kind)
            await operator.work(1)
        for kind in sorted(BASES.keys() - set(PARTS)):
            delete_all(namespace, kind)
        for pod in namespace.pods.names():
            namespace.pods.delete(pod)
        collect_garbage(namespace)
        await operator.work(2)
    # A claim waits for a controller of Kubernetes, which does not run here.
    ours = BASES.keys() - {"PersistentVolumeClaim"}
    left = [f"{kind} {item['metadata']['name']}" for kind in ours for item in namespace.list(kind)]
    assert not left
    assert not [one for one in namespace.pods.stand_in("main").operations.rows if one["kind"] == "Purge" and one["backend"]]
