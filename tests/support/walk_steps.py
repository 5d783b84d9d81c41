"""What users, the cluster and the network do to an operator, one thing at a time: the steps of a `Walk`, and how often each happens."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from tests.support import resources
from tests.support.fault_proxy import Cut, Delay, Drop, Expire, Fault, Hang, Refuse, Request
from tests.support.garbage import collect_garbage
from tests.support.walk import POSTGRES, Step, Walk

BUCKETS = [f"bucket-{number}" for number in range(8)]
BACKENDS = [f"backend-{number}" for number in range(4)]
CHILDREN = ("Deployment", "Secret", "ConfigMap", "Service", "ServiceAccount", "PodDisruptionBudget")
_REFUSALS = (429, 500, 503, 504, 409)

# --- users -----------------------------------------------------------------------------------------------------------


def _make_a_bucket(walk: Walk) -> None:
    # Some want a name that others want, too: the oldest has it.
    name = walk.chance.choice(BUCKETS)
    wanted: dict[str, Any] = {"bucketName": "wanted"} if walk.chance.random() < 0.2 else {}
    walk.post(resources.bucket(name, credentials=resources.REMOVED, **wanted))


def _edit_a_bucket(walk: Walk) -> None:
    walk.patch("VirtualBucket", walk.chance.choice(BUCKETS), {"spec": {"maxMultipartUploads": walk.chance.choice((None, 1, 5, 100))}})


def _delete_a_bucket(walk: Walk) -> None:
    walk.delete("VirtualBucket", walk.chance.choice(BUCKETS))


def _delete_and_make_a_bucket_again(walk: Walk) -> None:
    name = walk.chance.choice(BUCKETS)
    walk.delete("VirtualBucket", name)
    walk.post(resources.bucket(name, credentials=resources.REMOVED))


def _rotate_a_key(walk: Walk) -> None:
    name = walk.chance.choice(BUCKETS)
    walk.rotations[name] += 1
    walk.patch("VirtualBucket", name, {"metadata": {"annotations": {"s3orchestrator.io/rotate-credentials": f"t{walk.chance.random()}"}}})


def _make_a_backend(walk: Walk) -> None:
    walk.post(resources.backend(walk.chance.choice(BACKENDS)))


def _edit_a_backend(walk: Walk) -> None:
    change = walk.chance.choice(
        ({"state": "Cordoned"}, {"state": "Active"}, {"order": walk.chance.randrange(9)}, {"quota": {"bytes": "5Gi"}})
    )
    walk.patch("StorageBackend", walk.chance.choice(BACKENDS), {"spec": change})


def _drain_a_backend(walk: Walk) -> None:
    """Or have it not drained after all."""
    token = "cancel" if walk.chance.random() < 0.3 else f"t{walk.chance.random()}"
    walk.patch("StorageBackend", walk.chance.choice(BACKENDS), {"metadata": {"annotations": {"s3orchestrator.io/drain": token}}})


def _delete_a_backend(walk: Walk) -> None:
    walk.delete("StorageBackend", walk.chance.choice(BACKENDS))


def _change_the_keys_of_the_backends(walk: Walk) -> None:
    walk.patch("Secret", "backend-keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": f"s{walk.chance.random()}"}})


def _lose_the_keys_of_the_backends(walk: Walk) -> None:
    walk.delete("Secret", "backend-keys")
    if walk.chance.random() < 0.8:
        walk.post(resources.key_pair("backend-keys"))


def _restore_the_keys_of_the_backends(walk: Walk) -> None:
    walk.post(resources.key_pair("backend-keys"))


def _edit_the_orchestrator(walk: Walk) -> None:
    change = walk.chance.choice(
        ({"proxy": {"replicas": walk.chance.randrange(1, 4)}}, {"routing": {"strategy": "Spread"}}, {"routing": None})
    )
    walk.patch("S3Orchestrator", "main", {"spec": change})


def _make_the_orchestrator_again(walk: Walk) -> None:
    walk.delete("S3Orchestrator", "main")
    if walk.chance.random() < 0.5:
        collect_garbage(walk.namespace)
    walk.post(resources.orchestrator(database=POSTGRES, proxy={"replicas": 2}))


def _damage_a_child(walk: Walk) -> None:
    """What is ours in it: others may add to an object what they like."""
    kind = walk.chance.choice(CHILDREN)
    names = [name for name in walk.ours(kind) if "registry" not in name]
    child = walk.namespace.get(kind, walk.chance.choice(names)) if names else None
    if child is not None:
        data = {name: "b3RoZXI=" for name in child.get("data") or {} if walk.chance.random() < 0.5}
        labels = {walk.chance.choice(list(child["metadata"].get("labels") or {"none": ""})): None}
        walk.patch(kind, child["metadata"]["name"], {"data": data} if data else {"metadata": {"labels": labels}})


def _delete_a_child(walk: Walk) -> None:
    kind = walk.chance.choice(CHILDREN)
    # The registry and an application's Secret, lost at once, would lose a key: that is what a registry is for.
    if names := [name for name in walk.ours(kind) if "registry" not in name]:
        walk.delete(kind, walk.chance.choice(names))


def _occupy_a_childs_name(walk: Walk) -> None:
    name = walk.chance.choice(BUCKETS)
    made = walk.post({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"mine": "yes"}})
    if made.status_code == 201:
        walk.foreign[walk.namespace.path("ConfigMap", name)] = made.json()


def _free_a_childs_name(walk: Walk) -> None:
    if walk.foreign:
        path, _ = walk.foreign.popitem()
        walk.api("DELETE", path)


# --- the cluster -----------------------------------------------------------------------------------------------------


def _collect_the_garbage(walk: Walk) -> None:
    collect_garbage(walk.namespace)


def _let_proxies_run(walk: Walk) -> None:
    if walk.exists("Deployment", "main-proxy"):
        try:
            walk.namespace.make_proxies_ready()
        except (httpx.HTTPStatusError, KeyError):
            return  # it went while it was looked at


def _kill_a_proxy(walk: Walk) -> None:
    if names := walk.namespace.pods.names():
        walk.namespace.cluster.api.request(
            "DELETE", f"/api/v1/namespaces/{walk.namespace.name}/pods/{walk.chance.choice(names)}", json={"gracePeriodSeconds": 0}
        )


def _kill_the_operator(walk: Walk) -> None:
    if walk.operator is not None:
        walk.operator.kill()


def _start_the_operator(walk: Walk) -> None:
    walk.start_operator()


# --- the network -----------------------------------------------------------------------------------------------------


def _break_something(walk: Walk) -> None:
    """For a while: some of the requests of one sort, or of all."""
    faults: list[Fault] = [Refuse(walk.chance.choice(_REFUSALS), after=walk.chance.random() < 0.5) for _ in range(4)]
    faults += [Cut(), Cut(walk.chance.randrange(20)), Expire(), Delay(walk.chance.random()), Hang(after=walk.chance.random() < 0.5)]
    faults += [Drop(_some_of(random.Random(walk.chance.random())))] * 3
    fault, share = walk.chance.choice(faults), walk.chance.choice((0.1, 0.5, 1.0))
    resource = walk.chance.choice(("", "", "secrets", "virtualbuckets", "s3orchestrators", "configmaps", "deployments"))
    lots, only_writes = random.Random(walk.chance.random()), walk.chance.random() < 0.5

    def rule(request: Request) -> Fault | None:
        # Its Lease is left alone: an operator that lost it ends, and that is another test.
        hit = request.resource != "leases" and resource in ("", request.resource) and (request.is_write or not only_writes)
        return fault if hit and lots.random() < share else None

    walk.proxy.rules = [rule]


def _some_of(lots: random.Random) -> Callable[[Mapping[str, Any]], bool]:
    return lambda _: lots.random() < 0.3


def _mend_everything(walk: Walk) -> None:
    walk.proxy.rules = []
    walk.proxy.up()


def _break_all_connections(walk: Walk) -> None:
    walk.proxy.break_connections()


def _restart_the_api_server(walk: Walk) -> None:
    walk.proxy.down()
    time.sleep(walk.chance.random() / 4)  # for as long as it takes
    walk.proxy.up()


def _look(walk: Walk) -> None:
    walk.look()


STEPS: list[tuple[float, Step]] = [
    (12, _make_a_bucket),
    (8, _edit_a_bucket),
    (4, _delete_a_bucket),
    (3, _delete_and_make_a_bucket_again),
    (3, _rotate_a_key),
    (6, _make_a_backend),
    (6, _edit_a_backend),
    (3, _drain_a_backend),
    (3, _delete_a_backend),
    (4, _change_the_keys_of_the_backends),
    (2, _lose_the_keys_of_the_backends),
    (4, _restore_the_keys_of_the_backends),
    (5, _edit_the_orchestrator),
    (1, _make_the_orchestrator_again),
    (5, _damage_a_child),
    (4, _delete_a_child),
    (2, _occupy_a_childs_name),
    (2, _free_a_childs_name),
    (3, _collect_the_garbage),
    (6, _let_proxies_run),
    (3, _kill_a_proxy),
    (0.7, _kill_the_operator),
    (6, _start_the_operator),
    (4, _break_something),
    (5, _mend_everything),
    (2, _break_all_connections),
    (1, _restart_the_api_server),
    (3, _look),
]
