"""The expressions that docs/howto/gitops.md gives to Flux, in the CEL of a real API server: each is a rule of a throw-away kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.kube import Cluster, KubectlFailed
from tests.support.repository import ROOT, fenced_blocks

Object = dict[str, object]
TEXT: Object = {"type": "string", "maxLength": 64}
CONDITION: Object = {"type": "object", "properties": {"type": TEXT, "status": TEXT}}
FIELDS: Object = {
    # Rules of the API server do not see the generation in the true metadata.
    "meta": {"type": "object", "properties": {"generation": {"type": "integer"}}},
    "spec": {"type": "object", "properties": {"state": TEXT}},
    "status": {
        "type": "object",
        "properties": {"observedGeneration": {"type": "integer"}, "conditions": {"type": "array", "maxItems": 20, "items": CONDITION}},
    },
}


def expression(which: str) -> str:
    (block,) = [block for block in fenced_blocks("docs/howto/gitops.md") if "healthCheckExprs" in block]
    text = yaml.safe_load(block)["spec"]["healthCheckExprs"][0][which]
    return re.sub(r"\b(status|spec)\.", r"self.\1.", re.sub(r"\bmetadata\.", "self.meta.", text)).strip()


@pytest.fixture(scope="module", params=["current", "failed"])
def kind(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """A kind of which only those objects are accepted for which the expression `request.param` is true."""
    which: str = request.param
    schema = {"type": "object", "properties": FIELDS, "x-kubernetes-validations": [{"rule": expression(which), "message": "it is false"}]}
    names = {"plural": f"{which}s", "singular": which, "kind": which.capitalize()}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    cluster.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{which}s.flux.example.com"},
            "spec": {"group": "flux.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{which}s.flux.example.com", "--timeout=30s")
    yield which
    cluster.kubectl("delete", "crd", f"{which}s.flux.example.com")


def test_what_flux_removes_with_the_operator_leaves_the_definitions_and_the_namespace(cluster: Cluster, tmp_path: Path) -> None:
    """Flux deletes what a Kustomization had applied when it is deleted itself, but for what is annotated so."""
    (block,) = [block for block in fenced_blocks("docs/howto/gitops.md") if "./config/default" in block]
    patches = next(iter(yaml.safe_load_all(block)))["spec"]["patches"]
    folder = os.path.relpath(ROOT / "config" / "default", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [folder], "patches": patches}))
    kept = {"CustomResourceDefinition", "Namespace"}
    for one in yaml.safe_load_all(cluster.kubectl("kustomize", str(tmp_path))):
        annotations = one["metadata"].get("annotations", {})
        assert (annotations.get("kustomize.toolkit.fluxcd.io/prune") == "disabled") == (one["kind"] in kept), one["metadata"]


def backend(state: str, observed: int | None, **conditions: str) -> Object:
    told = [{"type": kind, "status": status} for kind, status in conditions.items()]
    status: Object = {} if observed is None else {"observedGeneration": observed, "conditions": told}
    return {"meta": {"generation": 2}, "spec": {"state": state}, "status": status}


CASES: list[tuple[str, Object, set[str]]] = [
    ("seen by nobody yet", backend("Active", None), set()),
    ("ready", backend("Active", 2, Ready="True", Stalled="False"), {"current"}),
    ("ready before the last change", backend("Active", 1, Ready="True", Stalled="False"), set()),
    ("on its way", backend("Active", 2, Ready="False", Stalled="False"), set()),
    ("stalled", backend("Active", 2, Ready="False", Stalled="True"), {"failed"}),
    ("draining, and ready as ever", backend("Draining", 2, Ready="True", Drained="False", Stalled="False"), set()),
    ("drained", backend("Draining", 2, Ready="True", Drained="True", Stalled="False"), {"current"}),
]


@pytest.mark.parametrize(("resource", "true"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_backend_is_what_the_recipe_says(cluster: Cluster, kind: str, resource: Object, true: set[str]) -> None:
    document = {"apiVersion": "flux.example.com/v1", "kind": kind.capitalize(), "metadata": {"name": "one"}, **resource}
    if kind in true:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", documents=document)
    else:
        with pytest.raises(KubectlFailed, match="it is false"):
            cluster.kubectl("create", "--dry-run=server", "-f", "-", documents=document)
