"""Rotation on a real API server: a new key, the old one beside it for its grace period, and an operator that dies at any write of it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support import resources
from tests.support.inline_operator import inline_operator, until_killed
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, Operators, authorize_everywhere, condition

from s3o_operator.plan.registry import Entry, read_registry

ANNOTATION = "s3orchestrator.io/rotate-credentials"
WITHIN_S = 20.0


def credentials(grace: str) -> list[Object]:
    return [{"name": name, "generate": {}, "rotation": {"gracePeriod": grace}} for name in ("default", "writer")]


def make(namespace: Namespace, grace: str = "1h") -> None:
    for document in (resources.key_pair("backend-keys"), resources.backend(), resources.orchestrator()):
        namespace.create(document)
    namespace.create(resources.bucket("photos", credentials=credentials(grace)))


def ask(namespace: Namespace, token: str | None) -> None:
    namespace.patch("VirtualBucket", "photos", {"metadata": {"annotations": {ANNOTATION: token}}})


def status(namespace: Namespace) -> Object:
    return (namespace.get("VirtualBucket", "photos") or {}).get("status") or {}


def values(namespace: Namespace, name: str) -> dict[str, str]:
    data = (namespace.get("Secret", name) or {}).get("data") or {}
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


def served_ids(namespace: Namespace) -> set[str]:
    """The access key ids that the proxies take."""
    secrets = json.loads(values(namespace, "main-config")["secrets.json"])
    return {value for ref, value in secrets.items() if "photos" in ref and ref.endswith("/AWS_ACCESS_KEY_ID")}


def registry(namespace: Namespace) -> dict[str, Entry]:
    return {credential.name: entry for credential, entry in read_registry([namespace.get("Secret", "main-registry") or {}]).items()}


@pytest.fixture(scope="module")
def everywhere(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authorize_everywhere(cluster, tmp_path_factory.mktemp("kubeconfigs"))


async def test_the_new_key_is_everywhere_and_the_old_one_works_on(everywhere: Path, namespace: Namespace) -> None:
    make(namespace)
    async with inline_operator(everywhere, namespace.name) as operator:
        await operator.settle()
        before = {name: values(namespace, name)["AWS_ACCESS_KEY_ID"] for name in ("photos", "photos-writer")}
        ask(namespace, "t1")
        await operator.settle()
        after = {name: values(namespace, name)["AWS_ACCESS_KEY_ID"] for name in ("photos", "photos-writer")}
        assert not set(before.values()) & set(after.values())
        assert served_ids(namespace) == {*before.values(), *after.values()}
        reported = {one["secretName"]: one for one in status(namespace)["credentials"]}
        assert {name: (one["previousAccessKeyId"], one["accessKeyId"]) for name, one in reported.items()} == {
            name: (before[name], after[name]) for name in before
        }
        assert status(namespace)["lastHandled"] == {"rotateCredentials": "t1"}
        for token in ("t1", None, "t1", "nonsense;age=3", ""):
            ask(namespace, token)
            await operator.settle()
            assert values(namespace, "photos")["AWS_ACCESS_KEY_ID"] == after["photos"]
        ask(namespace, "t2;name=writer")
        await operator.settle()
        assert values(namespace, "photos")["AWS_ACCESS_KEY_ID"] == after["photos"]
        assert values(namespace, "photos-writer")["AWS_ACCESS_KEY_ID"] not in (before["photos-writer"], after["photos-writer"])
        assert served_ids(namespace) >= {*before.values(), *after.values()}


async def test_a_token_that_came_with_the_resource_rotates_nothing(everywhere: Path, namespace: Namespace) -> None:
    make(namespace)
    ask(namespace, "from-git")
    async with inline_operator(everywhere, namespace.name) as operator:
        await operator.settle()
    assert status(namespace)["lastHandled"] == {"rotateCredentials": "from-git"}
    assert "previousAccessKeyId" not in json.dumps(status(namespace))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_write_no_key_is_lost_and_none_is_made_twice(after: bool, everywhere: Path, cluster: Cluster) -> None:
    boundary, lived_through = 0, False
    while not lived_through:
        boundary += 1
        namespace = Namespace(cluster, cluster.new_namespace())
        make(namespace)
        async with inline_operator(everywhere, namespace.name) as operator:
            await operator.settle()
        before = registry(namespace)
        ask(namespace, "t1")
        async with inline_operator(everywhere, namespace.name, boundary, after=after) as operator:
            lived_through = not await until_killed(operator)
        where = f"write {boundary}: {operator.mortal.died_at}"
        in_use = {values(namespace, name)["AWS_ACCESS_KEY_ID"] for name in ("photos", "photos-writer")}
        assert in_use <= served_ids(namespace), f"an application has a key that proxies do not know, at {where}"
        async with inline_operator(everywhere, namespace.name) as successor:
            await successor.settle()
        entries = registry(namespace)
        for name, entry in entries.items():
            assert [one.pair for one in entry.retired] == [before[name].pair], where
            assert entry.rotation == "t1", where
        assert {values(namespace, name)["AWS_ACCESS_KEY_ID"] for name in ("photos", "photos-writer")} == {
            entry.pair.access_key_id for entry in entries.values()
        }, where
        assert "rotation" not in status(namespace), where
    assert boundary > 5


async def test_an_operator_that_was_away_when_the_time_came_ends_the_old_key_when_it_is_back(
    everywhere: Path, namespace: Namespace
) -> None:
    make(namespace, grace="1s")
    async with inline_operator(everywhere, namespace.name) as operator:
        await operator.settle()
        old = values(namespace, "photos")["AWS_ACCESS_KEY_ID"]
        ask(namespace, "t1")
        await operator.round()
    async with inline_operator(everywhere, namespace.name) as operator:
        await until(lambda: old not in served_ids(namespace), operator.settle)
    assert all(not entry.retired for entry in registry(namespace).values())
    assert "previousAccessKeyId" not in json.dumps(status(namespace))


async def until(holds: Callable[[], bool], work: Callable[[], Awaitable[None]]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        await work()
        await asyncio.sleep(0.1)  # the clock is what is waited for


def test_a_running_operator_ends_the_old_key_by_itself(namespace: Namespace, starting: Operators) -> None:
    make(namespace, grace="3s")
    starting.start()
    namespace.eventually("VirtualBucket", "photos", lambda found: condition(found, "Accepted")[0] == "True")
    old = values(namespace, "photos")["AWS_ACCESS_KEY_ID"]
    ask(namespace, "t1")
    rotated = namespace.eventually("VirtualBucket", "photos", lambda found: "previousAccessKeyId" in json.dumps(found["status"]))
    assert old in json.dumps(rotated["status"])
    assert old in served_ids(namespace)
    namespace.eventually("VirtualBucket", "photos", lambda found: "previousAccessKeyId" not in json.dumps(found["status"]))
    assert old not in served_ids(namespace)
    assert values(namespace, "photos")["AWS_ACCESS_KEY_ID"] in served_ids(namespace)
