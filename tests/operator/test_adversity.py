"""Networks, API servers and clusters misbehave, and the operator does not: each test is one scenario by name.

These are the ones of networks and API servers; docs/explain/failure-scenarios.md lists all of them, wherever they are.

| scenario | test |
|---|---|
| kopf: a storm of 429 | `test_a_storm_of_429_delays_and_nothing_more` |
| kopf: a watch that says nothing more, or loses events | `test_lost_events_are_found_by_the_next_listing` |
| kopf: 410 Gone on a watch | `test_a_watch_that_is_told_410_goes_on` |
| kopf: the trigger prefix is not its own; no annotation on Secrets | `test_nothing_of_kopf_is_ever_written` |
| objects deleted while a watch was down | `test_what_was_deleted_while_no_watch_looked_is_made_again` |
| a hung API server, and the Lease | `test_a_leader_that_hears_nothing_stops_before_another_begins` |
| an API server that restarts | `test_an_api_server_that_restarts_is_worked_with_again` |
| a right that is taken away at work | `test_a_right_that_is_taken_away_is_reported_and_given_back_is_used` |
| CRDs not yet installed | `test_without_its_kinds_an_operator_says_what_to_do_and_ends` |
| a write that was carried out though its answer was lost | `test_a_write_whose_answer_was_lost_is_not_done_twice` |
| errors that are taken for absence | `test_an_error_is_never_taken_for_absence` |
| an old list after a restart (time travel) | `test_an_old_list_after_a_restart_harms_nothing_that_is_new` |
| everything deleted at once, in any order | `test_deleting_everything_in_any_order_ends` |
| a namespace that goes | `test_nothing_is_made_in_a_namespace_that_goes` |
| resources without status, or with one of another world | `test_a_status_of_another_world_is_no_obstacle` |
| COSI #229: the records of a bound backend vanish: Stalled, never silently adopted | `test_lost_database.py` |
| operators before and after: crash at each write | `apply/test_apply.py` |
| everything at random | `test_walk.py` |
"""

from __future__ import annotations

import base64
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.fault_proxy import Cut, Delay, Drop, Expire, Fault, FaultProxy, Hang, Refuse, Request, Stale
from tests.support.garbage import collect_garbage
from tests.support.kube import Cluster
from tests.support.operators import BASES, Namespace, Object, Operator, Operators, authorize, condition, operators
from tests.support.pictures import children, differences, key_pairs

RESYNC_S = "3"


@dataclass
class Fleet:
    """An operator that reaches the API server through the proxy only, and an orchestrator with a backend and two buckets."""

    namespace: Namespace
    proxy: FaultProxy
    starting: Operators

    def start(self, **settings: str) -> Operator:
        return self.starting.start(**settings)

    def create(self) -> None:
        documents = [resources.key_pair("backend-keys"), resources.backend(), resources.orchestrator()]
        for document in [*documents, bucket("photos"), bucket("music")]:
            self.namespace.create(document)

    def until_ready(self, *buckets: str) -> None:
        self.namespace.make_proxies_ready()
        for name in buckets or ("photos", "music"):
            self.namespace.eventually("VirtualBucket", name, lambda found: condition(found, "Ready")[0] == "True", within_s=60)

    def until_at_rest(self, seconds: float = 1.0, within_s: float = 60.0) -> None:
        writes, since, deadline = -1, time.monotonic(), time.monotonic() + within_s
        while time.monotonic() - since < seconds:
            if self.proxy.writes() != writes:
                writes, since = self.proxy.writes(), time.monotonic()
            assert time.monotonic() < deadline, fleet_counts(self.proxy)
            time.sleep(0.05)  # rest is the absence of events


def fleet_counts(proxy: FaultProxy) -> str:
    return str(proxy.counts.most_common(10))


def bucket(name: str) -> Object:
    return resources.bucket(name, credentials=resources.REMOVED)


