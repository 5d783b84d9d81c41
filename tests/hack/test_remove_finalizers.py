"""The way out when no operator runs any more: our finalizers go from what is being deleted, and from nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support import resources
from tests.support.kube import Cluster
from tests.support.operators import authorize
from tests.support.repository import ROOT

OURS, THEIRS = "s3orchestrator.io/protection", "example.com/theirs"


def remove(cluster: Cluster, namespace: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KUBECONFIG": str(kubeconfig or cluster.kubeconfig), "PATH": f"{cluster.assets}:{os.environ['PATH']}"}
    script = str(ROOT / "hack/kube/remove-finalizers")
    return subprocess.run([script, namespace], env=environment, capture_output=True, text=True, check=False, timeout=60)


def finalizers(cluster: Cluster, name: str, namespace: str) -> list[str]:
    found: list[str] = cluster.get(name, namespace=namespace)["metadata"].get("finalizers", [])
    return found


def test_what_is_being_deleted_is_let_go_and_what_is_not_is_left_alone(cluster: Cluster) -> None:
    namespace = cluster.new_namespace()
    held = {"metadata.finalizers": [OURS]}
    both = {"metadata.finalizers": [OURS, THEIRS]}
    cluster.apply([resources.changed(resources.backend(name), held) for name in ("going", "staying")], namespace)
    cluster.apply(resources.changed(resources.bucket(), both), namespace)
    cluster.kubectl("delete", "--wait=false", "sb/going", "vb/photos", namespace=namespace)
    done = remove(cluster, namespace)
    assert done.returncode == 0, done.stderr
    assert cluster.kubectl("get", "sb", "-o", "name", namespace=namespace).split() == ["storagebackend.s3orchestrator.io/staying"]
    assert finalizers(cluster, "sb/staying", namespace) == [OURS]
    assert finalizers(cluster, "vb/photos", namespace) == [THEIRS]


def test_an_empty_namespace_is_no_error(cluster: Cluster) -> None:
    assert remove(cluster, cluster.new_namespace()).returncode == 0


def test_who_cannot_see_whether_an_operator_is_installed_takes_nothing_off(cluster: Cluster, tmp_path: Path) -> None:
    namespace = cluster.new_namespace()
    cluster.apply(resources.changed(resources.backend("going"), {"metadata.finalizers": [OURS]}), namespace)
    cluster.kubectl("delete", "--wait=false", "sb/going", namespace=namespace)
    done = remove(cluster, namespace, authorize(cluster, namespace, tmp_path))
    assert (done.returncode, "forbidden" in done.stderr) == (1, True)
    assert finalizers(cluster, "sb/going", namespace) == [OURS]


def test_where_an_operator_is_installed_it_refuses(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "config/manager"), namespace="s3-orchestrator-system")
    try:
        done = remove(cluster, cluster.new_namespace())
    finally:
        cluster.kubectl("delete", "-k", str(ROOT / "config/manager"), namespace="s3-orchestrator-system")
    assert (done.returncode, "an operator is installed" in done.stderr) == (1, True)
