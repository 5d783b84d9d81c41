"""Who was served before, who cannot be read, and what either keeps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import resources
from tests.support.observations import observed, served, status_of

from s3o_operator.plan.actions import render
from s3o_operator.plan.observed import Object, ref_of
from s3o_operator.plan.planner import plan
from s3o_operator.plan.reading import read
from s3o_operator.plan.standing import had_name, holders, standing_in

ACCEPTED: Object = {"observedGeneration": 1, "conditions": [{"type": "Accepted", "status": "True"}]}


def bucket(name: str, status: Object | None = None, **metadata: Any) -> Object:
    spec = {
        "orchestratorRef": {"name": "main", "namespace": "default"},
        "credentials": [{"name": "app", "secretRef": {"name": "backend-keys"}}],
    }
    document = served(resources.bucket(name, bucketName="photos", **spec), **metadata)
    return document | ({"status": status} if status is not None else {})


def test_who_has_a_name_in_its_status_is_attached() -> None:
    seen = observed(bucket("one", {"bucketName": "photos"}), bucket("two", {}), bucket("three", {"bucketName": "other"}))
    standing = standing_in(seen, read(seen))
    assert standing.attached == {("VirtualBucket", "default", "one")}
    assert standing.unchanged == frozenset()


def test_of_two_that_say_they_were_accepted_under_a_name_the_older_has_it() -> None:
    younger, older = bucket("a", {"bucketName": "photos"}, creationTimestamp="2026-11-21T09:30:00Z"), bucket("b", {"bucketName": "photos"})
    assert holders([younger, older, bucket("c", {})], None) == {("VirtualBucket", "photos"): ref_of(older)}


@pytest.mark.parametrize(("subject", "name", "had"), [("uid-b", "photos", True), ("uid-b", "films", False), ("uid-c", "photos", False)])
def test_where_the_status_was_lost_a_purge_of_its_own_tells_that_it_had_the_name(subject: str, name: str, had: bool) -> None:
    purge = {"kind": "Purge", "subject": subject, "backend": "", "bucket": name, "state": "Running"}
    assert had_name(bucket("b", {}, uid="uid-b"), (purge,)) is had


def test_who_was_served_and_is_set_aside_keeps_his_name() -> None:
    seen = observed(bucket("waits"))
    aside = {ref_of(one): one for one in (bucket("had", {"bucketName": "photos"}), bucket("had-not", {}))}
    standing = standing_in(seen, read(seen), aside)
    assert [(one.name, one.wanted) for one in standing.unreadable] == [("had", "photos")]
    assert standing.attached == {("VirtualBucket", "default", "had")}


@pytest.mark.parametrize(("generation", "unchanged"), [(1, True), (2, False)])
def test_and_unchanged_while_its_spec_is_the_one_that_was_accepted(generation: int, unchanged: bool) -> None:
    seen = observed(bucket("one", ACCEPTED | {"bucketName": "photos"}, generation=generation))
    assert bool(standing_in(seen, read(seen)).unchanged) is unchanged


@pytest.mark.parametrize("spec", [{"bucketName": "photos", "maxMultipartUploads": "many"}, {"bucketName": "photos", "later": {}}])
def test_a_bucket_that_cannot_be_read_keeps_its_name_from_a_younger_one(spec: Object) -> None:
    broken = bucket("broken")
    broken["spec"] |= spec
    text = render(plan(observed(broken, bucket("younger", creationTimestamp="2026-11-21T09:30:00Z"))))
    assert "BucketNameConflict: the name photos is already taken by the older VirtualBucket default/broken" in text


@pytest.mark.parametrize("spec", [None, "text", {}, {"bucketName": 7}])
def test_whatever_stands_in_a_spec_is_survived(spec: Any) -> None:
    broken = {**bucket("broken"), "spec": spec}
    seen = observed(broken)
    (unreadable,) = standing_in(seen, read(seen)).unreadable
    assert unreadable.wanted == "broken"


def test_a_backend_that_cannot_be_read_keeps_its_place() -> None:
    broken = served(
        resources.backend("broken", endpoint="https://one.example.com", order="first"), creationTimestamp="2026-11-21T08:00:00Z"
    )
    seen = observed(backends=(broken, served(resources.backend("one"))))
    assert "SameBucketTwice" in render(plan(seen))


def test_the_name_stays_in_the_status_when_the_bucket_is_refused_later() -> None:
    attached = bucket("one", {"bucketName": "photos", "observedGeneration": 1})
    attached["spec"]["credentials"] = [{"name": "app", "secretRef": {"name": "gone"}}]
    status = status_of(observed(attached), "VirtualBucket", "one")
    assert status["bucketName"] == "photos"
    assert {one["type"]: one["reason"] for one in status["conditions"]}["Accepted"] == "SecretNotFound"


def test_an_attached_bucket_outlives_the_label_of_its_namespace() -> None:
    access = {"buckets": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"tenant": "yes"}}}}}
    orchestrator = served(resources.orchestrator(access=access))
    guest = bucket("one", {"bucketName": "photos"}, namespace="team-a")
    new = bucket("two", namespace="team-a")
    new["spec"]["bucketName"] = "other"
    seen = observed(guest, new, orchestrator=orchestrator, namespaces={"team-a": {}})
    text = render(plan(seen))
    assert "status VirtualBucket team-a/one: Failed\n  Accepted=False SecretNotFound" in text
    assert "status VirtualBucket team-a/two: Failed\n  Accepted=False NotAllowed" in text
