"""A plan is carried out in order, a few at a time where order does not matter; and whoever is killed half-way is followed by one who
finishes, without doing anything twice."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support import resources
from tests.support.inline_operator import InlineOperator, Mortal, inline_operator, until_killed
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, authorize_everywhere, condition
from tests.support.pictures import children, differences, key_pairs, reports

from s3o_operator.plan.observed import Key
from s3o_operator.plan.registry import CredentialRef, KeyPair, read_registry, shards_of
from s3o_operator.reconcile import Refused

CRASH_EVERY = int(os.environ.get("S3O_CRASH_EVERY", "3"))
POSTGRES = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}


def from_nothing(namespace: Namespace) -> None:
    documents = [
        resources.key_pair("backend-keys"),
        resources.backend("one"),
        resources.backend("two"),
        generated("photos"),
        generated("music"),
    ]
    for document in [*documents, resources.orchestrator(database=POSTGRES, proxy={"replicas": 3})]:
        namespace.create(document)


def generated(name: str) -> Object:
    return resources.bucket(name, credentials=resources.REMOVED)


def a_bucket_more_and_a_backend_less(namespace: Namespace) -> None:
    namespace.create(generated("late"))
    namespace.delete("StorageBackend", "two")


def one_proxy_and_new_keys(namespace: Namespace) -> None:
    namespace.patch("S3Orchestrator", "main", {"spec": {"proxy": {"replicas": 1}}})
    namespace.patch("Secret", "backend-keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": "rotated"}})


def one_proxy_more(namespace: Namespace) -> None:
    namespace.patch("S3Orchestrator", "main", {"spec": {"proxy": {"replicas": 4}}})


def everything_lost_but_what_outlives(namespace: Namespace) -> None:
    """As after a restore of the custom resources alone."""
    for kind in ("Deployment", "Secret", "ConfigMap", "Service"):
        for item in namespace.list(kind):
            name = item["metadata"]["name"]
            if name not in ("backend-keys", "main-registry") and item["metadata"].get("ownerReferences"):
                namespace.delete(kind, name)


def proxies_run(namespace: Namespace) -> None:
    namespace.make_proxies_ready()


def a_drain_is_asked_for(namespace: Namespace) -> None:
    namespace.patch("StorageBackend", "two", {"metadata": {"annotations": {"s3orchestrator.io/drain": "first"}}})


def a_backend_and_a_bucket_go(namespace: Namespace) -> None:
    namespace.delete("StorageBackend", "two")
    namespace.delete("VirtualBucket", "music")


def a_key_is_rotated(namespace: Namespace) -> None:
    namespace.patch("VirtualBucket", "photos", {"metadata": {"annotations": {"s3orchestrator.io/rotate-credentials": "first"}}})


@dataclass(frozen=True)
class Change:
    before: tuple[Callable[[Namespace], None], ...]
    makes: Callable[[Namespace], None]


CHANGES = [
    Change((), from_nothing),
    Change((from_nothing,), a_bucket_more_and_a_backend_less),
    Change((from_nothing,), one_proxy_and_new_keys),
    Change((from_nothing,), everything_lost_but_what_outlives),
    Change((from_nothing, proxies_run), a_drain_is_asked_for),
    Change((from_nothing, proxies_run), a_backend_and_a_bucket_go),
    Change((from_nothing, proxies_run), a_key_is_rotated),
]


@dataclass
class Scene:
    """A namespace in which the change has just been made."""

    cluster: Cluster
    kubeconfig: Path
    change: Change = Change((), from_nothing)

    async def set(self) -> Namespace:
        namespace = Namespace(self.cluster, self.cluster.new_namespace())
        for step in self.change.before:
            step(namespace)
            async with self.operator(namespace) as operator:
                await operator.settle()
        self.change.makes(namespace)
        return namespace

    def operator(self, namespace: Namespace, dies_after: int = 0) -> AbstractAsyncContextManager[InlineOperator]:
        return inline_operator(self.kubeconfig, namespace.name, dies_after, after=True)


@pytest.fixture(scope="module")
def scene(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(cluster, authorize_everywhere(cluster, tmp_path_factory.mktemp("kubeconfigs")))


@dataclass(frozen=True)
class End:
    """How a change ends: what is there, what is said, and what the proxies were asked for. `writes`: how many it took."""

    children: dict[str, str]
    reports: dict[str, str]
    operations: list[tuple[str, str, str]]
    writes: int

    @classmethod
    def of(cls, namespace: Namespace, writes: int = 0) -> End:
        return cls(children(namespace), reports(namespace), operations(namespace), writes)

    def assert_is(self, wanted: End, where: str) -> None:
        assert not differences(wanted.children, self.children), where
        assert not differences(wanted.reports, self.reports), where
        # A key, a drain, a purge: each once, whoever asked for it before he died.
        assert self.operations == wanted.operations, where


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CHANGES, ids=lambda change: change.makes.__name__)
async def undisturbed(request: pytest.FixtureRequest, scene: Scene) -> tuple[Scene, End]:
    """A change, and how it ends when nobody dies."""
    scene = replace(scene, change=request.param)
    namespace = await scene.set()
    async with scene.operator(namespace) as operator:
        await operator.settle()
    end = End.of(namespace, len(operator.mortal.writes))
    namespace.pods.close()
    assert end.writes > 3
    return scene, end


@pytest.mark.slow
async def test_killed_after_every_write_it_ends_as_if_it_had_not_been(undisturbed: tuple[Scene, End]) -> None:
    """Each life carries out one write, and never reads its answer; what was written so far is all that the next one knows."""
    scene, wanted = undisturbed
    namespace = await scene.set()
    lives: list[Mortal] = []
    was_killed = True
    while was_killed:
        assert len(lives) < 2 * wanted.writes, f"no end: {[one.died_at for one in lives[-5:]]}"
        async with scene.operator(namespace, 1) as operator:
            was_killed = await until_killed(operator)
        lives.append(operator.mortal)
    End.of(namespace).assert_is(wanted, f"{len(lives)} lives")
    assert_minted_once(namespace, lives, f"{len(lives)} lives")
    namespace.pods.close()


@pytest.mark.slow
async def test_killed_in_the_middle_of_its_writes_it_ends_as_if_it_had_not_been(undisturbed: tuple[Scene, End]) -> None:
    """One life up to a write, with others under way, and one after it. S3O_CRASH_EVERY=1: at every write, and not at some."""
    scene, wanted = undisturbed
    for boundary in range(CRASH_EVERY, wanted.writes + 1, CRASH_EVERY):
        namespace = await scene.set()
        async with scene.operator(namespace, boundary) as operator:
            # Writes under way together come in any order, and a successor may need fewer.
            was_killed = await until_killed(operator)
            assert was_killed or boundary > wanted.writes - 3
        async with scene.operator(namespace) as successor:
            await successor.settle()
        where = f"killed after write {boundary} of {wanted.writes}: {operator.mortal.died_at}"
        End.of(namespace).assert_is(wanted, where)
        assert_minted_once(namespace, [operator.mortal, successor.mortal], where)
        namespace.pods.close()


def operations(namespace: Namespace) -> list[tuple[str, str, str]]:
    """What the proxies were asked for: kind, target, state."""
    rows = [row for stand_in in namespace.pods.stand_ins.values() for row in stand_in.operations.rows]
    return sorted((row["kind"], row["backend"] or row["bucket"], row["state"]) for row in rows)


def assert_minted_once(namespace: Namespace, lives: list[Mortal], where: str) -> None:
    """Whatever was ever sent as the key of a credential is the one that it has now: none is made twice, none is given out early."""
    registry = minted(namespace.list("Secret"), namespace)
    given = set(key_pairs(namespace).values())
    for _, _, body in [write for mortal in lives for write in mortal.writes]:
        if isinstance(body, dict) and body.get("kind") == "Secret":
            assert minted([body], namespace).items() <= registry.items(), where
            if "AWS_ACCESS_KEY_ID" in (body.get("data") or {}):
                assert base64.b64decode(body["data"]["AWS_ACCESS_KEY_ID"]).decode() in given, where
    assert given <= {pair.access_key_id for pair in registry.values()}, where


def minted(secrets: list[Object], namespace: Namespace) -> dict[CredentialRef, KeyPair]:
    shards = shards_of(Key(namespace.name, "main"), secrets)
    return {credential: entry.pair for credential, entry in read_registry(shards).items()}


async def test_the_operator_writes_several_children_of_buckets_at_a_time_and_statuses_last(scene: Scene) -> None:
    namespace = await scene.set()
    for number in range(30):
        namespace.create(generated(f"more-{number:02}"))
    async with scene.operator(namespace) as operator:
        await operator.round()
    # Finalizers are patches without a name.
    whole = [(path, body) for _, path, body in operator.mortal.writes if isinstance(body, dict) and "name" in body["metadata"]]
    written = [(path, (body["kind"], body["metadata"]["name"])) for path, body in whole]
    first_status = next(number for number, (path, _) in enumerate(written) if path.endswith("/status"))
    assert all(path.endswith("/status") for path, _ in written[first_status:])
    assert written[-1][0].endswith("/s3orchestrators/main/status")
    names = [name for _, name in written]
    mounted = {("Secret", "main-registry"), ("Secret", "main-admin"), ("Secret", "main-config"), ("ServiceAccount", "main-proxy")}
    assert mounted <= set(names[: names.index(("Deployment", "main-proxy"))])
    assert 4 < operator.mortal.most_in_flight <= 16


async def test_what_pods_serve_at_once_is_reported_once(scene: Scene) -> None:
    namespace = await replace(scene, change=Change((from_nothing, proxies_run), a_bucket_more_and_a_backend_less)).set()
    async with scene.operator(namespace) as operator:
        await operator.settle()
    assert condition(namespace.get("VirtualBucket", "late"), "Ready")[0] == "True"
    assert len([path for _, path, _ in operator.mortal.writes if path.endswith("/late/status")]) == 1
    namespace.pods.close()


async def test_a_rollout_is_never_reported_as_done_before_it_has_begun(scene: Scene) -> None:
    """What waits for Ready of the new generation, as `kubectl wait` and Argo CD do, would go on with the old proxies."""
    namespace = await replace(scene, change=Change((from_nothing, proxies_run), one_proxy_more)).set()
    async with scene.operator(namespace) as operator:
        await operator.round()
    told = [body["status"] for _, path, body in operator.mortal.writes if path.endswith("/s3orchestrators/main/status")]
    ready = [one["status"] for status in told for one in status["conditions"] if one["type"] == "Ready"]
    assert (ready, [status["proxy"]["summary"] for status in told]) == (["False"], ["3/4"])
    namespace.pods.close()


async def test_a_foreign_object_that_no_watch_shows_is_left_alone_and_found_again_without_a_write(scene: Scene) -> None:
    """It bears no label of ours, so each listing forgets it."""
    namespace = await scene.set()
    theirs = namespace.create({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "photos"}, "data": {"BUCKET_NAME": "theirs"}})
    async with scene.operator(namespace) as operator:
        await operator.settle()
    assert namespace.get("ConfigMap", "photos") == theirs
    assert condition(namespace.get("VirtualBucket", "photos"), "Stalled") == ("True", "NameConflict")
    namespace.delete("ConfigMap", "photos")
    async with scene.operator(namespace) as operator:
        await operator.settle()
    assert (namespace.get("ConfigMap", "photos") or {})["data"]["BUCKET_NAME"] == "photos"
    assert condition(namespace.get("VirtualBucket", "photos"), "Stalled")[0] == "False"


async def test_a_child_that_lost_its_labels_is_ours_by_its_owner(scene: Scene) -> None:
    namespace = await scene.set()
    async with scene.operator(namespace) as operator:
        await operator.settle()
        before = namespace.get("ConfigMap", "photos") or {}
        namespace.patch("ConfigMap", "photos", {"metadata": {"labels": None}})
        await operator.settle()
    after = namespace.get("ConfigMap", "photos") or {}
    assert (after["metadata"]["uid"], after["metadata"]["labels"]) == (before["metadata"]["uid"], before["metadata"]["labels"])


async def test_one_child_that_is_refused_keeps_no_other_from_being_made_and_reported(scene: Scene) -> None:
    namespace = await scene.set()
    async with scene.operator(namespace) as operator:
        operator.mortal.refused = "/configmaps/music"
        with pytest.raises(Refused, match="injected"):
            await operator.round()
    assert namespace.get("ConfigMap", "photos")
    assert namespace.get("Secret", "music")
    assert condition(namespace.get("VirtualBucket", "music"), "Stalled") == ("True", "ApplyFailed")
    assert condition(namespace.get("VirtualBucket", "photos"), "Stalled")[0] == "False"
    assert condition(namespace.get("S3Orchestrator", "main"), "Stalled")[0] == "False"
    assert condition(namespace.get("StorageBackend", "one"), "Accepted")[0] == "True"


async def test_one_status_that_is_refused_keeps_no_other_from_being_written(scene: Scene) -> None:
    namespace = await scene.set()
    async with scene.operator(namespace) as operator:
        operator.mortal.refused = "/virtualbuckets/music/status"
        with pytest.raises(Refused, match="injected"):
            await operator.round()
    assert condition(namespace.get("VirtualBucket", "photos"), "Accepted")[0] == "True"
    assert condition(namespace.get("S3Orchestrator", "main"), "Stalled") == ("True", "ApplyFailed")
