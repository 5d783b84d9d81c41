"""What a deletion leads to: by policy, confirmed, cut short, without room, and in any order with everything else."""

from __future__ import annotations

import itertools

import pytest
from tests.support import resources
from tests.support.planned import KEY, MAIN, World, fleet, sb, vb

from s3o_operator.plan.actions import DropKeys, ForgetBackend, Protect, Release
from s3o_operator.plan.observed import Object, Ref
from s3o_operator.plan.registry import read_registry, shards_of
from s3o_operator.plan.removal import FINALIZERS

DONE = {"objectsTotal": 100, "objectsMoved": 100, "objectsRemaining": 0}
HALF = {"objectsTotal": 100, "objectsMoved": 40, "objectsRemaining": 60}
LITTLE_ROOM = {"requiredBytes": 8 * 2**30, "availableBytes": 2**30, "fits": False}


def takes_new(world: World, name: str) -> bool | None:
    """None: it is not served at all."""
    found = [one for one in world.config().backends if one.name == name]
    return found[0].accepts_writes if found else None


def serves(world: World, bucket: str) -> bool:
    return bucket in [one.name for one in world.config().buckets]


class TestDeletionOfABackend:
    def test_it_is_drained_forgotten_dropped_and_then_released(self) -> None:
        world = fleet()
        world.delete(sb("one"))
        world.settle()
        assert (world.status(sb("one"))["drain"]["trigger"], takes_new(world, "one")) == ("Deletion", False)
        world.tell("Succeeded", progress=DONE)
        world.serving = False
        world.settle()
        assert (world.is_there(sb("one")), takes_new(world, "one"), world.forgotten) == (True, None, [])
        assert world.condition(sb("one"), "DeletionBlocked") == ("False", "WaitingForProxies")
        assert world.status(sb("one"))["phase"] == "Removing"
        world.serving = True
        done = world.settle()
        assert [type(action) for action in done][:2] == [ForgetBackend, Release]
        assert (world.is_there(sb("one")), world.forgotten) == (False, ["one"])

    def test_without_room_it_says_so_and_goes_on_by_itself(self) -> None:
        world = fleet()
        world.delete(sb("one"))
        world.settle()
        world.tell("Stalled", reason="InsufficientCapacity", progress=HALF, plan=LITTLE_ROOM)
        world.settle()
        for kind in ("DeletionBlocked", "Stalled"):
            assert world.condition(sb("one"), kind) == ("True", "InsufficientCapacity")
        world.tell("Succeeded", progress=DONE)
        world.settle()
        assert not world.is_there(sb("one"))

    def test_retain_leaves_everything_where_it_is(self) -> None:
        world = fleet()
        world.edit(sb("one"), deletionPolicy="Retain")
        world.serving = False
        world.delete(sb("one"))
        world.settle()
        assert world.is_there(sb("one"))
        world.serving = True
        world.settle()
        assert not world.is_there(sb("one"))
        assert (world.operations, world.forgotten) == ([], [])

    def test_purge_needs_a_word_more(self) -> None:
        world = fleet()
        world.edit(sb("one"), deletionPolicy="Purge")
        world.delete(sb("one"))
        world.settle()
        assert world.condition(sb("one"), "DeletionBlocked") == ("True", "PurgeNotConfirmed")
        world.annotate(sb("one"), confirm_purge="two")
        world.settle()
        assert world.operations == []
        world.annotate(sb("one"), confirm_purge="one")
        world.settle()
        assert [(one["kind"], one["backend"]) for one in world.operations] == [("Purge", "one")]
        assert takes_new(world, "one") is False
        world.tell("Succeeded", kind="Purge", progress=DONE)
        world.settle()
        assert (world.is_there(sb("one")), world.forgotten) == (False, ["one"])

    def test_by_force_it_goes_now(self) -> None:
        world = fleet()
        world.delete(sb("one"))
        world.settle()
        world.serving = world.reachable = False
        world.annotate(sb("one"), force_delete="two")
        world.settle()
        assert world.is_there(sb("one"))
        world.annotate(sb("one"), force_delete="one")
        world.settle()
        assert (world.is_there(sb("one")), world.forgotten) == (False, [])

    def test_one_that_cannot_be_read_waits_and_says_so(self) -> None:
        world = fleet()
        world.edit(sb("one"), quota={"bytes": "many"})
        world.delete(sb("one"))
        world.settle()
        assert world.condition(sb("one"), "DeletionBlocked") == ("True", "Invalid")

    def test_one_that_never_was_served_just_goes(self) -> None:
        world = fleet()
        world.create(resources.changed(resources.backend("late"), {"spec.backendName": "one"}))
        world.settle()
        world.delete(sb("late"))
        assert not world.is_there(sb("late"))

    def test_the_claim_of_another_is_not_drained_for_one_that_only_wanted_it(self) -> None:
        world = fleet()
        late = resources.changed(resources.backend("late"), {"spec.backendName": "one", "spec.state": "Draining"})
        world.create(late)
        world.settle()
        assert world.operations == []
        protected = world.resources[sb("late")]
        world.resources[sb("late")] = protected | {"metadata": protected["metadata"] | {"finalizers": [FINALIZERS["StorageBackend"]]}}
        world.delete(sb("late"))
        world.settle()
        assert (world.is_there(sb("late")), world.operations, world.forgotten) == (False, [], [])


