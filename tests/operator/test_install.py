"""What users apply is enough: the shipped binding for all namespaces, and every folder of `config/` renders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from tests.support import resources
from tests.support.kube import Cluster, KubectlFailed
from tests.support.operators import ROOT, Namespace, condition, kubeconfig_of, operators
from tests.support.proxy import wait_until

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


def test_the_overlay_for_one_namespace_suffices_there_and_reaches_nowhere_else(cluster: Cluster, tmp_path: Path) -> None:
    space, other = (Namespace(cluster, cluster.new_namespace()) for _ in range(2))
    text = cluster.kubectl("kustomize", str(ROOT / "config" / "namespaced")).replace(SYSTEM, space.name)
    cluster.apply(list(yaml.safe_load_all(text)), space.name)
    kubeconfig = kubeconfig_of(cluster, "s3orchestrator-operator", space.name, tmp_path)
    with operators(cluster, space.name, tmp_path, kubeconfig=kubeconfig) as starting:
        operator = starting.start()
        for one in (space, other):
            cluster.apply(resources.orchestrator(), one.name)
        space.eventually("S3Orchestrator", "main", lambda found: condition(found, "Accepted")[0] == "True")
        assert operator.stop() == 0
        assert "ERROR" not in operator.said()
    assert condition(other.get("S3Orchestrator", "main"), "Accepted") == ("", "")
    listing = ("auth", "can-i", "list", "secrets", f"--as=system:serviceaccount:{space.name}:s3orchestrator-operator")
    assert cluster.kubectl(*listing, namespace=space.name).strip() == "yes"
    with pytest.raises(KubectlFailed):
        cluster.kubectl(*listing, namespace=other.name)


def test_what_the_overlay_for_one_namespace_is_deleted_with_leaves_the_namespace(cluster: Cluster, tmp_path: Path) -> None:
    """A fleet lives in it, with the volume of SQLite and the registry of keys, which `kubectl delete -k` must not take along."""
    overlay = {"resources": [os.path.relpath(ROOT / "config" / "namespaced", tmp_path)], "namespace": "storage"}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    rendered = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(tmp_path))))
    assert {one["kind"] for one in rendered} == {"ServiceAccount", "Role", "RoleBinding", "Deployment", "PodDisruptionBudget"}
    assert {one["metadata"]["namespace"] for one in rendered} == {"storage"}


def test_who_may_edit_a_namespace_may_edit_our_kinds_there(cluster: Cluster) -> None:
    """By aggregation, which a controller does: here it is asked what the roles say that take part in it."""
    for role, verbs in (("view", {"get", "list", "watch"}), ("edit", {"create", "update", "patch", "delete", "deletecollection"})):
        found = cluster.get("clusterrole", f"s3orchestrator-{role}")
        assert found["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
        assert {verb for rule in found["rules"] for verb in rule["verbs"]} == verbs
        assert {group for rule in found["rules"] for group in rule["apiGroups"]} == {"s3orchestrator.io"}


def test_who_may_edit_may_scale_from_what_is_there(cluster: Cluster) -> None:
    """`--current-replicas` reads the scale subresource first, as autoscalers do."""
    namespace = cluster.new_namespace()
    cluster.apply(resources.orchestrator(), namespace)
    for role in ("view", "edit"):
        cluster.kubectl("create", "rolebinding", role, f"--clusterrole=s3orchestrator-{role}", "--user=editor", namespace=namespace)
    asked = {"namespace": namespace, "verb": "patch", "group": "s3orchestrator.io", "resource": "s3orchestrators", "subresource": "scale"}
    review = {"spec": {"user": "editor", "resourceAttributes": asked}}
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    # The API server's authorizer hears of a binding a moment after it is made.
    wait_until(lambda: bool(cluster.api.post(reviews, json=review).json()["status"]["allowed"]), "still not allowed")
    replicas = cluster.get("s3o", "main", namespace=namespace)["spec"]["proxy"]["replicas"]
    scale = ("scale", "s3orchestrator/main", f"--current-replicas={replicas}", f"--replicas={replicas}", "--as=editor")
    assert "scaled" in cluster.kubectl(*scale, namespace=namespace)


@pytest.mark.parametrize("folder", ["crd", "rbac", "manager", "default", "namespaced"])
def test_a_folder_is_accepted_by_the_api_server(cluster: Cluster, folder: str) -> None:
    rendered = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(ROOT / "config" / folder))))
    assert rendered
    dry_run = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    cluster.kubectl(*dry_run, documents=rendered, namespace=SYSTEM)
