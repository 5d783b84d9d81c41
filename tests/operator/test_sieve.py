"""Sieve's *intermediate* and *stale state*, on a real API server: an operator that ends between two writes that belong together, and one
whose view is of an object that is gone, while another has its name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator, until_killed
from tests.support.kube import Cluster
from tests.support.operation_book import OperationBook
from tests.support.operators import Namespace, Object, authorize_everywhere, condition
from tests.support.pictures import key_pairs

from s3o_operator.plan.observed import Key
from s3o_operator.plan.registry import read_registry


@pytest.fixture(scope="module")
def everywhere(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authorize_everywhere(cluster, tmp_path_factory.mktemp("kubeconfigs"))


@pytest.fixture
async def fleet(everywhere: Path, namespace: Namespace) -> Namespace:
    """Two backends and a bucket, settled, with a pod that serves them."""
    for document in (resources.key_pair("backend-keys"), resources.orchestrator(), resources.backend("one"), resources.backend("two")):
        namespace.create(document)
    namespace.create(generated("photos"))
    async with inline_operator(everywhere, namespace.name) as operator:
        await operator.settle()
        namespace.make_proxies_ready()
        await operator.settle()
    return namespace


def generated(name: str) -> Object:
    credentials = [{"name": "default", "generate": {}, "rotation": {"gracePeriod": "5s"}}]
    return resources.bucket(name, credentials=credentials)


def annotate(namespace: Namespace, kind: str, name: str, **annotations: str) -> None:
    named = {f"s3orchestrator.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    namespace.patch(kind, name, {"metadata": {"annotations": named}})


def book(namespace: Namespace) -> OperationBook:
    return namespace.pods.stand_in("main").operations


def asked(namespace: Namespace) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["backend"] or one["bucket"], one["token"]) for one in book(namespace).rows]


def config_of(namespace: Namespace) -> tuple[Object, dict[str, str]]:
    data = (namespace.get("Secret", "main-config") or {})["data"]
    return json.loads(base64.b64decode(data["config.json"])), json.loads(base64.b64decode(data["secrets.json"]))


def assert_every_application_has_the_one_key_that_is_served(namespace: Namespace) -> None:
    registry = {credential.bucket: entry for credential, entry in read_registry(namespace.list("Secret")).items()}
    given, (_, values) = key_pairs(namespace), config_of(namespace)
    assert given == {bucket: entry.pair.access_key_id for bucket, entry in registry.items()}
    assert not any(entry.retired for entry in registry.values())
    assert set(given.values()) <= set(values.values())
    assert len([value for value in values.values() if value.startswith("S3O")]) == len(given)


# --- intermediate state --------------------------------------------------------------------------------------------------------------


def a_bucket_comes(namespace: Namespace) -> None:
    namespace.create(generated("late"))


def a_drain_is_asked_for(namespace: Namespace) -> None:
    annotate(namespace, "StorageBackend", "two", drain="t1")


def the_pods_change_with_their_configuration(namespace: Namespace) -> None:
    namespace.patch("S3Orchestrator", "main", {"spec": {"image": {"tag": "new", "repository": "example.com/proxy"}}})
    namespace.create(generated("late"))


def a_backend_goes(namespace: Namespace) -> None:
    namespace.delete("StorageBackend", "two")


def a_key_is_rotated(namespace: Namespace) -> None:
    annotate(namespace, "VirtualBucket", "photos", rotate_credentials="t1")


@dataclass(frozen=True)
class Kill:
    """`dies_before`: a write to what ends so; `when`: and only if this is so by then. `after`: what has been done by then."""

    what: str
    begins: Callable[[Namespace], None]
    dies_before: str
    after: Callable[[Namespace], object]
    when: Callable[[Namespace], object] = lambda namespace: True


def is_in_registry(namespace: Namespace) -> bool:
    return "late" in {credential.bucket for credential in read_registry(namespace.list("Secret"))}


def serves_late(namespace: Namespace) -> bool:
    return "late" in [one["name"] for one in config_of(namespace)[0]["buckets"]]


def has_two_keys(namespace: Namespace) -> bool:
    return any(entry.retired for entry in read_registry(namespace.list("Secret")).values())


KILLS = [
    Kill("credential generated, and written nowhere", a_bucket_comes, "/secrets/main-registry", lambda ns: not is_in_registry(ns)),
    Kill("credential generated, Secret not written", a_bucket_comes, "/secrets/late", is_in_registry),
    Kill("Secret written, status not", a_bucket_comes, "/late/status", lambda ns: ns.get("Secret", "late")),
    Kill("drain row inserted, CR status not", a_drain_is_asked_for, "/two/status", asked, when=asked),
    Kill("config Secret updated, Deployment not", the_pods_change_with_their_configuration, "/deployments/main-proxy", serves_late),
    Kill(
        *("backend metadata removed, finalizer not", a_backend_goes, "/storagebackends/two"),
        lambda ns: book(ns).forgotten == ["two"] and ns.get("StorageBackend", "two"),
        when=lambda ns: book(ns).forgotten,
    ),
    Kill("new key live, old not revoked", a_key_is_rotated, "/secrets/main-config", has_two_keys, when=has_two_keys),
]


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: kill.what.replace(" ", "-"))
async def test_intermediate_state(kill: Kill, everywhere: Path, fleet: Namespace) -> None:
    kill.begins(fleet)
    async with inline_operator(everywhere, fleet.name) as operator:
        operator.mortal.dies_before = lambda path: path.endswith(kill.dies_before) and bool(kill.when(fleet))
        assert await until_killed(operator), f"no write to {kill.dies_before}"
    assert kill.after(fleet), kill.what
    async with inline_operator(everywhere, fleet.name) as successor:
        await successor.settle()
        while has_two_keys(fleet):  # until its grace period is over
            await successor.settle()
        writes = len(successor.mortal.writes)
        await successor.settle()
    assert len(successor.mortal.writes) == writes
    assert_every_application_has_the_one_key_that_is_served(fleet)
    drains: dict[object, list[tuple[str, str, str]]] = {
        a_drain_is_asked_for: [("Drain", "two", "t1")],
        a_backend_goes: [("Drain", "two", "deletion")],
    }
    assert asked(fleet) == drains.get(kill.begins, [])
    assert (fleet.get("StorageBackend", "two") is None) == (kill.begins is a_backend_goes)
    served, _ = config_of(fleet)
    assert [one["name"] for one in served["backends"]] == (["one"] if kill.begins is a_backend_goes else ["one", "two"])
    for bucket in served["buckets"]:
        assert condition(fleet.get("VirtualBucket", bucket["name"]), "Ready")[0] == "True"
    image = (fleet.get("Deployment", "main-proxy") or {})["spec"]["template"]["spec"]["containers"][0]["image"]
    assert (image == "example.com/proxy:new") == (kill.begins is the_pods_change_with_their_configuration)


# --- stale state ---------------------------------------------------------------------------------------------------------------------


def replace_with_a_namesake(namespace: Namespace, kind: str, document: Object) -> None:
    """As somebody does who takes its finalizer off."""
    name = document["metadata"]["name"]
    namespace.patch(kind, name, {"metadata": {"finalizers": None}})
    if namespace.get(kind, name):
        namespace.delete(kind, name)
    namespace.create(document)


async def see(operator: InlineOperator) -> None:
    """It lists, and does nothing yet."""
    await operator.process.optional.look()
    await operator.process.resync.once()


async def act(operator: InlineOperator, namespace: Namespace) -> None:
    """On what it has seen."""
    key = Key(namespace.name, "main")
    await operator.process.fleet.visit(key)
    await operator.process.reconciler.reconcile(key)


def drain(namespace: Namespace) -> None:
    annotate(namespace, "StorageBackend", "two", drain="t1")


def purge(namespace: Namespace) -> None:
    namespace.patch("StorageBackend", "two", {"spec": {"deletionPolicy": "Purge"}})
    annotate(namespace, "StorageBackend", "two", confirm_purge="two")
    namespace.delete("StorageBackend", "two")


def delete_everything_in_it(namespace: Namespace) -> None:
    namespace.patch("VirtualBucket", "photos", {"spec": {"deletionPolicy": "Delete"}})
    namespace.delete("VirtualBucket", "photos")


@pytest.mark.parametrize("wish", [drain, purge, delete_everything_in_it], ids=lambda wish: wish.__name__)
@pytest.mark.parametrize("latched", [False, True], ids=["", "latched"])
async def test_what_was_meant_for_one_that_is_gone_is_not_done_to_its_namesake(
    wish: Callable[[Namespace], None], latched: bool, everywhere: Path, fleet: Namespace
) -> None:
    """*Stale state*: an old event is in flight while the name is given anew."""
    kind, document = (
        ("VirtualBucket", generated("photos")) if wish is delete_everything_in_it else ("StorageBackend", resources.backend("two"))
    )
    name = document["metadata"]["name"]
    wish(fleet)
    async with inline_operator(everywhere, fleet.name) as stale:
        if latched:
            fleet.pods.stand_in("main").fault = (500, {"error": "the database is away"})
            await stale.settle()
            fleet.pods.stand_in("main").fault = None
        await see(stale)
        replace_with_a_namesake(fleet, kind, document)
        await act(stale, fleet)
    async with inline_operator(everywhere, fleet.name) as operator:
        await operator.settle()
    assert asked(fleet) == []
    assert book(fleet).forgotten == []
    found = fleet.get(kind, name) or {}
    assert (condition(found, "Ready")[0], found["metadata"].get("deletionTimestamp")) == ("True", None)
    served, _ = config_of(fleet)
    assert all(one["acceptsWrites"] for one in served["backends"])


async def test_what_a_namesake_was_asked_for_is_not_cancelled_for_one_that_is_gone(everywhere: Path, fleet: Namespace) -> None:
    drain(fleet)
    async with inline_operator(everywhere, fleet.name) as stale, inline_operator(everywhere, fleet.name) as operator:
        await stale.round()
        assert [one["state"] for one in book(fleet).rows] != ["Cancelled"]
        replace_with_a_namesake(fleet, "StorageBackend", resources.backend("two"))
        await operator.settle()
        annotate(fleet, "StorageBackend", "two", drain="t2")
        await operator.settle()
        before = [(one["token"], one["state"]) for one in book(fleet).rows]
        assert before == [("t2", "Succeeded"), ("t1", "Cancelled")]
        await act(stale, fleet)
    assert [(one["token"], one["state"]) for one in book(fleet).rows] == before