@pytest.fixture
def fleet(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[Fleet]:
    with FaultProxy(authorize(cluster, namespace.name, tmp_path)) as proxy:
        through = proxy.kubeconfig_to(tmp_path / "through-the-proxy.kubeconfig")
        with operators(cluster, namespace.name, tmp_path, kubeconfig=through) as starting:
            yield Fleet(namespace, proxy, starting)


def settled(fleet: Fleet, **settings: str) -> Operator:
    fleet.create()
    operator = fleet.start(**settings)
    fleet.until_ready()
    fleet.until_at_rest()
    return operator


def first(count: int, fault: Fault, holds: Callable[[Request], bool]) -> Callable[[Request], Fault | None]:
    """The first so many of these requests have it."""
    left = itertools.count(count, -1)
    return lambda request: fault if holds(request) and next(left) > 0 else None


def always(fault: Fault, holds: Callable[[Request], bool]) -> Callable[[Request], Fault | None]:
    return lambda request: fault if holds(request) else None


def test_a_storm_of_429_delays_and_nothing_more(fleet: Fleet) -> None:
    fleet.create()
    lots = random.Random(1)
    fleet.proxy.rules = [lambda request: Refuse(429) if request.resource != "leases" and lots.random() < 0.2 else None]
    operator = fleet.start(S3O_RESYNC_SECONDS=RESYNC_S)
    fleet.namespace.eventually("Deployment", "main-proxy", lambda found: found is not None, within_s=90)
    fleet.until_ready()
    assert operator.process.poll() is None
    assert len(key_pairs(fleet.namespace)) == 2


def test_lost_events_are_found_by_the_next_listing(fleet: Fleet) -> None:
    settled(fleet, S3O_RESYNC_SECONDS=RESYNC_S)
    fleet.proxy.rules = [always(Drop(lambda _: True), lambda request: request.verb == "watch")]
    fleet.proxy.break_connections()
    fleet.namespace.create(bucket("unseen"))
    fleet.namespace.delete("VirtualBucket", "music")
    fleet.until_ready("unseen")
    fleet.namespace.eventually("S3Orchestrator", "main", lambda found: found["status"]["buckets"]["total"] == 2)


def test_a_watch_that_is_told_410_goes_on(fleet: Fleet) -> None:
    settled(fleet)
    fleet.proxy.rules = [first(30, Expire(), lambda request: request.verb == "watch")]
    fleet.proxy.break_connections()
    fleet.namespace.create(bucket("late"))
    fleet.until_ready("late")


def test_nothing_of_kopf_is_ever_written(fleet: Fleet) -> None:
    settled(fleet)
    fleet.namespace.patch("VirtualBucket", "photos", {"metadata": {"annotations": {"s3orchestrator.io/reconcile": "now"}}})
    fleet.namespace.patch("Secret", "backend-keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": "rotated"}})
    fleet.until_at_rest()
    for kind in BASES:
        for item in fleet.namespace.list(kind):
            assert "kopf" not in json.dumps(item), item["metadata"]
    assert not (fleet.namespace.get("Secret", "backend-keys") or {})["metadata"].get("annotations")
    events = fleet.namespace.cluster.api.get(f"/api/v1/namespaces/{fleet.namespace.name}/events").json()["items"]
    assert not [event for event in events if event.get("source", {}).get("component") == "kopf"]


def test_what_was_deleted_while_no_watch_looked_is_made_again(fleet: Fleet) -> None:
    settled(fleet, S3O_RESYNC_SECONDS=RESYNC_S)
    keys = key_pairs(fleet.namespace)
    fleet.proxy.down()
    for kind, name in (("Secret", "photos"), ("ConfigMap", "music"), ("Deployment", "main-proxy"), ("Secret", "main-config")):
        fleet.namespace.delete(kind, name)
    fleet.proxy.up()
    for kind, name in (("Secret", "photos"), ("ConfigMap", "music"), ("Deployment", "main-proxy"), ("Secret", "main-config")):
        fleet.namespace.eventually(kind, name, lambda found: found is not None, within_s=40)
    assert key_pairs(fleet.namespace) == keys


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Hang(), Hang(after=True), Refuse(503)], ids=["hung", "hung-after", "refused"])
def test_a_leader_that_hears_nothing_stops_before_another_begins(fault: Fault, fleet: Fleet) -> None:
    operator = settled(fleet)
    fleet.proxy.rules = [always(fault, lambda _: True)]
    fleet.proxy.break_connections()
    began = time.monotonic()
    assert operator.process.wait(20) == 1
    # The Lease lasts 15 s: whoever waits for it begins after that.
    assert time.monotonic() - began < 13
    fleet.proxy.rules = []
    fleet.start()
    fleet.namespace.create(bucket("late"))
    fleet.namespace.eventually("VirtualBucket", "late", lambda found: condition(found, "Accepted")[0] == "True", within_s=40)


def test_an_api_server_that_restarts_is_worked_with_again(fleet: Fleet) -> None:
    operator = settled(fleet)
    for pause_s in (0.3, 3.0):
        fleet.proxy.down()
        time.sleep(pause_s)  # for as long as it takes
        fleet.proxy.up()
        name = f"late-{int(pause_s)}"
        fleet.namespace.create(bucket(name))
        fleet.until_ready(name)
    assert operator.process.poll() is None


