"""Proxies are replaced under load, by kubectl and by changes of their template and image: no request fails, no transfer is dropped."""

from __future__ import annotations

import json

import pytest
from e2e.backing import ACCESS_KEY_ID, SECRET_ACCESS_KEY, new_database
from e2e.clients import clients
from e2e.kubectl import Kubectl
from e2e.test_bucket import BACKENDS, backend, bucket
from tests.support import manifests
from tests.support.manifests import Manifest

SLOW = """
import hashlib, os, time, boto3, botocore.config
s3 = boto3.client("s3", config=botocore.config.Config(retries={"total_max_attempts": 1}))
name, data = os.environ["BUCKET_NAME"], os.urandom(64 * 1024 * 1024)
s3.put_object(Bucket=name, Key="large", Body=data)
body, digest = s3.get_object(Bucket=name, Key="large")["Body"], hashlib.sha256()
print("reading", flush=True)
for _ in range(64):
    digest.update(body.read(1024 * 1024))
    time.sleep(0.8)
assert digest.digest() == hashlib.sha256(data).digest()
print("read to its end")
"""


@pytest.fixture(scope="module")
def fleet(kubectl: Kubectl) -> Kubectl:
    run = kubectl.namespace
    spec: Manifest = {
        "topology": "Split",
        "proxy": {"replicas": 2},
        "database": {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}},
    }
    kubectl.apply(
        manifests.secret("database", {"uri": new_database(run)}),
        manifests.key_pair("backend-keys", ACCESS_KEY_ID, SECRET_ACCESS_KEY),
        {"apiVersion": "s3orchestrator.io/v1alpha1", "kind": "S3Orchestrator", "metadata": {"name": "main"}, "spec": spec},
        *(backend(name, number, run) for number, name in enumerate(BACKENDS)),
        bucket("photos"),
    )
    kubectl.wait_until_ready("s3orchestrator/main", "virtualbucket/photos")
    return kubectl


def pods(fleet: Kubectl, component: str) -> set[str]:
    path = "--output=jsonpath={.items[*].metadata.uid}"
    return set(fleet.run("get", "pods", f"--selector=app.kubernetes.io/component={component}", path).split())


def test_split_runs_workers_of_their_own_that_serve_no_s3(fleet: Kubectl) -> None:
    assert (len(pods(fleet, "proxy")), len(pods(fleet, "worker"))) == (2, 1)
    assert fleet.get("s3orchestrator", "main")["status"]["worker"]["summary"] == "1/1"
    endpoints = json.loads(fleet.run("get", "endpointslices", "--selector=kubernetes.io/service-name=main", "--output=json"))
    behind = {one["targetRef"]["uid"] for item in endpoints["items"] for one in item["endpoints"]}
    assert behind == pods(fleet, "proxy")


CHANGES: dict[str, tuple[Manifest, str]] = {
    "a change of the template": (
        {"proxy": {"podTemplate": {"metadata": {"annotations": {"rolled": "again"}}}}},
        "jsonpath={.spec.template.metadata.annotations.rolled}=again",
    ),
    # hack/kube/up gave the nodes the same image under a second tag.
    "a change of the image": (
        {"image": {"repository": "localhost/s3o-proxy", "tag": "again"}},
        "jsonpath={.spec.template.spec.containers[0].image}=localhost/s3o-proxy:again",
    ),
}
"""What is changed of the orchestrator's spec, and how it is seen that it has reached the Deployment."""
RESTART = "kubectl rollout restart"


@pytest.mark.parametrize("by", [RESTART, *CHANGES])
def test_proxies_are_replaced_and_no_client_notices(fleet: Kubectl, by: str) -> None:
    before = pods(fleet, "proxy")
    mounted = [{"secretRef": {"name": "photos"}}, {"configMapRef": {"name": "photos"}}]
    slow = f"slow-{len(by)}"
    with clients(fleet, "photos") as busy:
        fleet.start(slow, {"command": ["python3", "-c", SLOW], "envFrom": mounted, "env": [{"name": "HOME", "value": "/tmp"}]})
        fleet.wait_until_ready(f"pod/{slow}")
        while "reading" not in fleet.run("logs", slow):
            assert fleet.get("pod", slow)["status"]["phase"] == "Running"
        if by == RESTART:
            fleet.run("rollout", "restart", "deployment/main-proxy")
        else:
            spec, arrived = CHANGES[by]
            fleet.run("patch", "s3orchestrator", "main", "--type=merge", f"--patch={json.dumps({'spec': spec})}")
            fleet.wait_for(arrived, "deployment/main-proxy")
        fleet.run("rollout", "status", "deployment/main-proxy", "--timeout=180s", timeout_s=200)
        busy.wait_for_puts(busy.counts()["puts"] + 100)
        fleet.wait_for("jsonpath={.status.containerStatuses[0].state.terminated.reason}", f"pod/{slow}", timeout_s=180)
        outcome = busy.stop()
    assert fleet.run("logs", slow).endswith("read to its end\n")
    assert (outcome.failed, outcome.lost) == ([], [])
    assert outcome.gets > 0
    assert not before & ready(fleet)


def ready(fleet: Kubectl) -> set[str]:
    endpoints = json.loads(fleet.run("get", "endpointslices", "--selector=kubernetes.io/service-name=main", "--output=json"))
    return {one["targetRef"]["uid"] for item in endpoints["items"] for one in item["endpoints"] if one["conditions"]["ready"]}
