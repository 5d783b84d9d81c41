"""The metadata database is lost, or another one: a real API server, a real operator, a real proxy, and backends that still hold it all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support import resources
from tests.support.events import has_told
from tests.support.operators import Namespace, Object, Operators, condition
from tests.support.postgres import PostgresServer
from tests.support.proxy import wait_until
from tests.support.seaweedfs import Endpoint, SeaweedFS
from tests.support.serving import Kubelet, ServingPod

pytestmark = pytest.mark.slow
LONG_S = 60.0
ADOPT = "s3orchestrator.io/adopt-database"
PARTS = (("StorageBackend", "one"), ("VirtualBucket", "photos"))


@dataclass
class Fleet:
    """One proxy, with an object, and an operator that knows its database."""

    namespace: Namespace
    operators: Operators
    pod: ServingPod
    s3: Any = None

    @property
    def orchestrator(self) -> Object:
        return self.namespace.get("S3Orchestrator", "main") or {}

    def becomes(self, kind: str, name: str, wanted: str, status: str, reason: str = "") -> Object:
        def holds(found: Object | None) -> bool:
            seen = condition(found, wanted)
            return seen[0] == status and reason in ("", seen[1])

        return self.namespace.eventually(kind, name, holds, LONG_S)

    def is_ready(self) -> None:
        for kind, name in (*PARTS, ("S3Orchestrator", "main")):
            self.becomes(kind, name, "Ready", "True")

    def is_stalled(self) -> str:
        """By the right reason; what it says."""
        stalled = self.becomes("S3Orchestrator", "main", "Stalled", "True", "DatabaseReplaced")
        for kind, name in PARTS:
            self.becomes(kind, name, "Ready", "False", "DatabaseReplaced")
        (message,) = [one["message"] for one in stalled["status"]["conditions"] if one["type"] == "Stalled"]
        return str(message)

    def stored(self) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket="photos").get("Contents", [])]

    def expects(self) -> str:
        """What proxies mount."""
        secret = self.namespace.get("Secret", "main-config") or {}
        return str(json.loads(base64.b64decode(secret["data"]["config.json"]))["databaseId"])

    def start_pod(self, pod: ServingPod | None = None) -> None:
        """It is ready when its process says so, as a kubelet would find out."""
        pod = pod or self.pod
        pod.start()
        wait_until(lambda: asked(pod, "/health") == 200, "the proxy does not live", timeout_s=LONG_S)
        self.namespace.pods.report(pod.name, ready=asked(pod, "/health/ready") == 200)

    def until_ready(self) -> None:
        wait_until(lambda: asked(self.pod, "/health/ready") == 200, "the proxy is not ready", timeout_s=LONG_S)
        self.namespace.pods.report(self.pod.name, ready=True)

    def annotate(self, value: str) -> None:
        self.namespace.patch("S3Orchestrator", "main", {"metadata": {"annotations": {ADOPT: value}}})


def backend_at(place: Endpoint) -> list[Object]:
    keys = resources.key_pair("backend-keys", place.access_key_id, place.secret_access_key)
    return [keys, resources.backend(endpoint=place.url, region=place.region, bucket=place.bucket)]


def asked(pod: ServingPod, path: str) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{pod.port}{path}", trust_env=False, verify=False).status_code
    except httpx.TransportError:
        return 0


@contextmanager
def serving(namespace: Namespace, operators: Operators, folder: Path, documents: list[Object]) -> Iterator[Fleet]:
    namespace.cluster.apply([*documents, resources.bucket(credentials=resources.REMOVED)], namespace.name)
    operators.start()
    fleet = Fleet(namespace, operators, ServingPod(namespace, folder))
    kubelet = Kubelet(namespace, fleet.pod)
    try:
        fleet.start_pod()
        kubelet.start()
        deployment = namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        namespace.patch("Deployment", "main-proxy", {"status": status}, subresource="status")
        fleet.is_ready()
        fleet.s3 = client(namespace, fleet.pod.port)
        fleet.s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"the only copy")
        namespace.eventually("S3Orchestrator", "main", lambda found: "database" in (found.get("status") or {}), LONG_S)
        fleet.becomes("S3Orchestrator", "main", "ConfigInSync", "True")
        yield fleet
    finally:
        if kubelet.is_alive():
            kubelet.end()
        fleet.pod.end()


@pytest.fixture
def fleet(namespace: Namespace, starting: Operators, tmp_path: Path, seaweedfs: SeaweedFS) -> Iterator[Fleet]:
    with serving(namespace, starting, tmp_path, [*backend_at(seaweedfs.endpoint()), resources.orchestrator()]) as fleet:
        yield fleet


def client(namespace: Namespace, port: int) -> Any:
    found = namespace.eventually("Secret", "photos", lambda found: found is not None)
    keys = [base64.b64decode(found["data"][name]).decode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    url = f"http://127.0.0.1:{port}"
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=keys[0], aws_secret_access_key=keys[1], config=config
    )


def put_aside(pod: ServingPod) -> Callable[[], None]:
    """The database is gone from its volume. Returns what brings it back."""
    pod.end()
    (there,) = pod.folder.rglob("*.db")
    names = [path.name for path in there.parent.glob(f"{there.name}*")]
    aside = there.parent / "aside"
    aside.mkdir()
    for name in names:
        (there.parent / name).rename(aside / name)

    def bring_back() -> None:
        pod.end()
        for path in there.parent.glob(f"{there.name}*"):
            path.unlink()
        for name in names:
            (aside / name).rename(there.parent / name)

    return bring_back


def test_the_records_of_a_bound_backend_vanish_and_it_is_stalled_never_silently_adopted(fleet: Fleet) -> None:
    first = fleet.orchestrator["status"]["database"]["id"]
    assert fleet.expects() == first
    bring_back = put_aside(fleet.pod)
    fleet.start_pod()
    message = fleet.is_stalled()
    assert f"not {first}, and so no request is served" in message
    has_told(fleet.namespace, "S3Orchestrator", "DatabaseReplaced")
    for call in (fleet.stored, lambda: fleet.s3.put_object(Bucket="photos", Key="new", Body=b"")):
        with pytest.raises(ClientError, match=r"ServiceUnavailable.*not the ones that it was set up with"):
            call()
    # Nor by an operator that knows nothing but the cluster, nor when the status is lost, nor by a confirmation of something else.
    fleet.operators.started[-1].kill()
    fleet.namespace.patch("S3Orchestrator", "main", {"status": {"database": None}}, subresource="status")
    fleet.operators.start()
    fleet.namespace.eventually("S3Orchestrator", "main", lambda found: found["status"].get("database", {}).get("id") == first, LONG_S)
    fleet.annotate("true")
    words = f"{ADOPT} says true, which is not the id of this one"
    fleet.namespace.eventually("S3Orchestrator", "main", lambda found: words in str(found["status"]), LONG_S)
    fleet.is_stalled()
    assert (fleet.orchestrator["status"]["database"]["id"], fleet.expects()) == (first, first)
    # And the old one heals everything.
    bring_back()
    fleet.start_pod()
    fleet.is_ready()
    assert fleet.s3.get_object(Bucket="photos", Key="cat.jpg")["Body"].read() == b"the only copy"
    assert condition(fleet.orchestrator, "Stalled")[0] == "False"


def test_the_loss_is_accepted_by_the_id_of_the_database_that_is_there(fleet: Fleet) -> None:
    first = fleet.orchestrator["status"]["database"]["id"]
    put_aside(fleet.pod)
    fleet.start_pod()
    second = fleet.is_stalled().partition(f"{ADOPT}=")[2]
    fleet.annotate(second)
    fleet.namespace.eventually("S3Orchestrator", "main", lambda found: found["status"]["database"]["id"] == second, LONG_S)
    fleet.until_ready()
    fleet.is_ready()
    assert fleet.orchestrator["status"]["database"]["previousId"] == first
    assert first in has_told(fleet.namespace, "S3Orchestrator", "DatabaseAdopted")["note"]
    assert fleet.stored() == []
    fleet.s3.put_object(Bucket="photos", Key="new", Body=b"")
    assert fleet.stored() == ["new"]


def test_at_another_database_new_pods_refuse_and_those_before_them_serve_on(
    namespace: Namespace, starting: Operators, tmp_path: Path, seaweedfs: SeaweedFS, postgres: PostgresServer
) -> None:
    """On purpose or by mistake. Where the old database was copied to the new place, it is the same one."""
    old, new = postgres.create_database(), postgres.create_database()
    secret = resources.secret("database", uri=postgres.uri(old))
    orchestrator = resources.orchestrator(database={"driver": "Postgres", "uriSecretRef": {"name": "database", "key": "uri"}})
    with serving(namespace, starting, tmp_path, [secret, orchestrator, *backend_at(seaweedfs.endpoint())]) as fleet:
        first = fleet.orchestrator["status"]["database"]["id"]
        namespace.cluster.apply(resources.secret("database", uri=postgres.uri(new)), namespace.name)
        namespace.eventually("Deployment", "main-proxy", lambda found: found["spec"]["template"] != fleet.pod.template, LONG_S)
        after = ServingPod(namespace, tmp_path, "main-proxy-1")
        try:
            fleet.start_pod(after)
            assert asked(after, "/health/ready") == 503
            stalled = fleet.becomes("S3Orchestrator", "main", "Stalled", "True", "DatabaseReplaced")
            assert "pod main-proxy-1: the metadata database has the id" in str(stalled["status"]["conditions"])
            assert stalled["status"]["database"]["id"] == first
            assert fleet.s3.get_object(Bucket="photos", Key="cat.jpg")["Body"].read() == b"the only copy"
            after.end()
            fleet.pod.end()
            postgres.drop_database(new)
            postgres.execute(f'CREATE DATABASE "{new.database}" TEMPLATE "{old.database}"')
            fleet.start_pod(after)
            assert asked(after, "/health/ready") == 200
            namespace.pods.delete(fleet.pod.name)
            fleet.becomes("S3Orchestrator", "main", "Stalled", "False")
            copied = client(namespace, after.port)
            assert copied.get_object(Bucket="photos", Key="cat.jpg")["Body"].read() == b"the only copy"
        finally:
            after.end()
