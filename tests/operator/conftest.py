"""One API server for all tests of the operator, with the CRDs and roles that users apply; a namespace and its operators for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.kube import Cluster, bare_cluster
from tests.support.operators import Namespace, Operators, install, operators

__all__ = ["bare_cluster"]


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    install(bare_cluster)
    return bare_cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    made = Namespace(cluster, cluster.new_namespace())
    yield made
    made.pods.close()


@pytest.fixture
def starting(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[Operators]:
    """Starts operators for the namespace of the test."""
    with operators(cluster, namespace.name, tmp_path) as made:
        yield made