def buckets_with_keys(world: World) -> set[str]:
    return {credential.bucket for credential in read_registry(shards_of(KEY, world.live.values()))}


class TestDeletionOfABucket:
    def test_retain_revokes_its_keys_everywhere_before_it_goes(self) -> None:
        world = fleet()
        world.serving = False
        world.delete(vb("photos"))
        world.settle()
        assert (serves(world, "photos"), world.is_there(vb("photos"))) == (False, True)
        assert world.status(vb("photos"))["phase"] == "Released"
        world.serving = True
        world.settle()
        assert (world.is_there(vb("photos")), world.operations) == (False, [])

    def test_made_anew_it_has_the_same_data_and_the_same_key(self) -> None:
        world = fleet()
        registry = world.live[Ref("Secret", "default", "main-registry")]["data"]
        world.delete(vb("photos"))
        world.settle()
        world.create(resources.bucket("photos", credentials=resources.REMOVED))
        world.settle()
        assert serves(world, "photos")
        assert world.live[Ref("Secret", "default", "main-registry")]["data"] == registry

    def test_delete_empties_it_once_nobody_can_write_to_it(self) -> None:
        world = fleet()
        world.edit(vb("photos"), deletionPolicy="Delete")
        world.settle()
        world.serving = False
        world.delete(vb("photos"))
        world.settle()
        assert (serves(world, "photos"), world.operations) == (False, [])
        world.serving = True
        world.settle()
        assert [(one["kind"], one["bucket"]) for one in world.operations] == [("Purge", "photos")]
        assert world.status(vb("photos"))["phase"] == "Purging"
        world.tell("Succeeded", kind="Purge", progress=DONE)
        world.settle()
        assert not world.is_there(vb("photos"))

    def test_with_its_objects_its_keys_are_forgotten(self) -> None:
        """And no sooner: while it may be asked to stay as it is, by force, its keys stay with the objects."""
        world = fleet()
        world.create(resources.bucket("videos", credentials=resources.REMOVED))
        world.edit(vb("photos"), deletionPolicy="Delete")
        world.delete(vb("photos"))
        world.settle()
        assert buckets_with_keys(world) == {"photos", "videos"}
        world.tell("Succeeded", kind="Purge", progress=DONE)
        done = [type(action) for action in world.settle()]
        assert buckets_with_keys(world) == {"videos"}
        assert done.index(DropKeys) < done.index(Release)

    def test_by_force_it_goes_now(self) -> None:
        world = fleet()
        world.edit(vb("photos"), deletionPolicy="Delete")
        world.delete(vb("photos"))
        world.reachable = world.serving = False
        world.annotate(vb("photos"), force_delete="photos")
        world.settle()
        assert not world.is_there(vb("photos"))
        assert buckets_with_keys(world) == {"photos"}