def test_a_right_that_is_taken_away_is_reported_and_given_back_is_used(fleet: Fleet) -> None:
    settled(fleet, S3O_RESYNC_SECONDS=RESYNC_S)
    bind(fleet.namespace, rules_without(fleet.namespace.cluster, "configmaps", {"create", "patch"}))
    fleet.namespace.delete("ConfigMap", "photos")
    stalled = fleet.namespace.eventually("VirtualBucket", "photos", lambda found: condition(found, "Stalled") == ("True", "ApplyFailed"))
    assert "configmaps" in json.dumps(stalled["status"]["conditions"])
    # The others are looked after meanwhile.
    fleet.namespace.delete("Secret", "photos")
    fleet.namespace.eventually("Secret", "photos", lambda found: found is not None)
    bind(fleet.namespace, rules_without(fleet.namespace.cluster, "none", set()))
    fleet.namespace.eventually("ConfigMap", "photos", lambda found: found is not None, within_s=40)
    fleet.namespace.eventually("VirtualBucket", "photos", lambda found: condition(found, "Stalled")[0] == "False", within_s=40)


def rules_without(cluster: Cluster, resource: str, verbs: set[str]) -> list[Object]:
    rules: list[Object] = cluster.get("clusterrole", "s3orchestrator-operator")["rules"]
    return [{**rule, "verbs": [one for one in rule["verbs"] if one not in verbs or resource not in rule["resources"]]} for rule in rules]


def bind(namespace: Namespace, rules: list[Object]) -> None:
    """In place of the shipped ClusterRole."""
    api, base = namespace.cluster.api, f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}"
    api.delete(f"{base}/rolebindings/clusterrole")
    api.delete(f"{base}/roles/shipped")
    api.post(f"{base}/roles", json={"metadata": {"name": "shipped"}, "rules": rules}).raise_for_status()
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "shipped"}
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace.name}
    api.post(f"{base}/rolebindings", json={"metadata": {"name": "clusterrole"}, "roleRef": ref, "subjects": [account]}).raise_for_status()


def test_a_write_whose_answer_was_lost_is_not_done_twice(fleet: Fleet) -> None:
    fleet.create()
    # Every first write of its sort is carried out, and the answer is lost: in four ways.
    seen: set[tuple[str, str, str]] = set()
    faults: Iterator[Fault] = itertools.cycle([Cut(), Refuse(500, after=True), Refuse(503, after=True), Delay(0.2)])

    def rule(request: Request) -> Fault | None:
        what = (request.verb, request.resource, request.subresource)
        if not request.is_write or request.resource == "leases" or what in seen:
            return None
        seen.add(what)
        return next(faults)

    fleet.proxy.rules = [rule]
    operator = fleet.start()
    fleet.until_ready()
    fleet.until_at_rest()
    keys = key_pairs(fleet.namespace)
    assert sorted(keys) == ["music", "photos"]
    assert len(set(keys.values())) == 2
    registry = [one for one in fleet.namespace.list("Secret") if "registry" in one["metadata"]["name"]]
    assert [len(one["data"]) for one in registry] == [2]
    # Whatever went wrong with them, no body of a request is in the log.
    secrets = [base64.b64decode((fleet.namespace.get("Secret", name) or {})["data"]["AWS_SECRET_ACCESS_KEY"]).decode() for name in keys]
    assert not [secret for secret in secrets if secret in operator.said()]


def test_an_error_is_never_taken_for_absence(fleet: Fleet) -> None:
    operator = settled(fleet, S3O_RESYNC_SECONDS=RESYNC_S)
    before = children(fleet.namespace)
    fleet.proxy.rules = [always(Refuse(500), lambda request: request.verb in ("get", "list") and request.resource != "leases")]
    reads, versions = fleet.proxy.reads(), unconcerned(fleet.namespace)
    fleet.namespace.patch("VirtualBucket", "photos", {"metadata": {"labels": {"news": "yes"}}})
    fleet.namespace.delete("Secret", "photos")
    deadline = time.monotonic() + 30
    # The watch has told that this one is gone: it may be made anew at once, where the API server itself says that nothing is there.
    while fleet.proxy.reads() < reads + 4:
        assert unconcerned(fleet.namespace) == versions
        assert time.monotonic() < deadline
        time.sleep(0.1)  # nothing may happen but vain questions
    fleet.proxy.rules = []
    fleet.namespace.eventually("Secret", "photos", lambda found: found is not None, within_s=40)
    assert not differences(before, children(fleet.namespace))
    assert operator.process.poll() is None


def unconcerned(namespace: Namespace) -> dict[str, str]:
    return {name: version for name, version in namespace.versions().items() if not name.endswith((" photos", " main"))}


