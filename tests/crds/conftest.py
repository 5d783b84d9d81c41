"""A namespace for each test of the contract, on an API server that has our kinds from the very files that users apply."""

from __future__ import annotations

import pytest
from tests.support.kube import Cluster


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.new_namespace()
