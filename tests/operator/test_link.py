"""Operator and pods, on a real API server: real processes are told and asked, and what they say is what is reported."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import resources
from tests.support.events import events, has_told
from tests.support.operators import Namespace, Object, Operators, condition, leader_of
from tests.support.seaweedfs import Endpoint, SeaweedFS
from tests.support.serving import ServingPod

SCALED = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}


def bucket(name: str = "photos") -> Object:
    return resources.bucket(name, credentials=resources.REMOVED)


def backend_at(place: Endpoint, secret_access_key: str = "") -> list[Object]:
    keys = resources.key_pair("backend-keys", place.access_key_id, secret_access_key or place.secret_access_key)
    fields = {"endpoint": place.url, "region": place.region, "bucket": place.bucket}
    return [keys, resources.backend(**fields, quota={"bytes": "1Gi"})]


def is_ready(found: Object | None) -> bool:
    return condition(found, "Ready")[0] == "True"


def message(found: Object | None, kind: str) -> str:
    conditions = ((found or {}).get("status") or {}).get("conditions", [])
    return next((str(one["message"]) for one in conditions if one["type"] == kind), "")


def make_available(namespace: Namespace, count: int = 1) -> None:
    """What the Deployment's controller would write."""
    deployment = namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
    status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
    namespace.patch("Deployment", "main-proxy", {"status": status}, subresource="status")


def mount_what_follows_from_its_database(namespace: Namespace, pod: ServingPod) -> None:
    """From now on proxies are to find the very database that the first of them has found."""
    known = namespace.eventually("S3Orchestrator", "main", lambda found: "database" in (found.get("status") or {}))
    wanted = f'"databaseId":"{known["status"]["database"]["id"]}"'
    namespace.eventually("Secret", "main-config", lambda found: wanted in base64.b64decode(found["data"]["config.json"]).decode())
    pod.mount()


@pytest.fixture
def pod(namespace: Namespace, tmp_path: Path) -> Iterator[ServingPod]:
    made = ServingPod(namespace, tmp_path)
    yield made
    made.end()


def token_of(namespace: Namespace) -> str:
    found = namespace.eventually("Secret", "main-admin", lambda found: found is not None)
    return base64.b64decode(found["data"]["token"]).decode()


@pytest.mark.slow
def test_a_real_process_is_told_of_a_change_and_serves_it(
    namespace: Namespace, starting: Operators, pod: ServingPod, seaweedfs: SeaweedFS
) -> None:
    namespace.cluster.apply([*backend_at(seaweedfs.endpoint()), resources.orchestrator(), bucket()], namespace.name)
    starting.start()
    pod.start()
    make_available(namespace)
    mount_what_follows_from_its_database(namespace, pod)
    served = namespace.eventually("VirtualBucket", "photos", is_ready)
    assert message(served, "Ready") == "served by 1/1 proxies"
    backend = namespace.eventually("StorageBackend", "one", is_ready)
    assert (condition(backend, "Reachable")[0], condition(backend, "CredentialsValid")[0]) == ("True", "True")
    assert backend["status"]["usage"]["summary"] == "0B/1Gi (0%)"
    orchestrator = namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ConfigInSync")[0] == "True")
    assert condition(orchestrator, "DatabaseReady") == ("True", "Connected")
    # What the kubelet has not mounted yet is on its way; a moment after it has, it is served.
    namespace.cluster.apply(bucket("music"), namespace.name)
    namespace.eventually("VirtualBucket", "music", lambda found: condition(found, "Ready") == ("False", "Propagating"))
    assert is_ready(namespace.get("VirtualBucket", "photos"))
    pod.mount()
    namespace.eventually("VirtualBucket", "music", is_ready)
    namespace.eventually("S3Orchestrator", "main", lambda found: found["status"]["proxy"]["configUpToDateReplicas"] == 1)
    has_told(namespace, "VirtualBucket", "Served")
    has_told(namespace, "S3Orchestrator", "AdminTokenMinted")


