"""Kinds of others (Gateway API, cert-manager, the Prometheus operator) for an API server: served, and kept as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.kube import Cluster

from s3o_operator.kube.kinds import OPTIONAL, Kind


def definition(kind: Kind) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    metadata: dict[str, Any] = {"name": f"{kind.plural}.{kind.group}"}
    if kind.group.endswith(".k8s.io"):
        metadata["annotations"] = {"api-approved.kubernetes.io": "unapproved, for a test"}
    names = {"kind": kind.name, "plural": kind.plural}
    spec = {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


@contextmanager
def installed(cluster: Cluster, *names: str) -> Iterator[None]:
    """Gone again afterwards."""
    definitions = [definition(kind) for kind in OPTIONAL if kind.name in names]
    cluster.apply(definitions)
    try:
        for one in definitions:
            cluster.kubectl("wait", "--for=condition=Established", f"crd/{one['metadata']['name']}", "--timeout=30s")
        yield
    finally:
        for one in definitions:
            cluster.kubectl("delete", "crd", one["metadata"]["name"], "--timeout=30s")
