"""What the API server accepts, the operator survives: whatever a spec says, its status says how it stands, and good ones are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import resources
from tests.support.inline_operator import inline_operator
from tests.support.kube import Cluster, Refused
from tests.support.operators import ROOT, Namespace, Object, authorize, condition
from tests.support.schema_values import values

HOW_MANY = {"S3Orchestrator": 100, "StorageBackend": 100, "VirtualBucket": 60}


def specs(kind: str) -> st.SearchStrategy[Object]:
    definition = yaml.safe_load((ROOT / "crds" / f"{kind.lower()}s.yaml").read_text())
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    drawn: st.SearchStrategy[Object] = values(schema).map(lambda spec: _attached(spec) if kind != "S3Orchestrator" else spec)
    return drawn


def _attached(spec: Any) -> Any:
    """To what exists, so that it is looked at more closely than its first reference."""
    if isinstance(spec, list):
        return [_attached(one) for one in spec]
    if not isinstance(spec, dict):
        return spec
    there: dict[str, Any] = {"orchestratorRef": {"name": "main"}, "credentialsSecretRef": {"name": "backend-keys"}}
    return {name: there[name] if name in there else _attached(one) for name, one in spec.items()}


@pytest.mark.slow
async def test_whatever_the_schema_accepts_is_reported_on_and_harms_nobody(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    for document in [resources.key_pair("backend-keys"), resources.orchestrator(), resources.backend("good")]:
        namespace.create(document)
    namespace.create(resources.bucket("good", credentials=resources.REMOVED))
    accepted = {kind: offer(kind, namespace) for kind in HOW_MANY}
    print(f"accepted: {accepted}")
    assert all(count > HOW_MANY[kind] / 8 for kind, count in accepted.items())
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as operator:
        refusals = await operator.work()
    print(f"refused of its children: {refusals}")
    for kind in HOW_MANY:
        for resource in namespace.list(kind):
            is_reported = condition(resource, "Ready") != ("", "") or is_paused(resource)
            assert is_reported, (resource["metadata"]["name"], resource["spec"], resource.get("status"))
    assert condition(namespace.get("VirtualBucket", "good"), "Accepted")[0] == "True"
    assert namespace.get("Secret", "good")


def is_paused(resource: Object) -> bool:
    """The one state in which nothing else is said of a spec."""
    return bool(resource["spec"].get("suspend") and resource["status"]["phase"] == "Paused")


def offer(kind: str, namespace: Namespace) -> int:
    """How many were accepted."""
    made: list[Object] = []

    @settings(max_examples=HOW_MANY[kind], derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(spec=specs(kind))
    def one(spec: Object) -> None:
        plural = namespace.path(kind).rsplit("/", 1)[-1]
        document = {"apiVersion": resources.API_VERSION, "kind": kind, "metadata": {"name": f"fuzz-{len(made)}"}, "spec": spec}
        try:
            made.append(namespace.cluster.create(plural, document, namespace.name))
        except Refused:
            return

    one()
    return len(made)
