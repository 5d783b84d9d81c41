"""How the scripts come to Argo CD: into its ConfigMap, whose other settings stay; or as a component, where kustomize makes that."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.support.argo import COMPONENT
from tests.support.kube import Cluster
from tests.support.repository import ROOT

from s3o_crds.kinds import KINDS

KEYS = {f"resource.customizations.{what}.s3orchestrator.io_{kind.name}" for what in ("health", "actions") for kind in KINDS}
THEIRS = {"url": "https://argocd.example.com"}


@pytest.fixture
def argocd_cm(cluster: Cluster) -> str:
    """The name of one that is there, with a setting of its own."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": THEIRS}, "argocd")
    return "argocd-cm"


def test_applied_it_adds_six_keys_and_touches_no_other(cluster: Cluster, argocd_cm: str) -> None:
    for _ in range(2):
        cluster.kubectl(
            "apply", "--server-side", "--field-manager=s3-orchestrator", "-k", str(ROOT / "config" / "argocd"), namespace="argocd"
        )
    data = cluster.get("configmap", argocd_cm, namespace="argocd")["data"]
    assert data.keys() == KEYS | THEIRS.keys()
    assert data["url"] == THEIRS["url"]
    health = (COMPONENT / "health.lua").read_text()
    assert all(value == health for key, value in data.items() if ".health." in key)


def test_it_is_a_component_of_ones_own_kustomization(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "component").symlink_to(COMPONENT)
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}, "data": THEIRS}
    (tmp_path / "argocd.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "kustomization.yaml").write_text("resources: [argocd.yaml]\ncomponents: [component]\n")
    (made,) = yaml.safe_load_all(cluster.kubectl("kustomize", str(tmp_path)))
    assert made["metadata"] == {"name": "argocd-cm", "namespace": "argocd"}
    assert made["data"].keys() == KEYS | THEIRS.keys()
