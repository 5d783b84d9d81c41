"""What two resources both want: who was served before has it, then the older one, whatever else may be wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.support import resources
from tests.support.resources import Document, changed

from s3o_crds.access import Standing
from s3o_crds.claims import Unreadable
from s3o_crds.compile import Compilation, compile  # noqa: A004  the name that the design gives it
from s3o_crds.parse import Secret, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket

OLD, NEW = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


def wants_photos(name: str, created: str) -> Document:
    secret = [{"name": "app", "secretRef": {"name": "keys"}}]
    return changed(resources.bucket(name, bucketName="photos", credentials=secret), {"metadata.creationTimestamp": created})


def compiled(*documents: Document, standing: Standing = Standing()) -> Compilation:  # noqa: B008  frozen
    parsed = [parse_resource(one) for one in (*documents, resources.key_pair("keys"), resources.key_pair("backend-keys"))]
    orchestrator = parse_resource(resources.orchestrator())
    assert isinstance(orchestrator, S3Orchestrator)
    return compile(
        orchestrator,
        [one for one in parsed if isinstance(one, StorageBackend)],
        [one for one in parsed if isinstance(one, VirtualBucket)],
        [one for one in parsed if isinstance(one, Secret)],
        standing=standing,
    )


def refused(compilation: Compilation) -> list[tuple[str, str]]:
    return [(one.name, one.reason) for one in compilation.rejections]


def test_among_equals_the_older_has_the_name_then_the_first_by_name() -> None:
    assert refused(compiled(wants_photos("younger", NEW), wants_photos("older", OLD))) == [("younger", "BucketNameConflict")]
    assert refused(compiled(wants_photos("b", OLD), wants_photos("a", OLD))) == [("b", "BucketNameConflict")]


def test_who_was_served_keeps_the_name_when_an_older_one_becomes_eligible() -> None:
    """Or the data of one would appear under the name of the other."""
    attached = Standing(attached=frozenset({("VirtualBucket", "default", "younger")}))
    compilation = compiled(wants_photos("younger", NEW), wants_photos("older", OLD), standing=attached)
    assert refused(compilation) == [("older", "BucketNameConflict")]


def test_a_bucket_that_cannot_be_read_keeps_its_name() -> None:
    unreadable = Unreadable("VirtualBucket", "default", "broken", datetime(2026, 1, 1, tzinfo=UTC), "photos")
    compilation = compiled(wants_photos("younger", NEW), standing=Standing(unreadable=(unreadable,)))
    assert refused(compilation) == [("younger", "BucketNameConflict")]
    assert "the older VirtualBucket default/broken" in compilation.rejections[0].message
    younger = Unreadable("VirtualBucket", "default", "broken", datetime(2026, 7, 1, tzinfo=UTC), "photos")
    assert refused(compiled(wants_photos("older", NEW), standing=Standing(unreadable=(younger,)))) == []


def test_one_of_a_namespace_that_is_not_allowed_keeps_nothing() -> None:
    unreadable = Unreadable("VirtualBucket", "team-b", "broken", datetime(2026, 1, 1, tzinfo=UTC), "photos")
    assert refused(compiled(wants_photos("younger", NEW), standing=Standing(unreadable=(unreadable,)))) == []


def test_a_backend_that_cannot_be_read_keeps_its_name_and_its_place() -> None:
    created, place = datetime(2026, 1, 1, tzinfo=UTC), ("https://one.example.com", "data")
    backend = changed(resources.backend("one"), {"metadata.creationTimestamp": NEW})
    named = Unreadable("StorageBackend", "default", "broken", created, "one")
    assert refused(compiled(backend, standing=Standing(unreadable=(named,)))) == [("one", "BackendNameConflict")]
    placed = Unreadable("StorageBackend", "default", "broken", created, "other", place)
    assert refused(compiled(backend, standing=Standing(unreadable=(placed,)))) == [("one", "SameBucketTwice")]
