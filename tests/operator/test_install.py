"""What users apply is enough: the shipped binding for all namespaces, and every folder of `config/` renders."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.support import resources
from tests.support.kube import Cluster
from tests.support.operators import ROOT, Namespace, condition, kubeconfig_of, operators

SYSTEM = "s3-orchestrator-system"


def test_under_the_shipped_binding_every_namespace_is_served(cluster: Cluster, tmp_path: Path) -> None:
    spaces = [Namespace(cluster, cluster.new_namespace()) for _ in range(2)]
    kubeconfig = kubeconfig_of(cluster, "s3orchestrator-operator", SYSTEM, tmp_path)
    with operators(cluster, SYSTEM, tmp_path, kubeconfig=kubeconfig, everywhere=True) as starting:
        operator = starting.start()
        for space in spaces:
            cluster.apply(resources.orchestrator(), space.name)
        for space in spaces:
            space.eventually("S3Orchestrator", "main", lambda found: condition(found, "Accepted")[0] == "True")
        assert operator.stop() == 0
        assert "ERROR" not in operator.said()
        assert "forbidden" not in operator.said()


@pytest.mark.parametrize("folder", ["crd", "rbac", "manager", "default"])
def test_a_folder_is_accepted_by_the_api_server(cluster: Cluster, folder: str) -> None:
    rendered = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(ROOT / "config" / folder))))
    assert rendered
    dry_run = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    cluster.kubectl(*dry_run, documents=rendered, namespace=SYSTEM)
