"""A few files applied become an endpoint, and a bucket whose Secret and ConfigMap are all that an application needs."""

from __future__ import annotations

import pytest
from e2e.backing import ACCESS_KEY_ID, SECRET_ACCESS_KEY, new_bucket, new_database
from e2e.clients import clients
from e2e.kubectl import Kubectl
from tests.support import manifests
from tests.support.manifests import Manifest

BACKENDS = ("one", "two", "three")

APPLICATION = """
import os, boto3
s3, bucket = boto3.client("s3"), os.environ["BUCKET_NAME"]
large = os.urandom(20 * 1024 * 1024)
s3.put_object(Bucket=bucket, Key="small", Body=b"a few bytes")
open("/tmp/large", "wb").write(large)
s3.upload_file("/tmp/large", bucket, "folder/large")
assert s3.get_object(Bucket=bucket, Key="small")["Body"].read() == b"a few bytes"
s3.download_file(bucket, "folder/large", "/tmp/again")
assert open("/tmp/again", "rb").read() == large
print([entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]])
"""

LATER = """
export HOME=/tmp
for attempt in $(seq 60); do
  echo data | aws s3 cp - s3://$BUCKET_NAME/later && break
  sleep 2  # The kubelet brings a changed Secret into a running pod in its own time.
done
aws s3 cp s3://$BUCKET_NAME/later - | grep -qx data
aws s3 ls s3://$BUCKET_NAME/
"""


def backend(name: str, number: int, place: str) -> Manifest:
    """In a new bucket, `place`, of a server that is everybody's."""
    endpoint = new_bucket(number, place)
    fields = {"order": number, "etagIsMD5": True, "quota": {"bytes": "1Gi"}}
    return manifests.backend(name, endpoint=endpoint, bucket=place, region="us-east-1", secret_name="backend-keys", **fields)


def bucket(name: str) -> Manifest:
    """Without credentials: the operator makes a key pair."""
    made = manifests.bucket(name, secret_name="unused")
    spec = made["spec"]
    assert isinstance(spec, dict)
    return made | {"spec": {field: value for field, value in spec.items() if field != "credentials"}}


@pytest.fixture(scope="module")
def applied(kubectl: Kubectl) -> Kubectl:
    run = kubectl.namespace
    database = {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}}
    kubectl.apply(
        manifests.secret("database", {"uri": new_database(run)}),
        manifests.key_pair("backend-keys", ACCESS_KEY_ID, SECRET_ACCESS_KEY),
        manifests.orchestrator(database=database, strategy="Spread", server={}),
        *(backend(name, number, run) for number, name in enumerate(BACKENDS)),
        bucket("photos"),
    )
    return kubectl


def test_what_was_applied_becomes_ready(applied: Kubectl) -> None:
    applied.wait_until_ready("s3orchestrator/main", *(f"storagebackend/{name}" for name in BACKENDS), "virtualbucket/photos")
    assert applied.get("deployment", "main-proxy")["status"]["readyReplicas"] >= 1


def test_a_pod_with_nothing_but_the_secret_and_the_config_map_stores_and_reads(applied: Kubectl) -> None:
    mounted = [{"secretRef": {"name": "photos"}}, {"configMapRef": {"name": "photos"}}]
    container: Manifest = {"command": ["python3", "-c", APPLICATION], "envFrom": mounted}
    assert applied.run_to_end("application", container) == "['folder/large', 'small']\n"


def test_a_bucket_that_is_added_is_served_without_a_restart(applied: Kubectl) -> None:
    before = applied.run("get", "pods", "--selector=app.kubernetes.io/component=proxy", "--output=jsonpath={.items[*].metadata.uid}")
    applied.apply(bucket("music"))
    applied.wait_until_ready("virtualbucket/music")
    mounted = [{"secretRef": {"name": "music"}}, {"configMapRef": {"name": "music"}}]
    container: Manifest = {"command": ["bash", "-ceu", LATER], "envFrom": mounted}
    assert applied.run_to_end("later", container, timeout_s=180).endswith(" later\n")
    after = applied.run("get", "pods", "--selector=app.kubernetes.io/component=proxy", "--output=jsonpath={.items[*].metadata.uid}")
    assert before == after != ""


def test_backends_come_and_close_while_clients_go_on_and_none_notices(applied: Kubectl) -> None:
    applied.wait_until_ready("virtualbucket/photos")
    with clients(applied, "photos") as busy:
        applied.apply(backend("four", 0, f"{applied.namespace}-four"))
        applied.wait_until_ready("storagebackend/four")
        applied.run("patch", "storagebackend", "one", "--type=merge", '--patch={"spec": {"state": "Cordoned"}}')
        applied.wait_for("jsonpath={.status.phase}=Cordoned", "storagebackend/one")
        busy.wait_for_puts(busy.counts()["puts"] + 100)
        outcome = busy.stop()
    assert (outcome.failed, outcome.lost) == ([], [])
    assert outcome.gets > 0
    applied.run("patch", "storagebackend", "one", "--type=merge", '--patch={"spec": {"state": "Active"}}')
