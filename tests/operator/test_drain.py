"""Drains and deletions as a user sees them: a real API server, a real operator, a real process that moves real objects."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from tests.support import resources
from tests.support.events import has_told
from tests.support.operators import Namespace, Object, Operators, condition
from tests.support.proxy import wait_until
from tests.support.seaweedfs import Endpoint, SeaweedFS
from tests.support.serving import Kubelet, ServingPod

from s3o_operator.plan.removal import FINALIZERS

pytestmark = pytest.mark.slow
LONG_S = 60.0
BODIES = {f"key-{number}": b"%d" % number * 50 for number in range(40)}


def backend_at(name: str, place: Endpoint, **fields: Any) -> list[Object]:
    keys = resources.key_pair(f"{name}-keys", place.access_key_id, place.secret_access_key)
    where = {"endpoint": place.url, "region": place.region, "bucket": place.bucket, "credentialsSecretRef": {"name": f"{name}-keys"}}
    return [keys, resources.backend(name, **where, **fields)]


@dataclass
class Fleet:
    namespace: Namespace
    operators: Operators
    pod: ServingPod
    places: list[Endpoint]
    s3: Any

    def drain(self, name: str) -> Object:
        return ((self.namespace.get("StorageBackend", name) or {}).get("status") or {}).get("drain") or {}

    def annotate(self, name: str, **annotations: str) -> None:
        named = {f"s3orchestrator.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.namespace.patch("StorageBackend", name, {"metadata": {"annotations": named}})

    def becomes(self, name: str, kind: str, status: str, reason: str) -> Object:
        wanted = (status, reason)
        return self.namespace.eventually("StorageBackend", name, lambda found: condition(found, kind) == wanted, LONG_S)

    def is_in_phase(self, name: str, phase: str) -> Object:
        def holds(found: Any) -> bool:
            return bool(((found or {}).get("status") or {}).get("phase") == phase)

        return self.namespace.eventually("StorageBackend", name, holds, LONG_S)

    def holds(self) -> dict[str, bytes]:
        return {key: self.s3.get_object(Bucket="photos", Key=key)["Body"].read() for key in BODIES}


@pytest.fixture
def fleet(namespace: Namespace, starting: Operators, tmp_path: Path, seaweedfs: SeaweedFS) -> Iterator[Fleet]:
    """One proxy over SQLite, two backends, and some objects, all of them on the first."""
    places = seaweedfs.endpoints(3)
    pod = ServingPod(namespace, tmp_path)
    kubelet = Kubelet(namespace, pod)
    first, second = backend_at("one", places[0], order=1), backend_at("two", places[1], order=2)
    namespace.cluster.apply([*first, *second, resources.orchestrator(), resources.bucket(credentials=resources.REMOVED)], namespace.name)
    starting.start()
    try:
        pod.start()
        kubelet.start()
        deployment = namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        namespace.patch("Deployment", "main-proxy", {"status": status}, subresource="status")
        for kind, name in (("StorageBackend", "one"), ("StorageBackend", "two"), ("VirtualBucket", "photos")):
            namespace.eventually(kind, name, lambda found: condition(found, "Ready")[0] == "True", LONG_S)
        made = Fleet(namespace, starting, pod, places, client(namespace, pod.port))
        for key, body in BODIES.items():
            made.s3.put_object(Bucket="photos", Key=key, Body=body)
        yield made
    finally:
        if kubelet.is_alive():
            kubelet.end()
        pod.end()


def client(namespace: Namespace, port: int) -> Any:
    data = (namespace.get("Secret", "photos") or {})["data"]
    keys = [base64.b64decode(data[name]).decode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    config = Config(s3={"addressing_style": "path"}, proxies={})
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=config,
    )


def test_by_annotation_and_then_cancelled(fleet: Fleet) -> None:
    fleet.annotate("one", drain="t1")
    drained = fleet.becomes("one", "Drained", "True", "Drained")
    assert (drained["status"]["phase"], condition(drained, "Ready")) == ("Drained", ("True", "Drained"))
    assert drained["status"]["drain"]["objectsMoved"] == len(BODIES)
    assert drained["status"]["plan"]["fits"] is True
    assert drained["status"]["lastHandled"] == {"drain": "t1"}
    assert fleet.holds() == BODIES
    fleet.annotate("one", drain="cancel")
    fleet.is_in_phase("one", "Ready")
    assert fleet.drain("one")["state"] == "Cancelled"


def test_by_deletion_without_its_secret_and_with_operators_that_die(fleet: Fleet) -> None:
    """Whatever was deleted first: the proxies are still given the keys that they had."""
    namespace = fleet.namespace
    namespace.delete("Secret", "one-keys")
    namespace.delete("StorageBackend", "one")
    namespace.eventually("StorageBackend", "one", lambda found: found is None or "drain" in (found.get("status") or {}), LONG_S)
    fleet.operators.started[-1].kill()
    fleet.operators.start()
    namespace.eventually("StorageBackend", "one", lambda found: found is None, LONG_S)
    assert fleet.holds() == BODIES
    config = base64.b64decode((namespace.get("Secret", "main-config") or {})["data"]["config.json"]).decode()
    assert '"name":"one"' not in config


def test_while_the_api_server_is_dead_it_goes_on_and_ends(fleet: Fleet) -> None:
    """The operation is the database's: the operator asks for it, and tells of it when it can."""
    cluster = fleet.namespace.cluster
    token = base64.b64decode((fleet.namespace.get("Secret", "main-admin") or {})["data"]["token"]).decode()
    fleet.annotate("one", drain="t1")
    # The status says so before the proxies are asked.
    wait_until(lambda: bool(operations_of(fleet.pod.port, token)), "no drain begins", timeout_s=LONG_S)
    cluster.server.kill()
    try:
        wait_until(lambda: operations_of(fleet.pod.port, token) == ["Succeeded"], "the drain does not end", timeout_s=LONG_S)
        assert fleet.holds() == BODIES
    finally:
        cluster.server.start()
        cluster.until_ready()

    def is_drained(found: Any) -> bool:
        if fleet.operators.started[-1].process.poll() is not None:
            fleet.operators.start()  # As Kubernetes does: one that could not renew its Lease in time ends, at once or in a moment.
        return condition(found, "Drained") == ("True", "Drained")

    drained = fleet.namespace.eventually("StorageBackend", "one", is_drained, LONG_S)
    assert drained["status"]["drain"]["objectsMoved"] == len(BODIES)
    assert fleet.holds() == BODIES