def copy_of(bucket: str, **fields: str) -> Object:
    """Its manifest, finalizer and all, as `-o yaml` prints it and a restore brings it back. `fields`: of its metadata, or its spec."""
    metadata, spec = {"name": "copy", "finalizers": [FINALIZERS["VirtualBucket"]]}, {"bucketName": bucket, "deletionPolicy": "Delete"}
    copied = resources.bucket("copy", credentials=resources.REMOVED, **spec)
    if "namespace" in fields:
        copied["spec"]["orchestratorRef"] = {"name": "main", "namespace": "default"}
    return copied | {"metadata": copied["metadata"] | metadata | fields}


class TestOneThatNeverHadTheName:
    @pytest.mark.parametrize(
        ("fields", "reason"), [({}, "BucketNameConflict"), ({"namespace": "another-team"}, "NotAllowed")], ids=["conflict", "not-admitted"]
    )
    @pytest.mark.parametrize("settled_between", [True, False])
    def test_a_copy_of_a_bucket_empties_nothing(self, fields: dict[str, str], reason: str, settled_between: bool) -> None:
        world = fleet()
        ref = world.create(copy_of("photos", **fields))
        if settled_between:
            world.settle()
            assert world.condition(ref, "Accepted") == ("False", reason)
        world.delete(ref)
        world.settle()
        assert (world.is_there(ref), serves(world, "photos"), world.operations) == (False, True, [])

    def test_nor_does_one_with_the_status_of_the_other(self) -> None:
        """A restore can bring that back, too."""
        world = fleet()
        ref = world.create(copy_of("photos", namespace="another-team") | {"status": world.status(vb("photos"))})
        world.delete(ref)
        world.settle()
        assert (world.is_there(ref), serves(world, "photos"), world.operations) == (False, True, [])

    def test_nor_what_an_earlier_one_of_that_name_has_left(self) -> None:
        world = fleet()
        world.delete(vb("photos"))
        world.settle()
        ref = world.create(copy_of("photos"))
        world.delete(ref)
        world.settle()
        assert (world.is_there(ref), world.operations) == (False, [])

    @pytest.mark.parametrize("policy", ["Drain", "Purge", "Retain"])
    @pytest.mark.parametrize("with_status", [True, False])
    @pytest.mark.parametrize("namespace", ["default", "another-team"])
    def test_a_copy_of_a_backend_moves_deletes_and_holds_up_nothing(self, policy: str, with_status: bool, namespace: str) -> None:
        world = fleet()
        copied = resources.backend("copy", backendName="one", deletionPolicy=policy)
        copied["spec"]["orchestratorRef"] = {"name": "main", "namespace": "default"}
        annotations = {"s3orchestrator.io/confirm-purge": "one"}
        metadata = {"namespace": namespace, "finalizers": [FINALIZERS["StorageBackend"]], "annotations": annotations}
        copied |= {"metadata": copied["metadata"] | metadata}
        # As it says when everything was moved.
        drained = world.status(sb("one")) | {"drain": {"trigger": "Deletion", "token": "deletion", "state": "Completed"}}
        ref = world.create(copied | ({"status": drained} if with_status else {}))
        world.settle()
        world.delete(ref)
        world.settle()
        assert (world.is_there(ref), takes_new(world, "one"), world.operations, world.forgotten) == (False, True, [], [])

    def test_a_backend_whose_status_was_lost_is_drained_all_the_same(self) -> None:
        world = fleet()
        world.delete(sb("one"))
        world.resources[sb("one")].pop("status")
        world.settle()
        assert [(one["kind"], one["backend"]) for one in world.operations] == [("Drain", "one")]