def test_an_old_list_after_a_restart_harms_nothing_that_is_new(fleet: Fleet) -> None:
    operator = settled(fleet)
    fleet.proxy.remember()
    keys = key_pairs(fleet.namespace)
    fleet.namespace.delete("VirtualBucket", "music")
    collect_garbage(fleet.namespace)
    fleet.namespace.delete("VirtualBucket", "photos")
    fleet.namespace.eventually("VirtualBucket", "photos", lambda found: found is None)
    fleet.namespace.create(bucket("photos"))
    fleet.until_ready("photos")
    operator.kill()
    fleet.proxy.rules = [first(40, Stale(), lambda request: request.verb == "list")]
    fleet.namespace.cluster.api.delete(lease_path(fleet.namespace))
    fleet.start(S3O_RESYNC_SECONDS=RESYNC_S)
    fleet.namespace.eventually("S3Orchestrator", "main", lambda found: found["status"]["buckets"]["total"] == 1, within_s=40)
    fleet.until_at_rest(4)
    collect_garbage(fleet.namespace)
    fleet.until_at_rest(4)
    assert key_pairs(fleet.namespace) == {"photos": keys["photos"]}
    owner = (fleet.namespace.get("Secret", "photos") or {})["metadata"]["ownerReferences"][0]["uid"]
    assert owner == (fleet.namespace.get("VirtualBucket", "photos") or {})["metadata"]["uid"]


def lease_path(namespace: Namespace) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace.name}/leases/s3orchestrator-operator"


KINDS = ("S3Orchestrator", "StorageBackend", "VirtualBucket", "Secret")


@pytest.mark.parametrize("order", list(itertools.permutations(KINDS))[::5], ids=lambda order: "-".join(kind[:2] for kind in order))
def test_deleting_everything_in_any_order_ends(order: tuple[str, ...], fleet: Fleet) -> None:
    operator = settled(fleet)
    for kind in order:
        for item in fleet.namespace.list(kind):
            if "registry" not in item["metadata"]["name"]:
                fleet.namespace.delete(kind, item["metadata"]["name"])
    deadline = time.monotonic() + 30
    while any(fleet.namespace.list(kind) for kind in KINDS[:3]):
        assert time.monotonic() < deadline, [one for kind in KINDS[:3] for one in fleet.namespace.list(kind)]
        time.sleep(0.1)  # an API server is asked, not waited for
    collect_garbage(fleet.namespace)
    fleet.until_at_rest()
    left = [name for name in children(fleet.namespace) if not name.startswith("PersistentVolumeClaim") and "registry" not in name]
    assert not left
    assert "mistake of the operator" not in operator.said()


def test_nothing_is_made_in_a_namespace_that_goes(fleet: Fleet) -> None:
    operator = settled(fleet)
    api, path = fleet.namespace.cluster.api, f"/api/v1/namespaces/{fleet.namespace.name}"
    api.delete(path).raise_for_status()
    for kind in ("ConfigMap", "Secret", "Deployment"):
        for item in fleet.namespace.list(kind):
            fleet.namespace.delete(kind, item["metadata"]["name"])
    fleet.namespace.patch("VirtualBucket", "photos", {"spec": {"maxMultipartUploads": 3}})
    time.sleep(2)  # nothing may happen
    assert not fleet.namespace.list("Deployment")
    assert operator.process.poll() is None
    assert "mistake of the operator" not in operator.said()


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Unheard-of", "conditions": []},
        {
            "conditions": [
                {"type": "Ready", "status": "Unknown", "reason": "X", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}
            ]
        },
        {"observedGeneration": 99},
    ],
    ids=["phase", "conditions", "generation"],
)
def test_a_status_of_another_world_is_no_obstacle(status: Object, fleet: Fleet) -> None:
    fleet.create()
    for kind, name in (("S3Orchestrator", "main"), ("StorageBackend", "one"), ("VirtualBucket", "photos")):
        response = fleet.namespace.cluster.api.patch(
            f"{fleet.namespace.path(kind, name)}/status",
            content=json.dumps({"status": status}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        # What the schema refuses cannot be there.
        assert response.status_code in (200, 422)
    operator = fleet.start()
    fleet.until_ready()
    assert "mistake of the operator" not in operator.said()


def test_without_its_kinds_an_operator_says_what_to_do_and_ends(bare_cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    """The kinds are there by now: to the operator they are hidden."""
    with FaultProxy(bare_cluster.kubeconfig) as proxy:
        proxy.rules = [always(Refuse(404), lambda request: request.group == "s3orchestrator.io")]
        through = proxy.kubeconfig_to(tmp_path / "hidden.kubeconfig")
        with operators(bare_cluster, namespace.name, tmp_path, kubeconfig=through) as starting:
            operator = starting.start()
            assert operator.process.wait(20) == 2
            assert "kubectl apply --server-side -k config/crd" in operator.said()
