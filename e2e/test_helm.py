"""Both charts on a real cluster: the operator for one namespace, an instance, an upgrade, and everything gone again but the definitions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e.backing import ACCESS_KEY_ID, SECRET_ACCESS_KEY, new_bucket, new_database
from e2e.kubectl import Kubectl
from tests.support import manifests
from tests.support.charts import INSTANCE, OPERATOR, helm
from tests.support.manifests import Manifest

STORE = "echo data | aws s3 cp - s3://$BUCKET_NAME/key && aws s3 cp s3://$BUCKET_NAME/key -"


@pytest.fixture(scope="module")
def alone(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Without the operator that `make cluster` has installed: it looks after every namespace."""
    system, deployment = kubectl.operator(), "deployment/s3orchestrator-operator"
    system.run("scale", deployment, "--replicas=0")
    system.wait_for("delete", "pod", "--selector=app.kubernetes.io/name=s3orchestrator-operator")
    yield kubectl
    system.run("scale", deployment, "--replicas=2")
    system.run("rollout", "status", deployment, "--timeout=60s")


@pytest.fixture(scope="module")
def operator(alone: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """From a chart in which the VirtualBucket has another short name."""
    older = tmp_path_factory.mktemp("chart") / "older"
    shutil.copytree(OPERATOR, older)
    definition = older / "templates" / "crds" / "virtualbuckets.yaml"
    definition.write_text(definition.read_text().replace("- vb\n", "- older\n"))
    # The definitions are there already, by kubectl.
    for_one = ("--set", f"watchNamespace={alone.namespace}", "--take-ownership", "--wait", "--timeout=2m")
    helm("install", "s3orchestrator-operator", str(older), "--namespace", alone.namespace, *for_one)
    yield alone
    helm("uninstall", "s3orchestrator-operator", "--namespace", alone.namespace, "--wait")


@pytest.fixture(scope="module")
def instance(operator: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of values of the release `main`."""
    place = operator.namespace
    secrets = [
        manifests.secret("database", {"uri": new_database(place)}),
        manifests.key_pair("backend-keys", ACCESS_KEY_ID, SECRET_ACCESS_KEY),
    ]
    oci = {
        "endpoint": new_bucket(0, place),
        "bucket": place,
        "region": "us-east-1",
        "credentialsSecretRef": {"name": "backend-keys"},
        "quota": {"bytes": 1073741824},
    }
    values: Manifest = {
        "orchestrator": {"database": {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}}},
        "backends": {"oci": oci},
        "buckets": {"photos": {}},
        "extraObjects": secrets,
    }
    path = tmp_path_factory.mktemp("helm") / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    helm("install", "main", str(INSTANCE), "--namespace", place, "--values", str(path))
    yield path
    helm("uninstall", "main", "--namespace", place, "--ignore-not-found")
    operator.wait_for("delete", "s3orchestrators,storagebackends,virtualbuckets", "--all")


def short_names(kubectl: Kubectl) -> str:
    return kubectl.run("get", "customresourcedefinition/virtualbuckets.s3orchestrator.io", "--output=jsonpath={.spec.names.shortNames}")


def store(kubectl: Kubectl, bucket: str) -> str:
    mounted = [{"secretRef": {"name": bucket}}, {"configMapRef": {"name": bucket}}]
    environment = [{"name": "HOME", "value": "/tmp"}]
    return kubectl.run_to_end(f"into-{bucket}", {"command": ["bash", "-ceu", STORE], "envFrom": mounted, "env": environment})


@pytest.mark.usefixtures("instance")
def test_an_instance_from_values_becomes_ready_and_stores(operator: Kubectl) -> None:
    operator.wait_until_ready("s3orchestrator/main", "storagebackend/oci", "virtualbucket/photos")
    assert store(operator, "photos").splitlines()[-1] == "data"


def test_an_upgrade_adds_a_bucket(operator: Kubectl, instance: Path) -> None:
    options = ("--namespace", operator.namespace, "--values", str(instance), "--set-json", 'buckets.music={"maxMultipartUploads": 7}')
    helm("upgrade", "main", str(INSTANCE), *options)
    operator.wait_until_ready("virtualbucket/music")
    assert operator.get("virtualbucket", "music")["spec"]["maxMultipartUploads"] == 7


@pytest.mark.usefixtures("instance")
def test_an_upgrade_of_the_operator_upgrades_the_definitions(operator: Kubectl) -> None:
    assert short_names(operator) == '["older"]'
    options = ("--namespace", operator.namespace, "--reuse-values", "--set", "replicas=1", "--wait", "--timeout=2m")
    helm("upgrade", "s3orchestrator-operator", str(OPERATOR), *options)
    assert short_names(operator) == '["vb"]'


@pytest.mark.usefixtures("instance")
def test_an_uninstalled_instance_goes_and_an_uninstalled_operator_leaves_the_definitions(operator: Kubectl) -> None:
    helm("uninstall", "main", "--namespace", operator.namespace, "--wait", "--timeout=2m")
    operator.wait_for("delete", "s3orchestrators,storagebackends,virtualbuckets", "--all")
    assert operator.run("get", "s3orchestrators,storagebackends,virtualbuckets", "--output=name") == ""
    annotation = "jsonpath={.metadata.annotations.helm\\.sh/resource-policy}"
    for plural in ("s3orchestrators", "storagebackends", "virtualbuckets"):
        assert operator.run("get", f"customresourcedefinition/{plural}.s3orchestrator.io", "--output", annotation) == "keep"