class TestTheNextInLine:
    """Who waits for a name has it when the one before is gone, and not while something is still done to what that one had."""

    @pytest.mark.parametrize("paused", [True, False])
    def test_a_bucket_is_not_served_while_the_name_is_purged(self, paused: bool) -> None:
        world = fleet()
        world.edit(vb("photos"), deletionPolicy="Delete")
        world.create(resources.bucket("late", credentials=resources.REMOVED, bucketName="photos"))
        world.settle()
        world.delete(vb("photos"))
        world.settle()
        world.annotate(vb("photos"), paused="true" if paused else None)
        world.settle()
        assert (serves(world, "photos"), world.condition(vb("late"), "Accepted")) == (False, ("False", "BucketNameConflict"))
        world.annotate(vb("photos"), paused=None)
        world.settle()
        world.tell("Succeeded", kind="Purge", progress=DONE)
        world.settle()
        assert (world.is_there(vb("photos")), serves(world, "photos")) == (False, True)
        assert world.condition(vb("late"), "Ready")[0] == "True"

    def test_nor_while_proxies_still_serve_the_one_before(self) -> None:
        world = fleet()
        world.create(resources.bucket("late", credentials=resources.REMOVED, bucketName="photos"))
        world.settle()
        world.serving = False
        world.delete(vb("photos"))
        world.settle()
        assert not serves(world, "photos")
        world.serving = True
        world.settle()
        assert (world.is_there(vb("photos")), serves(world, "photos")) == (False, True)

    @pytest.mark.parametrize("field", ["backendName", "bucket"])
    def test_a_backend_is_forgotten_first(self, field: str) -> None:
        """The one that waits wants the name, or the place at the provider."""
        world = fleet()
        late = resources.backend("late", backendName="one")
        if field == "bucket":
            place = {each: world.resources[sb("one")]["spec"][each] for each in ("endpoint", "bucket")}
            late["spec"] |= {"backendName": "late", **place}
        world.create(late)
        world.settle()
        world.delete(sb("one"))
        world.settle()
        world.tell("Succeeded", progress=DONE)
        done = [(type(one), getattr(one, "ref", None)) for one in world.settle()]
        assert (world.is_there(sb("one")), world.forgotten) == (False, ["one"])
        assert [one["token"] for one in world.operations] == ["deletion"]
        assert done.index((ForgetBackend, sb("one"))) < done.index((Release, sb("one"))) < done.index((Protect, sb("late")))
        assert takes_new(world, late["spec"]["backendName"]) is True

    def test_a_bucket_that_is_paused_and_cannot_be_served_keeps_its_name(self) -> None:
        world = fleet()
        world.edit(vb("photos"), maxMultipartUploads="many")
        world.create(resources.bucket("late", credentials=resources.REMOVED, bucketName="photos"))
        world.settle()
        world.annotate(vb("photos"), paused="true")
        world.settle()
        assert world.condition(vb("late"), "Accepted") == ("False", "BucketNameConflict")


EVERYTHING = (MAIN, sb("one"), sb("two"), vb("photos"), Ref("Secret", "default", "backend-keys"))


class TestAnyOrder:
    @pytest.mark.parametrize("settled_between", [True, False])
    def test_whatever_is_deleted_in_whatever_order_nothing_hangs_and_nothing_is_destroyed(self, settled_between: bool) -> None:
        """COSI #78, #79, #83, #392, Rook #6300, #7351, #12516: each subset of everything, in each order."""
        subsets = [subset for size in range(1, 6) for subset in itertools.permutations(EVERYTHING, size)]
        for order in subsets:
            world = fleet()
            for ref in order:
                world.delete(ref)
                if settled_between:
                    world.settle()
            world.settle()
            # What waits for a drain that has a place to go, goes when it is done.
            world.tell("Succeeded", progress=DONE)
            world.settle()
            left = [str(ref) for ref in order if ref in world.resources]
            assert not left, f"{[str(ref) for ref in order]}: {left} hang"
            assert not [one for one in world.operations if one["kind"] == "Purge"]

    def test_without_an_orchestrator_backends_and_buckets_go_at_once(self) -> None:
        world = fleet()
        world.delete(MAIN)
        world.reachable = world.serving = False
        world.delete(sb("one"))
        world.delete(vb("photos"))
        world.settle()
        assert (world.is_there(sb("one")), world.is_there(vb("photos"))) == (False, False)
        assert world.condition(sb("two"), "Accepted") == ("False", "OrchestratorNotFound")

    def test_an_orchestrator_that_only_cannot_be_read_is_not_gone(self) -> None:
        world = fleet()
        world.edit(MAIN, routing={"strategy": "Nonsense"})
        world.delete(sb("one"))
        world.settle()
        assert world.is_there(sb("one"))
        world.edit(MAIN, routing={"strategy": "Pack"})
        world.settle()
        world.tell("Succeeded", progress=DONE)
        world.settle()
        assert not world.is_there(sb("one"))