@pytest.mark.slow
def test_a_backend_with_wrong_credentials_is_not_ready_until_they_are_right(
    namespace: Namespace, starting: Operators, pod: ServingPod, seaweedfs: SeaweedFS
) -> None:
    place = seaweedfs.endpoint()
    namespace.cluster.apply([*backend_at(place, "wrong"), resources.orchestrator(), bucket()], namespace.name)
    starting.start()
    pod.start()
    make_available(namespace)
    refused = namespace.eventually("StorageBackend", "one", lambda found: condition(found, "Ready") == ("False", "CredentialsRefused"))
    assert condition(refused, "Stalled")[0] == "True"
    assert condition(refused, "CredentialsValid")[0] == "False"
    has_told(namespace, "StorageBackend", "CredentialsRefused")
    namespace.patch("Secret", "backend-keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": place.secret_access_key}})
    namespace.eventually("StorageBackend", "one", lambda found: found["status"]["config"] != refused["status"]["config"])
    pod.mount()
    namespace.eventually("StorageBackend", "one", is_ready)


@pytest.fixture
def fleet(namespace: Namespace, starting: Operators) -> Namespace:
    """Two stand-ins for pods, and everything ready."""
    orchestrator = resources.orchestrator(database=SCALED, proxy={"replicas": 2})
    backend = [resources.key_pair("backend-keys"), resources.backend()]
    namespace.cluster.apply([*backend, orchestrator, bucket()], namespace.name)
    starting.start()
    namespace.make_proxies_ready()
    namespace.eventually("VirtualBucket", "photos", is_ready)
    namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ConfigInSync")[0] == "True")
    return namespace


def test_a_pod_that_refuses_is_quoted(fleet: Namespace) -> None:
    before = fleet.pods.stand_in("main")._status()
    fleet.pods.stand_in("main").says = lambda status: before | {"configRefusal": ["backend two: its endpoint makes no sense"]}
    fleet.cluster.apply(bucket("music"), fleet.name)
    words = "pod main-proxy-0 refuses the configuration: backend two: its endpoint makes no sense"
    found = fleet.eventually("S3Orchestrator", "main", lambda found: words in message(found, "ConfigInSync"))
    assert condition(found, "ConfigInSync") == ("False", "Refused")
    fleet.eventually("S3Orchestrator", "main", lambda found: condition(found, "Stalled") == ("True", "ConfigRefused"))
    has_told(fleet, "S3Orchestrator", "ConfigRefused")
    fleet.pods.stand_in("main").says = lambda status: status
    fleet.eventually("VirtualBucket", "music", is_ready)
    fleet.eventually("S3Orchestrator", "main", is_ready)


def test_a_pod_that_hangs_is_named_and_the_others_are_asked(fleet: Namespace) -> None:
    def hang(status: Object) -> Object:
        time.sleep(30)
        return status

    hung = fleet.pods.another("main")
    hung.says = hang
    template = fleet.get("Deployment", "main-proxy") or {}
    fleet.pods.put("main-proxy-1", template["spec"]["template"], hung.port, anew=True)
    fleet.cluster.apply(bucket("music"), fleet.name)
    half = "1/2 proxies serve generation 2; pod main-proxy-1: "
    found = fleet.eventually("S3Orchestrator", "main", lambda found: message(found, "ConfigInSync").startswith(half), 30)
    assert condition(found, "ConfigInSync") == ("False", "Unreachable")
    assert "no answer within" in message(found, "ConfigInSync")
    # When it is gone, and another in its place, all is well.
    fleet.pods.delete("main-proxy-1")
    fleet.make_proxies_ready()
    fleet.eventually("VirtualBucket", "music", is_ready, 30)


