"""A key is made once, whatever is lost or late: on a real API server, under the shipped ClusterRole."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, authorize, condition

from s3o_operator.apply.mint import drop_keys, write_keys
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import DropKeys, KeyChange, NewKey, RotateKey, WriteKeys
from s3o_operator.plan.observed import Key, Ref
from s3o_operator.plan.registry import CredentialRef, Entry, read_registry

NOW, LATER = "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"
CREDENTIALS = [
    {"name": "default", "generate": {}},
    {"name": "cosi", "generate": {}, "secretTemplate": {"keys": "COSI"}},
    {"name": "legacy", "type": "Token", "generate": {}},
]
SECRETS = ("photos", "photos-cosi", "photos-legacy")


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    """It has made a bucket with three credentials."""
    documents = [resources.key_pair("backend-keys"), resources.backend(), resources.orchestrator()]
    for document in [*documents, resources.bucket("photos", credentials=CREDENTIALS)]:
        namespace.create(document)
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        await made.settle()
        yield made


def kube_of(operator: InlineOperator) -> Kube:
    return Kube(operator.mortal)  # type: ignore[arg-type]  # what Kube uses of it


def given(namespace: Namespace) -> dict[str, Object]:
    """What applications have."""
    return {name: (namespace.get("Secret", name) or {})["data"] for name in SECRETS}


def registry(namespace: Namespace, name: str = "main-registry") -> dict[CredentialRef, Entry]:
    return read_registry([namespace.get("Secret", name) or {}])


def default_key(namespace: Namespace, *, owner: str | None = None, bucket: str = "photos") -> NewKey:
    uid = (namespace.get("VirtualBucket", bucket) or {})["metadata"]["uid"]
    credential = CredentialRef(namespace.name, bucket, "default", "SigV4")
    return NewKey(credential, Ref("Secret", namespace.name, bucket), owner or uid, bucket)


def writing(namespace: Namespace, *changes: KeyChange) -> WriteKeys:
    return WriteKeys(Key(namespace.name, "main"), NOW, changes)


async def test_a_lost_registry_learns_every_key_from_the_applications_secrets(operator: InlineOperator, namespace: Namespace) -> None:
    before, entries = given(namespace), registry(namespace)
    assert len(entries) == 3
    namespace.delete("Secret", "main-registry")
    await operator.settle()
    assert registry(namespace) == entries
    assert given(namespace) == before


async def test_a_registry_and_secrets_that_are_lost_together_come_back_from_what_proxies_mount(
    operator: InlineOperator, namespace: Namespace
) -> None:
    before, entries = given(namespace), registry(namespace)
    for name in ("main-registry", *SECRETS):
        namespace.delete("Secret", name)
    await operator.settle()
    assert registry(namespace) == entries
    assert given(namespace) == before


async def test_many_lost_entries_are_learnt_from_one_listing_of_the_applications_secrets(
    operator: InlineOperator, namespace: Namespace
) -> None:
    names = [f"bucket-{number}" for number in range(6)]
    for name in names:
        namespace.create(resources.bucket(name, credentials=resources.REMOVED))
    await operator.settle()
    entries = registry(namespace)
    for name in ("main-registry", "main-config"):
        namespace.delete("Secret", name)
    wanted = [default_key(namespace, bucket=name) for name in names]
    await write_keys(writing(namespace, *wanted), kube_of(operator), Cache())
    assert registry(namespace) == {new.credential: entries[new.credential] for new in wanted}


async def test_lost_secrets_come_back_with_the_same_keys(operator: InlineOperator, namespace: Namespace) -> None:
    before = given(namespace)
    for name in SECRETS:
        namespace.delete("Secret", name)
    await operator.settle()
    assert given(namespace) == before


async def test_of_a_registry_that_lost_one_entry_the_others_stay(operator: InlineOperator, namespace: Namespace) -> None:
    before, entries = given(namespace), registry(namespace)
    name = next(iter((namespace.get("Secret", "main-registry") or {})["data"]))
    namespace.patch("Secret", "main-registry", {"data": {name: base64.b64encode(b"damaged").decode()}})
    await operator.settle()
    assert registry(namespace) == entries
    assert given(namespace) == before


async def test_a_cache_that_knows_neither_makes_no_second_key(operator: InlineOperator, namespace: Namespace) -> None:
    before, entries = given(namespace), registry(namespace)
    await write_keys(writing(namespace, default_key(namespace)), kube_of(operator), Cache())
    assert registry(namespace) == entries
    namespace.delete("Secret", "main-registry")
    await write_keys(writing(namespace, default_key(namespace)), kube_of(operator), Cache())
    assert registry(namespace).items() <= entries.items()
    assert len(registry(namespace)) == 1
    assert given(namespace) == before


async def test_a_rotation_that_a_stale_cache_asks_for_again_is_not_done_again(operator: InlineOperator, namespace: Namespace) -> None:
    rotate = RotateKey(default_key(namespace).credential, "t1", LATER)
    await write_keys(writing(namespace, rotate), kube_of(operator), Cache())
    entries = registry(namespace)
    await write_keys(writing(namespace, rotate), kube_of(operator), Cache())
    assert registry(namespace) == entries
    namespace.delete("Secret", "main-registry")
    await write_keys(writing(namespace, rotate), kube_of(operator), Cache())
    assert namespace.get("Secret", "main-registry") is None


async def test_what_somebody_writes_meanwhile_is_not_lost(operator: InlineOperator, namespace: Namespace) -> None:
    class Overtaken(Kube):
        async def replace(self, document: Object, *, timeout_s: float = 10) -> Object:
            namespace.patch("Secret", "main-registry", {"metadata": {"labels": {"meanwhile": "yes"}}})
            return await super().replace(document, timeout_s=timeout_s)

    entries = registry(namespace)
    overtaken = Overtaken(operator.mortal)  # type: ignore[arg-type]  # as above
    with pytest.raises(Conflict):
        await write_keys(writing(namespace, RotateKey(default_key(namespace).credential, "t1", LATER)), overtaken, Cache())
    assert registry(namespace) == entries


async def test_no_key_is_taken_from_a_secret_that_is_not_ours(operator: InlineOperator, namespace: Namespace) -> None:
    """Whoever may write a Secret must not choose the key of a bucket. It has the one that proxies were given, or else a new one."""
    (before,) = (entry for credential, entry in registry(namespace).items() if credential.name == "default")
    namespace.delete("Secret", "main-registry")
    for damage in (
        {"metadata": {"ownerReferences": None}},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
        {"metadata": {"labels": {"s3orchestrator.io/credential": "another"}}},
    ):
        namespace.delete("Secret", "photos")
        await operator.settle()
        namespace.delete("Secret", "main-registry")
        namespace.patch("Secret", "photos", {"stringData": {"AWS_ACCESS_KEY_ID": "CHOSEN"}, **damage})
        await write_keys(writing(namespace, default_key(namespace)), kube_of(operator), Cache())
        assert list(registry(namespace).values()) == [before]
    namespace.delete("Secret", "main-registry")
    namespace.patch("Secret", "main-config", {"metadata": {"ownerReferences": None}})
    await write_keys(writing(namespace, default_key(namespace)), kube_of(operator), Cache())
    (entry,) = registry(namespace).values()
    assert entry.pair.access_key_id not in ("CHOSEN", before.pair.access_key_id)


async def test_a_bucket_that_is_made_anew_keeps_the_key_that_its_application_has(operator: InlineOperator, namespace: Namespace) -> None:
    """With another uid, as after a restore, and without a registry. The Secret gets a new owner: with the old one, it would go."""
    before = given(namespace)
    namespace.patch("VirtualBucket", "photos", {"metadata": {"finalizers": None}})
    namespace.delete("VirtualBucket", "photos")
    namespace.delete("Secret", "main-registry")
    bucket = namespace.create(resources.bucket("photos", credentials=CREDENTIALS))
    await operator.settle()
    assert given(namespace) == before
    for name in SECRETS:
        (owner,) = (namespace.get("Secret", name) or {})["metadata"]["ownerReferences"]
        assert owner["uid"] == bucket["metadata"]["uid"]
    assert condition(namespace.get("VirtualBucket", "photos"), "Accepted")[0] == "True"


async def test_keys_are_dropped_only_of_the_bucket_that_goes(operator: InlineOperator, namespace: Namespace) -> None:
    """A stale plan may mean one that is gone already, while another has its name, and keys of its own."""
    bucket = namespace.get("VirtualBucket", "photos") or {}
    ref, entries = Ref("VirtualBucket", namespace.name, "photos"), registry(namespace)
    for uid in (bucket["metadata"]["uid"], "uid-of-an-earlier-one"):
        await drop_keys(DropKeys(Key(namespace.name, "main"), ref, uid), kube_of(operator), Cache())
        assert registry(namespace) == entries
        namespace.delete("VirtualBucket", "photos")
    await drop_keys(DropKeys(Key(namespace.name, "main"), ref, bucket["metadata"]["uid"]), kube_of(operator), Cache())
    assert registry(namespace) == {}


async def test_a_credential_that_is_taken_out_loses_its_secret_and_gets_the_same_key_again(
    operator: InlineOperator, namespace: Namespace
) -> None:
    before = given(namespace)
    namespace.patch("VirtualBucket", "photos", {"spec": {"credentials": CREDENTIALS[:1]}})
    await operator.settle()
    assert namespace.get("Secret", "photos-legacy") is None
    config = base64.b64decode((namespace.get("Secret", "main-config") or {})["data"]["secrets.json"]).decode()
    assert "photos-legacy" not in config
    namespace.patch("VirtualBucket", "photos", {"spec": {"credentials": CREDENTIALS}})
    await operator.settle()
    assert given(namespace) == before
