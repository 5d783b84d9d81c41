"""Helm, as its user runs it: `helm lint`, and `helm template` parsed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.support.kube import Cluster
from tests.support.repository import ROOT

Object = dict[str, Any]
OPERATOR, INSTANCE = ROOT / "charts" / "s3-orchestrator-operator", ROOT / "charts" / "s3-orchestrator"
NAMESPACE = "s3-orchestrator-system"


class HelmMissing(Exception):
    """Not a skip: a test that does not run proves nothing."""


class HelmFailed(Exception):
    """With what it said."""


def render(chart: Path, release: str = "main", namespace: str = NAMESPACE, values: Object | None = None) -> list[Object]:
    """The manifests, in order. Raises HelmFailed."""
    options = ["template", release, str(chart), f"--namespace={namespace}", "--kube-version=1.34.0", "--values=-"]
    return [document for document in yaml.safe_load_all(helm(*options, typed=json.dumps(values or {}))) if document]


def notes(cluster: Cluster, chart: Path, release: str = "main", values: Object | None = None) -> str:
    """What is told after an installation, which the API server of `cluster` tries and does not do."""
    options = ["install", release, str(chart), f"--namespace={NAMESPACE}", "--dry-run=server", "--take-ownership", "--values=-"]
    return helm(*options, f"--kubeconfig={cluster.kubeconfig}", typed=json.dumps(values or {})).partition("NOTES:")[2]


def helm(*arguments: str, typed: str | None = None) -> str:
    """What it prints. Raises HelmFailed, HelmMissing."""
    environment = os.environ | {"HELM_CACHE_HOME": "/nonexistent", "HELM_CONFIG_HOME": "/nonexistent"}
    done = subprocess.run([_find(), *arguments], input=typed, capture_output=True, text=True, check=False, timeout=60, env=environment)
    if done.returncode != 0:
        raise HelmFailed(done.stdout + done.stderr)
    return done.stdout


def _find() -> str:
    beside_kubectl = Path(os.environ.get("KUBEBUILDER_ASSETS", "")) / "helm"
    found = str(beside_kubectl) if os.access(beside_kubectl, os.X_OK) else shutil.which("helm")
    if found is None:
        raise HelmMissing("helm (3.17 or newer) is neither in KUBEBUILDER_ASSETS nor in PATH: https://helm.sh/docs/intro/install")
    return found