def test_figures_are_reported_and_nothing_is_written_at_rest(fleet: Namespace, starting: Operators) -> None:
    figures = {"used": 13314398618, "orphan": 2**20, "reserved": 0, "objects": 7211, "quota": 20 * 2**30}

    def counted(status: Object) -> Object:
        backends = {"one": {**status["backends"]["one"], **figures}}
        return status | {"backends": backends, "buckets": {"photos": {"objects": 733, "bytes": 100 * 2**20}}}

    fleet.pods.stand_in("main").says = counted
    # A new process asks before it plans, and need not wait for its next round.
    assert starting.started[0].stop() == 0
    second = starting.start()
    backend = fleet.eventually("StorageBackend", "one", lambda found: "12.4Gi" in found["status"].get("usage", {}).get("summary", ""))
    usage = backend["status"]["usage"]
    assert (usage["summary"], usage["objectCount"], usage["orphanBytes"]) == ("12.4Gi/20Gi (62%)", 7211, 2**20)
    fleet.eventually("VirtualBucket", "photos", lambda found: found["status"]["usage"]["summary"] == "733 objects, 100Mi")
    fleet.eventually("S3Orchestrator", "main", lambda found: found["status"]["usage"]["bytesUsed"] == figures["used"])
    leader_of([second])
    before, told = fleet.versions(), len(events(fleet))
    assert second.stop() == 0
    starting.start()
    fleet.cluster.apply(resources.changed(bucket("late"), {"spec.orchestratorRef.name": "nobody"}), fleet.name)
    fleet.eventually("VirtualBucket", "late", lambda found: condition(found, "Accepted")[0] == "False")
    after = fleet.versions()
    after.pop("VirtualBucket late")
    assert after == before
    assert len(events(fleet)) <= told + 1  # of `late`


def test_a_deleted_token_is_made_anew_and_rolls_the_pods(fleet: Namespace) -> None:
    first = token_of(fleet)
    template = (fleet.get("Deployment", "main-proxy") or {})["spec"]["template"]
    fleet.delete("Secret", "main-admin")
    fleet.eventually("Secret", "main-admin", lambda found: found is not None)
    assert token_of(fleet) != first
    rolled = fleet.eventually("Deployment", "main-proxy", lambda found: found["spec"]["template"] != template)
    assert rolled["spec"]["template"]["metadata"]["annotations"] != template["metadata"]["annotations"]
    fleet.patch("Secret", "main-admin", {"data": {"token": ""}})
    fleet.eventually("Secret", "main-admin", lambda found: bool(found["data"].get("token")))


@pytest.mark.slow
def test_two_operators_mint_one_token(namespace: Namespace, starting: Operators) -> None:
    pair = [starting.start(), starting.start()]
    namespace.cluster.apply(resources.orchestrator(), namespace.name)
    first = token_of(namespace)
    namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
    template = (namespace.get("Deployment", "main-proxy") or {})["spec"]["template"]
    # Whoever leads is killed; the other knows nothing but the cluster.
    leader_of(pair).kill()
    namespace.cluster.apply(bucket("after"), namespace.name)
    namespace.eventually("VirtualBucket", "after", lambda found: condition(found, "Accepted")[0] == "True", within_s=40)
    assert token_of(namespace) == first
    assert (namespace.get("Deployment", "main-proxy") or {})["spec"]["template"] == template


def test_a_secret_of_somebody_else_is_no_token(namespace: Namespace, starting: Operators) -> None:
    namespace.cluster.apply([resources.secret("main-admin", token="of-somebody-else-entirely"), resources.orchestrator()], namespace.name)
    starting.start()
    namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "Stalled") == ("True", "NameConflict"))
    assert namespace.get("Deployment", "main-proxy") is None
    assert token_of(namespace) == "of-somebody-else-entirely"
    namespace.delete("Secret", "main-admin")
    namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)


def test_a_follower_is_ready_and_a_leader_when_it_has_listed(namespace: Namespace, starting: Operators) -> None:
    leader = starting.start()
    namespace.cluster.apply(resources.orchestrator(), namespace.name)
    namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "Accepted")[0] == "True")
    follower = starting.start()
    for operator in (leader, follower):
        assert _said(operator.port, "readyz") == "ok"


def _said(port: int, page: str) -> str:
    deadline: float = time.monotonic() + 10
    while True:
        try:
            answer: Any = httpx.get(f"http://127.0.0.1:{port}/{page}", trust_env=False, verify=False)
            return str(answer.text)
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # a process that starts is asked, not waited for
