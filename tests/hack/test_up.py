"""`hack/kube/up` finds the cluster of kind, wherever kind has written it down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.kube import Cluster
from tests.support.repository import ROOT


class Checkout:
    """One with nothing beside it, of somebody whose kubectl knows `cluster` under the name `context`. KUBECONFIG is not set."""

    def __init__(self, folder: Path, cluster: Cluster, context: str) -> None:
        self._script, home = folder / "repository" / "hack" / "kube" / "up", folder / "home"
        self._script.parent.mkdir(parents=True)
        shutil.copy(ROOT / "hack" / "kube" / "up", self._script)
        known = json.loads(cluster.kubeconfig.read_text())
        known["contexts"][0]["name"] = known["current-context"] = context
        (home / ".kube").mkdir(parents=True)
        (home / ".kube" / "config").write_text(json.dumps(known))
        self._environment = {"PATH": f"{cluster.assets}:{os.environ['PATH']}", "HOME": str(home)}

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._script), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)


def test_after_kind_create_cluster_it_needs_no_setting(cluster: Cluster, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, cluster, "kind-kind")
    assert "building localhost/s3o-proxy:dev" in checkout.up().stderr  # Which fails: there is nothing to build.
    assert (checkout.up("env").returncode, checkout.up("env").stdout) == (0, "")


@pytest.mark.parametrize("arguments", [(), ("env",)])
def test_another_cluster_is_not_touched_unasked(cluster: Cluster, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = Checkout(tmp_path, cluster, "production").up(*arguments)
    assert (ended.returncode, "no cluster" in ended.stderr) == (1, True)
