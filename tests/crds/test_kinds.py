"""How the kinds show in kubectl: names, columns, scale, selectors, defaults, explanations. And the samples, as users apply them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.kube import AssetsMissing, Cluster, KubectlFailed, find_assets
from tests.support.resources import Document

from s3o_crds.kinds import KINDS

ROOT = Path(__file__).parents[2]
SINCE = "2026-11-20T08:00:00Z"


def condition(status: str) -> Document:
    return {"type": "Ready", "status": status, "reason": "Served", "message": "", "lastTransitionTime": SINCE, "observedGeneration": 1}


def with_status(document: Document, **status: object) -> Document:
    return document | {"status": {"observedGeneration": 1, **status}}


REPORTED = [
    with_status(
        resources.orchestrator(),
        phase="Ready",
        proxy={"replicas": 1, "selector": "app.kubernetes.io/instance=main", "summary": "1/1"},
        backends={"total": 3, "ready": 2, "summary": "2/3"},
        buckets={"total": 1, "ready": 1, "summary": "1/1"},
        usage={"bytesUsed": 21474836480, "bytesLimit": 37580963840, "objectCount": 18233, "summary": "20.0Gi/35.0Gi (57%)"},
        conditions=[condition("True")],
    ),
    with_status(
        resources.backend(),
        phase="Degraded",
        usage={"bytesUsed": 8589934592, "objectCount": 7211, "summary": "8.0Gi/20.0Gi (40%)"},
        drain={"trigger": "Spec", "token": "spec-4", "state": "Running", "objectsRemaining": 7211, "summary": "60% (7211 left)"},
        plan={"bytes": 5, "fits": True, "backends": [{"name": "two", "bytesIn": 5}]},
        operations=[{"kind": "Drain", "token": "spec-4", "state": "Running", "startedAt": SINCE}],
        lastHandled={"drain": "t1"},
        conditions=[condition("False")],
    ),
    with_status(
        resources.bucket(),
        phase="Bound",
        bucketName="photos",
        endpoint="http://main.storage.svc:9000",
        usage={"bytesUsed": 104857600, "objectCount": 733, "size": "100Mi", "summary": "733 objects, 100Mi"},
        conditions=[condition("True")],
    ),
]


@pytest.fixture(scope="module")
def reported(cluster: Cluster) -> str:
    """A namespace with one object of each kind, and a status as an operator writes it. No test changes it."""
    namespace = cluster.new_namespace()
    for document in REPORTED:
        cluster.apply({key: value for key, value in document.items() if key != "status"}, namespace)
        cluster.apply(document, namespace, subresource="status")
    return namespace


def table(text: str) -> dict[str, str]:
    """Column → cell, of a table with one row; a cell ends at two blanks."""
    head, row = text.strip().splitlines()[:2]
    starts = [index for index, letter in enumerate(head) if letter != " " and (index == 0 or head[index - 1] == " ")]
    cells = zip(starts, [*starts[1:], None], strict=True)
    return {head[start:end].strip(): row[start:end].strip() for start, end in cells}


def test_the_columns_of_an_orchestrator(cluster: Cluster, reported: str) -> None:
    columns = table(cluster.kubectl("get", "s3o", namespace=reported))
    assert columns.pop("AGE")
    assert columns == {
        "NAME": "main",
        "READY": "True",
        "PHASE": "Ready",
        "PROXIES": "1/1",
        "BACKENDS": "2/3",
        "BUCKETS": "1/1",
        "USED": "20.0Gi/35.0Gi (57%)",
    }


def test_the_columns_of_a_backend(cluster: Cluster, reported: str) -> None:
    columns = table(cluster.kubectl("get", "sb", "-o", "wide", namespace=reported))
    assert columns.pop("AGE")
    assert columns == {
        "NAME": "one",
        "ORCHESTRATOR": "main",
        "STATE": "Degraded",
        "READY": "False",
        "USED": "8.0Gi/20.0Gi (40%)",
        "OBJECTS": "7211",
        "DRAIN": "60% (7211 left)",
        "ENDPOINT": "https://one.example.com",
    }
    assert "ENDPOINT" not in cluster.kubectl("get", "sb", namespace=reported)


def test_the_columns_of_a_bucket(cluster: Cluster, reported: str) -> None:
    columns = table(cluster.kubectl("get", "vb", "-o", "wide", namespace=reported))
    assert columns.pop("AGE")
    assert columns == {
        "NAME": "photos",
        "ORCHESTRATOR": "main",
        "BUCKET": "photos",
        "READY": "True",
        "OBJECTS": "733",
        "SIZE": "100Mi",
        "ENDPOINT": "http://main.storage.svc:9000",
    }


def test_one_category_lists_all_kinds(cluster: Cluster, reported: str) -> None:
    listed = cluster.kubectl("get", "s3", "-o", "name", namespace=reported).split()
    assert sorted(listed) == sorted(
        ["s3orchestrator.s3orchestrator.io/main", "storagebackend.s3orchestrator.io/one", "virtualbucket.s3orchestrator.io/photos"]
    )


SELECTED = {
    ("sb", "spec.orchestratorRef.name"): "main",
    ("sb", "spec.orchestratorRef.namespace"): "",
    ("sb", "spec.state"): "Active",
    ("sb", "spec.provider"): "Generic",
    ("sb", "status.phase"): "Degraded",
    ("vb", "spec.orchestratorRef.name"): "main",
    ("vb", "spec.orchestratorRef.namespace"): "",
    ("vb", "spec.bucketName"): "",
    ("vb", "status.phase"): "Bound",
    ("s3o", "status.phase"): "Ready",
}


def test_objects_are_selected_by_field(cluster: Cluster, reported: str) -> None:
    def listed(kind: str, selector: str) -> str:
        return cluster.kubectl("get", kind, f"--field-selector={selector}", "-o", "name", namespace=reported).strip()

    for (kind, field), value in SELECTED.items():
        assert listed(kind, f"{field}={value}"), (kind, field)
        assert not listed(kind, f"{field}=other"), (kind, field)


def test_every_selectable_field_is_tested_above() -> None:
    assert SELECTED.keys() == {(kind.short_name, path.removeprefix(".")) for kind in KINDS for path in kind.selectable}


class TestScale:
    def test_reads_and_writes_the_replicas_of_the_proxy(self, cluster: Cluster, namespace: str) -> None:
        database = {"driver": "Postgres", "uriSecretRef": {"name": "pg", "key": "uri"}}
        cluster.apply(resources.orchestrator(database=database), namespace)
        cluster.kubectl("scale", "s3o/main", "--replicas=4", namespace=namespace)
        assert cluster.get("s3o", "main", namespace=namespace)["spec"]["proxy"]["replicas"] == 4

    def test_shows_an_autoscaler_what_it_needs(self, cluster: Cluster, reported: str) -> None:
        path = f"/apis/s3orchestrator.io/v1alpha1/namespaces/{reported}/s3orchestrators/main/scale"
        scale = json.loads(cluster.kubectl("get", "--raw", path))
        assert scale["spec"] == {"replicas": 1}
        assert scale["status"] == {"replicas": 1, "selector": "app.kubernetes.io/instance=main"}

    def test_cannot_break_the_rule_of_one_proxy_on_sqlite(self, cluster: Cluster, reported: str) -> None:
        with pytest.raises(KubectlFailed, match="driver SQLite allows one proxy"):
            cluster.kubectl("scale", "s3o/main", "--replicas=2", namespace=reported)


def test_what_was_left_out_is_hardly_filled_in(cluster: Cluster, namespace: str) -> None:
    """A repository of manifests and the cluster differ by as little as possible; `proxy` is there for the scale subresource."""
    assert cluster.create("s3orchestrators", resources.orchestrator(), namespace)["spec"] == {
        "proxy": {"replicas": 1},
        "topology": "Combined",
    }
    given = resources.backend()["spec"]
    keys = {"accessKeyIdKey": "AWS_ACCESS_KEY_ID", "secretAccessKeyKey": "AWS_SECRET_ACCESS_KEY"}
    assert cluster.create("storagebackends", resources.backend(), namespace)["spec"] == given | {
        "order": 100,
        "state": "Active",
        "provider": "Generic",
        "deletionPolicy": "Drain",
        "credentialsSecretRef": given["credentialsSecretRef"] | keys,
    }


def test_a_size_stays_as_it_was_written(cluster: Cluster, namespace: str) -> None:
    quota = {"bytes": "1024Mi", "maxObjectSize": 1000}
    assert cluster.create("storagebackends", resources.backend(quota=quota), namespace)["spec"]["quota"] == quota


def test_two_writers_each_own_their_credential(cluster: Cluster, namespace: str) -> None:
    def written_by(manager: str, name: str) -> None:
        document = resources.bucket(credentials=[{"name": name, "secretRef": {"name": "keys"}}])
        arguments = ["apply", "--server-side", f"--field-manager={manager}", "-f", "-"]
        cluster.kubectl(*arguments, documents=document, namespace=namespace)

    written_by("team-a", "reader")
    written_by("team-b", "writer")
    written_by("team-a", "auditor")
    credentials = cluster.get("vb", "photos", namespace=namespace)["spec"]["credentials"]
    assert {credential["name"] for credential in credentials} == {"auditor", "writer"}


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("s3o", "One S3 endpoint in front of many S3 backends."),
        ("sb", "One bucket at one S3 provider"),
        ("sb.spec.quota.bytes", "Never exceeded, not by a byte."),
        ("vb.spec.credentials.type", "SigV4 is a key pair that signs requests"),
        ("s3o.spec.server.stallTimeout", "is given up"),
    ],
)
def test_docstrings_are_what_kubectl_explains(cluster: Cluster, field: str, sentence: str) -> None:
    assert sentence in " ".join(cluster.kubectl("explain", field).split())


@pytest.mark.parametrize(("folder", "backends"), [("samples", ["b2", "oci", "r2"]), ("local", ["one", "three", "two"])])
def test_the_samples_are_accepted(cluster: Cluster, namespace: str, folder: str, backends: list[str]) -> None:
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", str(ROOT / "config" / folder), namespace=namespace)
    listed = cluster.kubectl("get", "s3", "-o", "name", namespace=namespace).split()
    assert [name.split("/")[1] for name in listed] == ["main", *backends, "photos"]


def test_missing_binaries_are_an_error_that_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"KUBEBUILDER_ASSETS is not set.*hack/kube/assets"):
        find_assets({})
    with pytest.raises(AssetsMissing, match="lacks kube-apiserver, etcd, kubectl"):
        find_assets({"KUBEBUILDER_ASSETS": str(tmp_path)})
