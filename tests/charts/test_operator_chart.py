"""The chart of the operator says what config/ says: the same rights, the same pods, the same definitions; and it takes no nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.support.charts import NAMESPACE, OPERATOR, HelmFailed, Object, helm, notes, render
from tests.support.kube import Cluster
from tests.support.repository import ROOT

from s3o_operator.plan.manifests.labels import NAME
from s3o_operator.plan.manifests.network import OPERATOR_NAME

RELEASE = "s3orchestrator-operator"

VARIANTS: dict[str, Object] = {
    "as it is": {},
    "one namespace": {"watchNamespace": NAMESPACE},
    "without definitions and rights": {
        "crds": {"install": False},
        "rbac": {"create": False, "aggregate": False},
        "serviceAccount": {"create": False, "name": "mine"},
    },
    "everything": {
        "image": {"digest": f"sha256:{'0' * 64}"},
        "imagePullSecrets": [{"name": "pull"}],
        "replicas": 3,
        "podLabels": {"team": "storage"},
        "podAnnotations": {"note": "1"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "serviceAccount": {"annotations": {"a": "b"}},
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}}],
    },
}


def kustomized(cluster: Cluster, folder: str) -> list[Object]:
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(ROOT / "config" / folder))))


def only(documents: list[Object], kind: str, name: str = "") -> Object:
    (found,) = [one for one in documents if one["kind"] == kind and name in ("", one["metadata"]["name"])]
    return found


def test_it_is_well_formed() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(OPERATOR))


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_what_it_renders_is_accepted_by_the_api_server(cluster: Cluster, values: Object) -> None:
    dry_run = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    cluster.kubectl(*dry_run, documents=render(OPERATOR, values=values), namespace=NAMESPACE)


@pytest.mark.parametrize(("folder", "values"), [("default", {}), ("namespaced", {"watchNamespace": NAMESPACE})])
def test_rights_and_pods_are_those_of_config(cluster: Cluster, folder: str, values: Object) -> None:
    ours, theirs = render(OPERATOR, RELEASE, values=values), kustomized(cluster, folder)
    for kind, name in (
        ("ClusterRole" if folder == "default" else "Role", RELEASE),
        ("Role", f"{RELEASE}-leadership"),
        ("ClusterRoleBinding" if folder == "default" else "RoleBinding", RELEASE),
        ("RoleBinding", f"{RELEASE}-leadership"),
    ):
        mine, yours = only(ours, kind, name), only(theirs, kind, name)
        assert {key: value for key, value in mine.items() if key != "metadata"} == {
            key: value for key, value in yours.items() if key != "metadata"
        }
        assert mine["metadata"].get("namespace") == yours["metadata"].get("namespace")
    assert pod_of(ours) == pod_of(theirs)


def pod_of(documents: list[Object]) -> Object:
    """Without what has to differ: the labels by which a release finds its own, and in which form a setting comes."""
    spec: Object = only(documents, "Deployment")["spec"]
    pod: Object = spec["template"]["spec"]
    for constraint in pod["topologySpreadConstraints"]:
        del constraint["labelSelector"]
    (container,) = pod["containers"]
    container["env"] = sorted(one["name"] for one in container["env"] if one["name"] != "S3O_RESYNC_SECONDS")
    return {"replicas": spec["replicas"], **pod}


def test_a_cluster_that_does_not_know_all_that_the_definitions_say_is_refused() -> None:
    """`selectableFields` came with Kubernetes 1.30; kubectl sends nothing that an older one does not know."""
    with pytest.raises(HelmFailed, match="requires kubeVersion"):
        helm("template", "main", str(OPERATOR), "--kube-version=1.29.15")


def test_the_definitions_are_the_same_upgraded_with_the_release_and_kept_after_it(cluster: Cluster) -> None:
    definitions = [one for one in render(OPERATOR) if one["kind"] == "CustomResourceDefinition"]
    for one in definitions:
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert definitions == kustomized(cluster, "crd")
    gone = [one for one in render(OPERATOR, values={"crds": {"keep": False}}) if one["kind"] == "CustomResourceDefinition"]
    assert ["annotations" in one["metadata"] for one in gone] == [False] * 3
    assert not (OPERATOR / "crds").exists(), "Helm never upgrades what lies in crds/"


def test_two_releases_in_one_namespace_lead_each_for_the_namespace_that_it_watches() -> None:
    """With one Lease between them, one would stand by for ever, and its namespace would be served by nobody."""
    for watched in ("team-a", "team-b"):
        documents = render(OPERATOR, watched, values={"watchNamespace": watched, "crds": {"install": False}})
        (container,) = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert {one["value"] for one in container["env"] if one["name"] in ("S3O_NAMESPACE", "S3O_WATCH_NAMESPACE")} == {watched}
        for kind in ("Role", "RoleBinding"):
            assert only(documents, kind, f"{watched}-operator-leadership")["metadata"]["namespace"] == watched


def test_fleets_let_its_pods_in() -> None:
    """By the NetworkPolicies that the operator makes, which know it by a label."""
    labels = only(render(OPERATOR, "any", values={"fullnameOverride": "other"}), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels[NAME] == OPERATOR_NAME


def test_a_name_that_looks_like_a_number_is_a_name() -> None:
    values: Object = {"watchNamespace": "1e3", "fullnameOverride": "12", "serviceAccount": {"name": "17"}, "priorityClassName": "5"}
    for one in render(OPERATOR, "123", "2024", {**values, "podMonitor": {"enabled": True}}):
        metadata = one["metadata"]
        assert isinstance(metadata["name"], str)
        assert isinstance(metadata.get("namespace", ""), str)
        assert {type(text) for text in metadata.get("labels", {}).values()} <= {str}
    documents = render(OPERATOR, "123", "2024", values)
    pod = only(documents, "Deployment")["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["priorityClassName"]) == ("17", "5")
    assert only(documents, "RoleBinding", "12")["subjects"] == [{"kind": "ServiceAccount", "name": "17", "namespace": "2024"}]


def test_a_version_with_build_metadata_makes_a_valid_label(tmp_path: Path) -> None:
    """As Flux gives one to a chart out of Git: 0.1.0+ and the revision."""
    helm("package", str(OPERATOR), "--version=0.1.0+5c4d7e", f"--destination={tmp_path}")
    (packed,) = tmp_path.iterdir()
    labels = only(render(packed), "Deployment")["metadata"]["labels"]
    assert labels["helm.sh/chart"] == "s3-orchestrator-operator-0.1.0_5c4d7e"


def test_a_pod_monitor_finds_the_port_and_the_pods() -> None:
    documents = render(OPERATOR, values={"podMonitor": {"enabled": True, "interval": "10s", "labels": {"release": "prometheus"}}})
    monitor, deployment = only(documents, "PodMonitor"), only(documents, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": container["ports"][0]["name"], "path": "/metrics", "interval": "10s"}]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert "PodMonitor" not in {one["kind"] for one in render(OPERATOR)}


def test_rendered_twice_it_is_the_same() -> None:
    assert render(OPERATOR) == render(OPERATOR)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replica": 3}, "'replica' not allowed"),
        ({"replicas": "three"}, "want integer"),
        ({"watchNamespace": "a,b"}, "watchNamespace"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"image": {"tag": ""}}, "an image needs a tag or a digest"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
        ({"crds": {"instal": True}}, "'instal' not allowed"),
        ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "podLabels"),
    ],
)
def test_what_it_does_not_know_or_understand_is_refused(values: Object, complaint: str) -> None:
    with pytest.raises(HelmFailed, match=complaint):
        render(OPERATOR, values=values)


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    schema = yaml.safe_load((OPERATOR / "values.schema.json").read_text())["properties"]
    values = yaml.safe_load((OPERATOR / "values.yaml").read_text())
    assert values.keys() == schema.keys() - {"global", "fullnameOverride"}


def test_its_notes_warn_of_finalizers_and_of_what_goes_with_the_definitions(cluster: Cluster) -> None:
    assert "hang in deletion for ever" in notes(cluster, OPERATOR)
    assert "The custom resource definitions stay" in notes(cluster, OPERATOR)
    assert "REMOVES THE CUSTOM RESOURCE DEFINITIONS" in notes(cluster, OPERATOR, values={"crds": {"keep": False}})
