"""A real API server that knows our kinds, so that what a chart renders is judged by it."""

from __future__ import annotations

import pytest
from tests.support.kube import Cluster, bare_cluster
from tests.support.operators import install

__all__ = ["bare_cluster"]


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    install(bare_cluster)
    return bare_cluster
