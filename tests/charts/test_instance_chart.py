"""The chart of an instance: values become the three kinds, checked by the very schema of the kinds. It names Secrets and writes none."""

from __future__ import annotations

import pytest
import yaml
from tests.support.charts import INSTANCE, HelmFailed, Object, helm, notes, render
from tests.support.kube import Cluster
from tests.support.repository import ROOT, read

BACKEND: Object = {"endpoint": "https://s3.example.com", "bucket": "b", "credentialsSecretRef": {"name": "keys"}}
VALUES: Object = {
    "labels": {"team": "storage"},
    "annotations": {"argocd.argoproj.io/sync-wave": "1"},
    "orchestrator": {"proxy": {"replicas": 2}, "database": {"driver": "Postgres", "uriSecretRef": {"name": "db", "key": "uri"}}},
    "backends": {"oci": {**BACKEND, "quota": {"bytes": 123456789012}}, "b2": {**BACKEND, "bucket": "c", "quota": {"bytes": "10Gi"}}},
    "buckets": {"photos": {}, "music": {"maxMultipartUploads": 5}},
}


def test_it_is_well_formed() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(INSTANCE))


def test_values_become_resources_that_the_api_server_accepts(cluster: Cluster) -> None:
    namespace = cluster.new_namespace()
    cluster.apply(render(INSTANCE, namespace=namespace, values=VALUES), namespace)
    listed = cluster.kubectl("get", "s3o,sb,vb", "-o", "name", namespace=namespace).split()
    assert [name.partition("/")[2] for name in listed] == ["main", "b2", "oci", "music", "photos"]
    oci = cluster.get("sb", "oci", namespace=namespace)
    assert oci["spec"]["orchestratorRef"]["name"] == "main"
    assert oci["spec"]["quota"]["bytes"] == 123456789012
    assert oci["metadata"]["labels"]["team"] == "storage"


def test_a_name_that_looks_like_something_else_is_a_name(cluster: Cluster) -> None:
    namespace = cluster.new_namespace()
    values: Object = {"name": "7", "backends": {"2024": BACKEND}, "buckets": {"1e3": {}, "true": {}}}
    cluster.apply(render(INSTANCE, namespace=namespace, values=values), namespace)
    listed = cluster.kubectl("get", "s3o,sb,vb", "-o", "name", namespace=namespace).split()
    assert [name.partition("/")[2] for name in listed] == ["7", "2024", "1e3", "true"]
    assert {type(one["metadata"]["namespace"]) for one in render(INSTANCE, namespace="77", values=values)} == {str}


def test_the_samples_can_be_said_as_values() -> None:
    """What the chart makes of them is what config/samples/ says."""
    samples = [one for path in sorted(ROOT.glob("config/samples/*.yaml")) for one in yaml.safe_load_all(read(str(path.relative_to(ROOT))))]
    specs = {(one["kind"], one["metadata"]["name"]): one["spec"] for one in samples if one["kind"] != "Secret"}
    values: Object = {"orchestrator": specs["S3Orchestrator", "main"], "backends": {}, "buckets": {}}
    for (kind, name), spec in specs.items():
        if kind != "S3Orchestrator":
            given = {field: value for field, value in spec.items() if field != "orchestratorRef"}
            values["backends" if kind == "StorageBackend" else "buckets"][name] = given
    assert {(one["kind"], one["metadata"]["name"]): one["spec"] for one in render(INSTANCE, values=values)} == specs


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"backend": {}}, "'backend' not allowed"),
        ({"backends": {"oci": {**BACKEND, "ordre": 1}}}, "'ordre' not allowed"),
        ({"backends": {"oci": {"bucket": "b"}}}, "missing properties 'endpoint', 'credentialsSecretRef'"),
        ({"backends": {"oci": {**BACKEND, "orchestratorRef": {"name": "other"}}}}, "'orchestratorRef' not allowed"),
        ({"orchestrator": {"routing": {"strategy": "Random"}}}, "strategy"),
        ({"buckets": {"photos": {"maxMultipartUploads": "many"}}}, "maxMultipartUploads"),
    ],
)
def test_what_the_kinds_do_not_know_is_refused_before_it_is_sent(values: Object, complaint: str) -> None:
    with pytest.raises(HelmFailed, match=complaint):
        render(INSTANCE, values=values)


def test_it_writes_no_secret() -> None:
    assert {one["kind"] for one in render(INSTANCE, values=VALUES)} == {"S3Orchestrator", "StorageBackend", "VirtualBucket"}


def test_its_notes_say_where_keys_are_and_what_an_uninstall_needs(cluster: Cluster) -> None:
    told = notes(cluster, INSTANCE, values=VALUES)
    assert "2 backends and 2 buckets" in told
    assert "the Secret and the ConfigMap photos" in told
    assert "the operator must still run" in told
