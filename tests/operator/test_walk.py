"""A year of trouble in minutes (`tests/support/walk.py`), and what must be true when it is over: the invariants of an operator.

S3O_WALK_STEPS and S3O_WALK_SEED make another walk of it. What it found once is found again by its seed only as far as processes and
threads keep their pace; the operator's log and the last steps are printed with a failure.

| invariant of an operator | where it is held |
|---|---|
| convergence: trouble ends in rest | `rest` |
| idempotence: nothing is written twice | `assert_a_restart_writes_nothing` |
| path independence: how it came about does not show | `assert_a_fresh_operator_makes_the_same` |
| roll-back: an old spec restores the old state | `test_fleet.py`, and edits to and fro here |
| a crash at any write | `apply/test_apply.py`, `test_rotation.py`, and kills here |
| stale and lost news | `test_adversity.py`, and faults here |
| deletion ends, or says why it does not | `assert_reports_tell_the_truth`, `test_adversity.py` |
| one key for a credential, whoever dies | `Walk.look` |
| what is not ours is not touched | `Walk.look` |
| whatever a schema accepts harms nobody else | `test_fuzz.py` |
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fault_proxy import FaultProxy
from tests.support.garbage import collect_garbage
from tests.support.kube import Cluster
from tests.support.operators import BASES, Namespace, Object, authorize, condition, operators
from tests.support.pictures import OURS, children, differences, reports
from tests.support.walk import RESYNC_S, Walk
from tests.support.walk_steps import CHILDREN, STEPS

HOW_MANY = int(os.environ.get("S3O_WALK_STEPS", "150"))
SEED = int(os.environ.get("S3O_WALK_SEED", "1"))
_MOST_S = 90.0


@pytest.fixture
def walk(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[Walk]:
    kubeconfig = authorize(cluster, namespace.name, tmp_path)
    with FaultProxy(kubeconfig) as proxy:
        through = proxy.kubeconfig_to(tmp_path / "through-the-proxy.kubeconfig")
        with operators(cluster, namespace.name, tmp_path, kubeconfig=through) as starting:
            yield Walk(namespace, proxy, starting, random.Random(SEED), STEPS)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_after_any_trouble_it_comes_to_rest_and_all_is_as_if_there_had_been_none(walk: Walk) -> None:
    walk.begin()
    began = time.monotonic()
    for _ in range(HOW_MANY):
        walk.step()
    took = f"{time.monotonic() - began:.0f} s, {walk.proxy.writes()} writes, {len(walk.starting.started)} operators"
    print(f"{HOW_MANY} steps of seed {SEED}: {took}; {dict(walk.done)}")
    walk.calm()
    rest(walk)
    walk.look()
    assert not walk.problems
    assert_no_mistake(walk)
    assert_reports_tell_the_truth(walk.namespace, walk.foreign)
    assert_nothing_is_on_objects_but_what_we_mean(walk.namespace)
    made, told = children(walk.namespace), reports(walk.namespace)
    assert_a_restart_writes_nothing(walk)
    assert_a_fresh_operator_makes_the_same(walk, made, told)
    assert_no_mistake(walk)


def rest(walk: Walk) -> None:
    """Until nothing has been written for longer than two listings of everything take to come."""
    deadline, since, before = time.monotonic() + _MOST_S, time.monotonic(), -1
    while time.monotonic() - since < 2.5 * RESYNC_S:
        assert time.monotonic() < deadline, f"no rest: {walk.proxy.counts.most_common(8)}"
        collect_garbage(walk.namespace)
        if walk.exists("Deployment", "main-proxy") and not is_available(walk.namespace):
            walk.namespace.make_proxies_ready()
        writes = walk.proxy.writes()
        if writes != before:
            before, since = writes, time.monotonic()
        time.sleep(0.2)  # rest is the absence of events


def is_available(namespace: Namespace) -> bool:
    deployment = namespace.get("Deployment", "main-proxy") or {}
    wanted, status = deployment["spec"]["replicas"], deployment.get("status") or {}
    seen = (len(namespace.pods.names()), status.get("observedGeneration"), status.get("availableReplicas"))
    return bool(seen == (wanted, deployment["metadata"]["generation"], wanted))


def assert_no_mistake(walk: Walk) -> None:
    for operator in walk.starting.started:
        said = operator.said()
        assert "mistake of the operator" not in said, said[said.index("mistake of the operator") - 200 :][:4000]


def assert_reports_tell_the_truth(namespace: Namespace, foreign: dict[str, Object]) -> None:
    """By a model of its own: who has a contested name, whose Secret is missing, whose child's name is taken."""
    buckets = sorted(namespace.list("VirtualBucket"), key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
    names: dict[str, str] = {}
    for bucket in buckets:
        name = bucket["metadata"]["name"]
        wanted = bucket["spec"].get("bucketName", name)
        if names.setdefault(wanted, name) != name:
            assert condition(bucket, "Accepted") == ("False", "BucketNameConflict"), (name, bucket["status"])
        elif namespace.path("ConfigMap", name) in foreign:
            assert condition(bucket, "Stalled") == ("True", "NameConflict"), (name, bucket["status"])
        else:
            assert condition(bucket, "Ready")[0] == "True", (name, bucket.get("status"))
            assert namespace.get("Secret", name), name
            assert (namespace.get("ConfigMap", name) or {})["data"]["BUCKET_NAME"] == wanted
    assert not [bucket for bucket in buckets if "deletionTimestamp" in bucket["metadata"]]
    has_keys = namespace.get("Secret", "backend-keys") is not None
    for backend in namespace.list("StorageBackend"):
        assert condition(backend, "Accepted")[0] == str(has_keys), backend.get("status")
        # What is being deleted goes, or says why it does not.
        leaving = "deletionTimestamp" in backend["metadata"]
        assert not leaving or condition(backend, "DeletionBlocked")[0] == "True", backend
    counted = (namespace.get("S3Orchestrator", "main") or {})["status"]["buckets"]["total"]
    assert counted == len(buckets)


def assert_nothing_is_on_objects_but_what_we_mean(namespace: Namespace) -> None:
    for kind in BASES:
        for item in namespace.list(kind):
            annotations = item["metadata"].get("annotations") or {}
            assert not [name for name in annotations if name.startswith("kopf")], (kind, item["metadata"])
            finalizers = item["metadata"].get("finalizers", [])
            assert all(name.startswith("s3orchestrator.io/") for name in finalizers if kind in OURS), (kind, item["metadata"])


def assert_a_restart_writes_nothing(walk: Walk) -> None:
    assert walk.operator is not None
    walk.operator.kill()
    before = walk.proxy.writes()
    walk.start_operator()
    until_it_has_looked(walk)
    assert walk.proxy.writes() == before, json.dumps({str(name): count for name, count in walk.proxy.counts.items()})


def until_it_has_looked(walk: Walk) -> None:
    assert walk.operator is not None
    listed = walk.proxy.counts["list", "deployments"]
    deadline = time.monotonic() + 30
    while walk.proxy.counts["list", "deployments"] < listed + 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # listings are counted by the proxy


def assert_a_fresh_operator_makes_the_same(walk: Walk, made: dict[str, str], told: dict[str, str]) -> None:
    """Path independence: from the same resources, with nothing of its own but what outlives everything."""
    assert walk.operator is not None
    walk.operator.kill()
    for kind in CHILDREN:
        for name in walk.ours(kind):
            if "registry" not in name:
                walk.delete(kind, name)
    walk.start_operator()
    rest(walk)
    assert not differences(made, children(walk.namespace))
    assert not differences(told, reports(walk.namespace))