def operations_of(port: int, token: str) -> list[str]:
    """The states of all that there are."""
    url, who = f"http://127.0.0.1:{port}/admin/api/operations", {"Authorization": f"Bearer {token}"}
    return [operation["state"] for operation in httpx.get(url, headers=who, trust_env=False).raise_for_status().json()["operations"]]


def test_without_room_it_stalls_and_a_backend_more_lets_it_go_on(fleet: Fleet) -> None:
    fleet.namespace.patch("StorageBackend", "two", {"spec": {"quota": {"bytes": 200}}})
    # Its proxies know of it, before anything is moved there.
    fleet.namespace.eventually("StorageBackend", "two", lambda found: condition(found, "Ready")[0] == "True", LONG_S)
    fleet.namespace.patch("StorageBackend", "one", {"spec": {"state": "Draining"}})
    stalled = fleet.becomes("one", "Stalled", "True", "InsufficientCapacity")
    (message,) = [one["message"] for one in stalled["status"]["conditions"] if one["type"] == "Stalled"]
    assert "other backends have room for" in message
    assert condition(stalled, "Ready") == ("True", "Draining")
    assert fleet.holds() == BODIES
    fleet.namespace.cluster.apply(backend_at("three", fleet.places[2], order=3), fleet.namespace.name)
    fleet.becomes("one", "Drained", "True", "Drained")
    assert fleet.holds() == BODIES


def test_a_namesake_of_a_drained_backend_is_open(fleet: Fleet) -> None:
    fleet.namespace.patch("StorageBackend", "one", {"spec": {"state": "Draining"}})
    fleet.becomes("one", "Drained", "True", "Drained")
    fleet.annotate("one", drain="cancel")
    assert "spec.state is Draining" in has_told(fleet.namespace, "StorageBackend", "DrainNotCancelled")["note"]
    fleet.annotate("one", force_delete="one")
    fleet.namespace.delete("StorageBackend", "one")
    fleet.namespace.eventually("StorageBackend", "one", lambda found: found is None, LONG_S)
    assert "stays in bucket" in has_told(fleet.namespace, "StorageBackend", "ForceDeleted")["note"]
    fleet.namespace.cluster.apply(backend_at("one", fleet.places[0], order=1), fleet.namespace.name)
    fleet.is_in_phase("one", "Ready")
    # By the database itself, not only by the configuration: it stands first, and so objects lie there, once the proxy has looked.
    numbers = itertools.count()

    def takes_some(found: Any) -> bool:
        fleet.s3.put_object(Bucket="photos", Key=f"new-{next(numbers)}", Body=b"new")
        return bool(((((found or {}).get("status") or {}).get("usage") or {}).get("objectCount") or 0) > 0)

    fleet.namespace.eventually("StorageBackend", "one", takes_some, LONG_S)


def test_a_copy_of_a_bucket_that_is_deleted_empties_nothing(fleet: Fleet) -> None:
    """As `-o yaml` prints it, our finalizer included."""
    copied = resources.bucket("copy", credentials=resources.REMOVED, bucketName="photos", deletionPolicy="Delete")
    copied["metadata"]["finalizers"] = [FINALIZERS["VirtualBucket"]]
    fleet.namespace.create(copied)
    conflict = ("False", "BucketNameConflict")
    fleet.namespace.eventually("VirtualBucket", "copy", lambda found: condition(found, "Accepted") == conflict, LONG_S)
    fleet.namespace.delete("VirtualBucket", "copy")
    fleet.namespace.eventually("VirtualBucket", "copy", lambda found: found is None, LONG_S)
    token = base64.b64decode((fleet.namespace.get("Secret", "main-admin") or {})["data"]["token"]).decode()
    assert operations_of(fleet.pod.port, token) == []
    assert fleet.holds() == BODIES
