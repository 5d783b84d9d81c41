"""Who may attach from which namespace, on a real API server: children appear where the bucket is, labels and limits are watched."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import resources
from tests.support.kube import Cluster
from tests.support.operators import Namespace, Object, Operators, authorize_everywhere, condition, operators
from tests.support.resources import REMOVED

TENANTS = {"from": "Selector", "selector": {"matchLabels": {"s3orchestrator.io/tenant": "true"}}}


@pytest.fixture
def team(cluster: Cluster) -> Namespace:
    return Namespace(cluster, cluster.new_namespace())


@pytest.fixture
def for_all(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[Operators]:
    """Operators for all namespaces, led by a Lease in the one of the test."""
    own = operators(cluster, namespace.name, tmp_path, kubeconfig=authorize_everywhere(cluster, tmp_path, namespace.name), everywhere=True)
    with own as made:
        yield made


def serve(namespace: Namespace, **access: Any) -> None:
    for document in (resources.key_pair("backend-keys"), resources.backend(), resources.orchestrator(access=access)):
        namespace.create(document)


def guest(namespace: Namespace, name: str = "photos", **spec: Any) -> Object:
    ref = {"name": "main", "namespace": namespace.name}
    return resources.bucket(name, **{"credentials": REMOVED, "orchestratorRef": ref, **spec})


def config(namespace: Namespace) -> tuple[Object, dict[str, str]]:
    data = (namespace.get("Secret", "main-config") or {}).get("data") or {}
    files = {name: json.loads(base64.b64decode(text)) for name, text in data.items()}
    return files["config.json"], files["secrets.json"]


def label(cluster: Cluster, namespace: Namespace, value: str | None) -> None:
    change = json.dumps({"metadata": {"labels": {"s3orchestrator.io/tenant": value}}})
    headers = {"Content-Type": "application/merge-patch+json"}
    cluster.api.patch(f"/api/v1/namespaces/{namespace.name}", content=change, headers=headers).raise_for_status()


def why(found: Object | None, kind: str = "Accepted") -> str:
    return next((one["message"] for one in ((found or {}).get("status") or {}).get("conditions", []) if one["type"] == kind), "")


def refused(reason: str) -> Any:
    return lambda found: condition(found, "Accepted") == ("False", reason)


def accepted(found: Object | None) -> bool:
    return condition(found, "Accepted")[0] == "True"


def test_a_bucket_of_another_namespace_is_served_and_its_children_are_there(
    namespace: Namespace, team: Namespace, for_all: Operators
) -> None:
    serve(namespace, buckets={"namespaces": {"from": "All"}}, backends={"namespaces": {"from": "All"}})
    team.create(guest(namespace))
    team.create(resources.key_pair("team-keys", "TEAMS"))
    foreign = {"name": "main", "namespace": namespace.name}
    team.create(resources.backend("two", orchestratorRef=foreign, credentialsSecretRef={"name": "team-keys"}))
    for_all.start()
    bucket = team.eventually("VirtualBucket", "photos", accepted)
    team.eventually("StorageBackend", "two", accepted)
    assert bucket["status"]["endpoint"] == f"http://main.{namespace.name}.svc:9000"
    secret = team.eventually("Secret", "photos", lambda found: found is not None)
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == bucket["metadata"]["uid"]
    where = team.get("ConfigMap", "photos") or {}
    assert where["data"]["BUCKET_HOST"] == f"main.{namespace.name}.svc"
    assert namespace.get("Secret", "photos") is None
    compiled, values = config(namespace)
    assert [one["name"] for one in compiled["backends"]] == ["one", "two"]
    assert base64.b64decode(secret["data"]["AWS_ACCESS_KEY_ID"]).decode() in values.values()
    # A child that is damaged or deleted there comes back, and a Secret that is rotated there reaches the proxies.
    team.delete("Secret", "photos")
    again = team.eventually("Secret", "photos", lambda found: found is not None)
    assert again["data"] == secret["data"]
    team.patch("Secret", "team-keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": "rotated"}})
    namespace.eventually("Secret", "main-config", lambda found: "rotated" in config(namespace)[1].values())
    assert config(namespace)[0]["generation"] > compiled["generation"]


def test_a_label_lets_a_namespace_in_and_taking_it_away_throws_nobody_out(
    cluster: Cluster, namespace: Namespace, team: Namespace, for_all: Operators
) -> None:
    serve(namespace, buckets={"namespaces": TENANTS})
    team.create(guest(namespace))
    for_all.start()
    rejected = team.eventually("VirtualBucket", "photos", refused("NotAllowed"))
    assert f"namespace {team.name} does not have" in why(rejected)
    assert team.get("Secret", "photos") is None
    label(cluster, team, "true")
    team.eventually("VirtualBucket", "photos", accepted)
    team.eventually("Secret", "photos", lambda found: found is not None)
    label(cluster, team, None)
    team.create(guest(namespace, "late"))
    team.eventually("VirtualBucket", "late", refused("NotAllowed"))
    assert accepted(team.get("VirtualBucket", "photos"))
    assert [one["name"] for one in config(namespace)[0]["buckets"]] == ["photos"]


def test_an_operator_for_one_namespace_says_that_it_cannot_see_labels(namespace: Namespace, starting: Operators) -> None:
    """It has no right to list namespaces, starts all the same, and serves its own."""
    serve(namespace, buckets={"namespaces": TENANTS})
    namespace.create(guest(namespace))
    starting.start()
    namespace.eventually("VirtualBucket", "photos", accepted)
    found = namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "AccessRestricted")[0] == "True")
    assert f"watches namespace {namespace.name} only" in why(found, "AccessRestricted")
    assert condition(found, "Accepted")[0] == "True"
    namespace.patch("S3Orchestrator", "main", {"spec": {"access": None}})
    namespace.eventually(
        "S3Orchestrator", "main", lambda found: condition(found, "Accepted")[0] == "True" and not why(found, "AccessRestricted")
    )


def test_beyond_a_limit_the_later_one_is_refused_until_the_limit_is_raised(namespace: Namespace, starting: Operators) -> None:
    serve(namespace, buckets={"limits": {"maxBuckets": 1, "maxCredentialsPerBucket": 1}})
    namespace.create(guest(namespace, "photos"))
    starting.start()
    namespace.eventually("VirtualBucket", "photos", accepted)
    namespace.create(guest(namespace, "music"))
    rejected = namespace.eventually("VirtualBucket", "music", refused("LimitExceeded"))
    assert "maxBuckets" in why(rejected)
    two: list[Object] = [{"name": name, "generate": {}} for name in ("default", "writer")]
    namespace.patch("S3Orchestrator", "main", {"spec": {"access": {"buckets": {"limits": {"maxBuckets": 2}}}}})
    namespace.eventually("VirtualBucket", "music", accepted)
    namespace.patch("VirtualBucket", "music", {"spec": {"credentials": two}})
    rejected = namespace.eventually("VirtualBucket", "music", refused("LimitExceeded"))
    assert "maxCredentialsPerBucket" in why(rejected)
    namespace.patch("S3Orchestrator", "main", {"spec": {"access": {"buckets": {"limits": {"maxCredentialsPerBucket": 2}}}}})
    namespace.eventually("VirtualBucket", "music", accepted)
    namespace.patch(
        "S3Orchestrator", "main", {"spec": {"access": {"buckets": {"limits": {"maxBuckets": 0, "maxCredentialsPerBucket": 1}}}}}
    )
    namespace.create(guest(namespace, "third"))
    namespace.eventually("VirtualBucket", "third", refused("LimitExceeded"))
    assert [one["name"] for one in config(namespace)[0]["buckets"]] == ["music", "photos"]


def test_of_two_namespaces_that_want_a_name_or_a_key_the_later_loses_and_heals(
    namespace: Namespace, team: Namespace, for_all: Operators
) -> None:
    serve(namespace, buckets={"namespaces": {"from": "All"}})
    by_name = [{"name": "app", "secretRef": {"name": "keys"}}]
    namespace.create(resources.key_pair("keys", "SAME", "one"))
    team.create(resources.key_pair("keys", "SAME", "other"))
    namespace.create(guest(namespace, "photos", credentials=by_name))
    for_all.start()
    namespace.eventually("VirtualBucket", "photos", accepted)
    team.create(guest(namespace, "photos"))
    team.create(guest(namespace, "music", credentials=by_name))
    loser = team.eventually("VirtualBucket", "photos", refused("BucketNameConflict"))
    assert f"VirtualBucket {namespace.name}/photos" in why(loser)
    assert team.get("Secret", "photos") is None
    loser = team.eventually("VirtualBucket", "music", refused("AccessKeyConflict"))
    assert "shh" not in why(loser)
    team.patch("Secret", "keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": "one"}})
    team.eventually("VirtualBucket", "music", accepted)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (None, "SecretNotFound"),
        (resources.secret("keys", AWS_ACCESS_KEY_ID="only"), "SecretKeyNotFound"),
        (resources.key_pair("keys", secret_access_key="with a\nline break"), "SecretKeyInvalid"),
    ],
)
def test_a_wrong_reference_is_reported_and_heals(secret: Object | None, reason: str, namespace: Namespace, starting: Operators) -> None:
    serve(namespace)
    if secret is not None:
        namespace.create(secret)
    namespace.create(guest(namespace, credentials=[{"name": "app", "secretRef": {"name": "keys"}}]))
    starting.start()
    rejected = namespace.eventually("VirtualBucket", "photos", refused(reason))
    assert f"{namespace.name}/keys" in why(rejected)
    namespace.cluster.apply(resources.key_pair("keys"), namespace.name)
    namespace.eventually("VirtualBucket", "photos", accepted)
