"""One API server for all tests of the contract, with our three kinds installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.kube import Cluster, bare_cluster

__all__ = ["bare_cluster"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    """An API server that serves our kinds, from the very files that users apply."""
    bare_cluster.kubectl("apply", "--server-side", "--validate=strict", "-k", str(ROOT / "config/crd"))
    bare_cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return bare_cluster


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.new_namespace()
