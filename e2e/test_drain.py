"""A backend is emptied while clients go on: by an annotation, by its spec, by its deletion; whoever dies meanwhile.

`docs/howto/drain-a-backend.md` shows what `kubectl get sb --watch` prints of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.backing import ACCESS_KEY_ID, SECRET_ACCESS_KEY, new_database
from e2e.clients import clients
from e2e.kubectl import Kubectl
from e2e.test_bucket import backend, bucket
from tests.support import manifests
from tests.support.manifests import Manifest

pytestmark = pytest.mark.timeout(1800)
OBJECTS = int(os.environ.get("S3O_E2E_OBJECTS", "5000"))
BACKENDS = ("one", "two", "three")

FILL = f"""
import concurrent.futures, os, boto3, botocore.config
s3 = boto3.client("s3", config=botocore.config.Config(max_pool_connections=32))
def put(number):
    s3.put_object(Bucket=os.environ["BUCKET_NAME"], Key=f"many/{{number:05}}", Body=b"%d" % number * 20)
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(sum(1 for _ in pool.map(put, range({OBJECTS}))))
"""
CHECK = f"""
import concurrent.futures, os, boto3, botocore.config
s3, bucket = boto3.client("s3", config=botocore.config.Config(max_pool_connections=32)), os.environ["BUCKET_NAME"]
def right(number):
    return s3.get_object(Bucket=bucket, Key=f"many/{{number:05}}")["Body"].read() == b"%d" % number * 20
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(sum(pool.map(right, range({OBJECTS}))))
"""
MOUNTED = [{"secretRef": {"name": "photos"}}, {"configMapRef": {"name": "photos"}}]


@pytest.fixture(scope="module")
def filled(kubectl: Kubectl) -> Kubectl:
    """A fleet of two proxies over PostgreSQL, three backends, and many small objects."""
    run = kubectl.namespace
    database = {"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}}
    orchestrator = manifests.orchestrator(database=database, strategy="Spread", server={})
    spec = orchestrator["spec"]
    assert isinstance(spec, dict)
    kubectl.apply(
        manifests.secret("database", {"uri": new_database(run)}),
        manifests.key_pair("backend-keys", ACCESS_KEY_ID, SECRET_ACCESS_KEY),
        orchestrator | {"spec": spec | {"proxy": {"replicas": 2}}},
        *(backend(name, number, run) for number, name in enumerate(BACKENDS)),
        bucket("photos"),
    )
    kubectl.wait_until_ready("s3orchestrator/main", *(f"storagebackend/{name}" for name in BACKENDS), "virtualbucket/photos")
    container: Manifest = {"command": ["python3", "-c", FILL], "envFrom": MOUNTED}
    assert kubectl.run_to_end("fill", container, timeout_s=600) == f"{OBJECTS}\n"
    return kubectl


@contextmanager
def watched(kubectl: Kubectl) -> Iterator[Callable[[], str]]:
    """What `kubectl get sb --watch` prints meanwhile."""
    command = ["kubectl", "--namespace", kubectl.namespace, "get", "sb", "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told: list[str] = []

    def end() -> str:
        process.terminate()
        told.append(process.communicate()[0])
        return told[0]

    try:
        yield end
    finally:
        if process.poll() is None:
            process.kill()


def drain_of(kubectl: Kubectl, name: str) -> dict[str, object]:
    found: dict[str, object] = kubectl.get("sb", name)["status"].get("drain") or {}
    return found


def wait_until_moved(kubectl: Kubectl, name: str, count: int) -> None:
    """So that what happens next happens half-way."""
    deadline = time.monotonic() + 120
    while int(str(drain_of(kubectl, name).get("objectsMoved") or 0)) < count:
        assert time.monotonic() < deadline, drain_of(kubectl, name)
        time.sleep(0.5)  # A status is looked at; its watch is another test's.


def bytes_on(kubectl: Kubectl, name: str) -> int:
    """As soon as it was counted."""
    deadline = time.monotonic() + 120
    while not (used := int((kubectl.get("sb", name)["status"].get("usage") or {}).get("bytesUsed") or 0)):
        assert time.monotonic() < deadline, name
        time.sleep(1)  # Figures are told now and then.
    return used


def assert_all_there(kubectl: Kubectl, when: str) -> None:
    container: Manifest = {"command": ["python3", "-c", CHECK], "envFrom": MOUNTED}
    assert kubectl.run_to_end(f"check-{when}", container, timeout_s=600) == f"{OBJECTS}\n"


def keep(transcript: str) -> None:
    """Where somebody asks for it: for the page of the docs."""
    if folder := os.environ.get("S3O_E2E_TRANSCRIPTS"):
        (Path(folder) / "drain.txt").write_text(transcript)


def test_by_annotation_with_clients_at_work_and_processes_dying(filled: Kubectl) -> None:
    token = str(int(time.time()))
    with watched(filled) as ended, clients(filled, "photos", keys_per_writer=100) as load:
        filled.annotate("sb/one", drain=token)
        wait_until_moved(filled, "one", 100)
        proxy = json.loads(filled.run("get", "pods", "--selector=app.kubernetes.io/component=proxy", "--output=json"))["items"][0]
        filled.run("delete", "pod", proxy["metadata"]["name"], "--wait=false")
        filled.operator().run("delete", "pod", "--selector=app.kubernetes.io/name=s3orchestrator-operator", "--wait=false")
        filled.wait_for("condition=Drained", "sb/one", timeout_s=600)
        # Figures follow some seconds later than the end that they tell of.
        filled.wait_for("jsonpath={.status.usage.objectCount}=0", "sb/one", timeout_s=60)
        outcome = load.stop()
        keep(ended())
    assert (outcome.failed, outcome.lost) == ([], [])
    assert filled.get("sb", "one")["status"]["phase"] == "Drained"
    assert_all_there(filled, "annotation")


def test_cancelled_it_takes_objects_again(filled: Kubectl) -> None:
    filled.annotate("sb/one", drain="cancel")
    filled.wait_for("jsonpath={.status.phase}=Ready", "sb/one")
    assert drain_of(filled, "one")["state"] == "Cancelled"


def test_by_spec_cancelled_half_way_and_begun_anew_with_the_database_killed(filled: Kubectl) -> None:
    filled.run("patch", "sb/two", "--type=merge", '--patch={"spec": {"state": "Draining"}}')
    wait_until_moved(filled, "two", 50)
    filled.run("patch", "sb/two", "--type=merge", '--patch={"spec": {"state": "Active"}}')
    filled.wait_for("jsonpath={.status.drain.state}=Cancelled", "sb/two", timeout_s=180)
    filled.run("patch", "sb/two", "--type=merge", '--patch={"spec": {"state": "Draining"}}')
    # At once, without a word to anybody: its container starts again, with the same disk.
    Kubectl("backing").run("exec", "postgres-0", "--", "sh", "-c", "kill -QUIT 1")
    filled.wait_for("condition=Drained", "sb/two", timeout_s=600)
    assert_all_there(filled, "spec")
    filled.run("patch", "sb/two", "--type=merge", '--patch={"spec": {"state": "Active"}}')
    filled.wait_for("jsonpath={.status.phase}=Ready", "sb/two", timeout_s=180)


def test_without_room_it_says_both_figures_and_a_backend_more_lets_it_go_on(filled: Kubectl) -> None:
    # As much as they hold, and room for hardly one object more; every pod knows it before the drain begins. The second is empty by now.
    limits = {"one": max(200, bytes_on(filled, "one")), "two": 200}
    for name, limit in limits.items():
        filled.run("patch", f"sb/{name}", "--type=merge", f"--patch={json.dumps({'spec': {'quota': {'bytes': limit}}})}")
    for name, limit in limits.items():
        filled.wait_for(f"jsonpath={{.status.usage.bytesLimit}}={limit}", f"sb/{name}", timeout_s=240)
    filled.run("patch", "sb/three", "--type=merge", '--patch={"spec": {"state": "Draining"}}')
    filled.wait_for("condition=Stalled", "sb/three", timeout_s=180)
    (stalled,) = [one for one in filled.get("sb", "three")["status"]["conditions"] if one["type"] == "Stalled"]
    assert stalled["reason"] == "InsufficientCapacity"
    assert "other backends have room for" in stalled["message"]
    filled.apply(backend("four", 0, f"{filled.namespace}-four"))
    filled.wait_for("condition=Drained", "sb/three", timeout_s=600)


def test_by_deletion(filled: Kubectl) -> None:
    filled.run("delete", "sb/three", "--timeout=120s", timeout_s=150)
    filled.run("delete", "sb/two", "--timeout=600s", timeout_s=630)
    assert_all_there(filled, "deletion")
