"""Who may attach, by namespace and by number; and that what is attached stays."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import resources
from tests.support.resources import Document, changed

from s3o_crds.access import Standing
from s3o_crds.compile import Compilation, compile  # noqa: A004  the name that the design gives it
from s3o_crds.parse import Secret, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket

LABELS = {"default": {}, "team-a": {"tenant": "yes", "tier": "gold"}, "team-b": {"tenant": "no"}}
TENANTS = {"from": "Selector", "selector": {"matchLabels": {"tenant": "yes"}}}


def of_team(document: Document, namespace: str = "team-a", created: str = "2026-01-01T00:00:00Z") -> Document:
    spec = {"spec.orchestratorRef.namespace": "default", "metadata.namespace": namespace, "metadata.creationTimestamp": created}
    return changed(document, spec)


def compiled(access: dict[str, Any], *documents: Document, **standing: Any) -> Compilation:
    secrets = [resources.key_pair(name) for name in ("backend-keys", "photos-keys", "music-keys")]
    secrets += [changed(one, {"metadata.namespace": "team-a"}) for one in secrets]
    parsed = [parse_resource(document) for document in (*documents, *secrets)]
    orchestrator = parse_resource(resources.orchestrator(access=access))
    assert isinstance(orchestrator, S3Orchestrator)
    return compile(
        orchestrator,
        [one for one in parsed if isinstance(one, StorageBackend)],
        [one for one in parsed if isinstance(one, VirtualBucket)],
        [one for one in parsed if isinstance(one, Secret)],
        standing=Standing(**{"namespaces": LABELS, **standing}),
    )


def reasons(compilation: Compilation) -> dict[str, str]:
    return {rejection.name: rejection.reason for rejection in compilation.rejections}


@pytest.mark.parametrize(
    ("namespaces", "allowed"),
    [
        ({}, False),
        ({"from": "Same"}, False),
        ({"from": "All"}, True),
        (TENANTS, True),
        ({"from": "Selector", "selector": {}}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"tenant": "yes", "tier": "silver"}}}, False),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "x"]}]}}, True),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}}, False),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["gold"]}]}}, True),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}, True),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}, False),
    ],
)
def test_a_namespace_may_attach_or_not(namespaces: dict[str, Any], allowed: bool) -> None:
    for kind, document in (("buckets", of_team(resources.bucket())), ("backends", of_team(resources.backend()))):
        compilation = compiled({kind: {"namespaces": namespaces}}, document)
        assert (reasons(compilation) == {}) is allowed
        assert bool(compilation.secret_values) is allowed


def test_buckets_that_are_allowed_do_not_allow_backends() -> None:
    guests = [of_team(resources.bucket()), of_team(resources.backend())]
    assert reasons(compiled({"buckets": {"namespaces": {"from": "All"}}}, *guests)) == {"one": "NotAllowed"}


def test_the_orchestrators_own_namespace_is_always_allowed() -> None:
    assert reasons(compiled({"buckets": {"namespaces": TENANTS}}, resources.bucket())) == {}


def test_labels_that_cannot_be_seen_refuse_and_say_why() -> None:
    compilation = compiled({"buckets": {"namespaces": TENANTS}}, of_team(resources.bucket()), namespaces=None)
    (rejection,) = compilation.rejections
    assert rejection.reason == "NotAllowed"
    assert "needs an operator that watches all namespaces; use from: All instead" in rejection.message
    assert reasons(compiled({"buckets": {"namespaces": {"from": "All"}}}, of_team(resources.bucket()), namespaces=None)) == {}


def test_who_is_not_allowed_claims_no_name() -> None:
    squatter = of_team(resources.bucket(), namespace="team-b")
    compilation = compiled({"buckets": {"namespaces": TENANTS}}, squatter, of_team(resources.bucket(), created="2026-05-01T00:00:00Z"))
    assert [(one.namespace, one.reason) for one in compilation.rejections] == [("team-b", "NotAllowed")]


def test_what_is_attached_stays_when_its_namespace_loses_the_label() -> None:
    attached = frozenset({("VirtualBucket", "team-b", "photos")})
    bucket = changed(of_team(resources.bucket(), namespace="team-b"), {"spec.credentials": []})
    assert reasons(compiled({"buckets": {"namespaces": TENANTS}}, bucket)) == {"photos": "NotAllowed"}
    assert reasons(compiled({"buckets": {"namespaces": TENANTS}}, bucket, attached=attached)) == {"photos": "NoCredentials"}


class TestLimits:
    def test_the_later_one_is_beyond_the_limit(self) -> None:
        older, younger = of_team(resources.bucket("photos")), of_team(resources.bucket("music"), created="2026-05-01T00:00:00Z")
        access = {"buckets": {"namespaces": {"from": "All"}, "limits": {"maxBuckets": 1}}}
        compilation = compiled(access, younger, older)
        assert reasons(compilation) == {"music": "LimitExceeded"}
        assert "there are 1 VirtualBuckets already" in compilation.rejections[0].message

    def test_a_lowered_limit_detaches_nobody(self) -> None:
        attached = frozenset({("VirtualBucket", "default", name) for name in ("photos", "music")})
        access = {"buckets": {"limits": {"maxBuckets": 1}}}
        assert reasons(compiled(access, resources.bucket("photos"), resources.bucket("music"), attached=attached)) == {}
        third = resources.bucket("third", credentials=[{"name": "app", "secretRef": {"name": "photos-keys"}}])
        buckets = [resources.bucket("photos"), resources.bucket("music"), third]
        assert reasons(compiled(access, *buckets, attached=attached)) == {"third": "LimitExceeded"}

    def test_credentials_are_counted_until_the_spec_was_accepted(self) -> None:
        credentials = [{"name": name, "secretRef": {"name": f"{name}-keys"}} for name in ("photos", "music")]
        access = {"buckets": {"limits": {"maxCredentialsPerBucket": 1}}}
        bucket = resources.bucket(credentials=credentials)
        compilation = compiled(access, bucket)
        assert reasons(compilation) == {"photos": "LimitExceeded"}
        assert "spec.credentials has 2 members" in compilation.rejections[0].message
        identity = frozenset({("VirtualBucket", "default", "photos")})
        assert reasons(compiled(access, bucket, attached=identity)) == {"photos": "LimitExceeded"}
        assert reasons(compiled(access, bucket, attached=identity, unchanged=identity)) == {}
