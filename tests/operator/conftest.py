"""A namespace for each test of the operator, on an API server with the CRDs and roles that users apply, and operators for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Operators, operators


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
