"""A real API server: on it an Argo CD could have its settings, and its CEL is that of Flux."""

from __future__ import annotations

import pytest
from tests.support.kube import Cluster, bare_cluster
from tests.support.operators import install

__all__ = ["bare_cluster"]


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    install(bare_cluster)
    return bare_cluster
