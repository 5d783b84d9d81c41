"""A document becomes a model, or an error that names every wrong field and repeats no value."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
import yaml
from tests.support import resources
from tests.support.resources import REMOVED, changed

from s3o_crds.parse import InvalidResource, Secret, UnknownKind, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket


def problems(document: object) -> list[str]:
    with pytest.raises(InvalidResource) as caught:
        parse_resource(document)
    return caught.value.problems


def test_each_kind_becomes_its_model() -> None:
    assert isinstance(parse_resource(resources.orchestrator()), S3Orchestrator)
    assert isinstance(parse_resource(resources.backend()), StorageBackend)
    assert isinstance(parse_resource(resources.bucket()), VirtualBucket)
    assert isinstance(parse_resource(resources.secret("keys", token="x")), Secret)


def test_defaults_are_filled_in() -> None:
    backend = parse_resource(resources.backend(timeouts={}))
    assert isinstance(backend, StorageBackend)
    assert (backend.namespace, backend.backend_name, backend.spec.order, backend.spec.state) == ("default", "one", 100, "Active")
    assert backend.spec.credentials_secret_ref.access_key_id_key == "AWS_ACCESS_KEY_ID"
    assert backend.spec.timeouts is not None
    assert backend.spec.timeouts.stall.ms == 30_000


def test_every_problem_is_named_by_its_path() -> None:
    document = changed(
        resources.backend(order="10", quota={"bytes": "lots"}, timeouts={"stall": "0s"}, bucke="typo", state="Drained"),
        {"spec.endpoint": REMOVED, "spec.credentialsSecretRef.name": 7},
    )
    assert sorted(problems(document)) == [
        "spec.bucke: is not a field of this kind",
        "spec.credentialsSecretRef.name: must be text (in YAML: between quotes)",
        "spec.endpoint: is required",
        "spec.order: must be a whole number",
        "spec.quota.bytes: is not a size such as 20Gi, 500M or 1048576",
        "spec.state: must be 'Active', 'Cordoned' or 'Draining'",
        "spec.timeouts.stall: must be more than 0",
    ]


def test_rules_between_fields_are_named_by_their_field_and_all_at_once() -> None:
    document = resources.orchestrator(database={"driver": "Postgres", "path": "x.db"}, proxy={"replicas": 3})
    assert sorted(problems(document)) == [
        "spec.database.path: path goes with driver SQLite only",
        "spec.database: driver Postgres needs uriSecretRef, or host, database and user",
    ]


def test_members_of_lists_are_named_by_number() -> None:
    document = resources.bucket(credentials=[{"name": "app", "secretRef": {"name": "keys"}}, {"name": "Other", "secretRef": {}}])
    assert problems(document) == [
        "spec.credentials[1].name: must match pattern '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
        "spec.credentials[1].secretRef.name: is required",
    ]


def test_a_list_that_is_a_map_has_no_two_members_of_one_name() -> None:
    twice = [{"name": "app", "secretRef": {"name": "keys"}}] * 2
    assert problems(resources.bucket(credentials=twice)) == ["spec.credentials: name must be unique: app stands here more than once"]


def test_the_error_names_kind_and_object() -> None:
    with pytest.raises(InvalidResource, match=r"^StorageBackend one: spec\.bucket: is required$") as caught:
        parse_resource(resources.backend(bucket=REMOVED))
    assert (caught.value.kind, caught.value.name) == ("StorageBackend", "one")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "is not a mapping"),
        ("text", "is not a mapping"),
        ([{}], "is not a mapping"),
        ({}, "kind: is missing"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "kind: must be one of S3Orchestrator, StorageBackend, VirtualBucket, Secret"),
        ({"apiVersion": 1, "kind": ["Secret"]}, "kind: must be one of"),
        (
            resources.backend() | {"apiVersion": "s3orchestrator.io/v2"},
            "apiVersion: must be s3orchestrator.io/v1alpha1 for a StorageBackend",
        ),
        (resources.secret("x") | {"apiVersion": "v2"}, "apiVersion: must be v1 for a Secret"),
        (resources.backend() | {"metadata": "one"}, "metadata: must be a mapping"),
        (resources.backend() | {"spec": None}, "spec: must be a mapping"),
        (resources.backend() | {"metadata": {}}, "metadata.name: is required"),
        (resources.backend() | {"spce": {}}, "spce: is not a field of this kind"),
    ],
)
def test_what_is_no_resource_of_ours_says_why(document: object, problem: str) -> None:
    assert any(problem in one for one in problems(document))


def test_a_kind_that_is_not_read_here_is_told_apart() -> None:
    with pytest.raises(UnknownKind):
        parse_resource({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"})


@pytest.mark.parametrize("oddity", [{"a"}, object(), float("nan"), b"bytes", {("a", "b"): 1}])
def test_what_yaml_can_say_and_json_cannot_is_refused(oddity: object) -> None:
    assert problems(resources.backend(region=oddity))


def test_a_document_that_contains_itself_is_refused() -> None:
    document = resources.backend()
    document["spec"]["quota"] = document
    assert problems(document)


def test_the_age_is_read_however_it_is_written() -> None:
    for written in ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)):
        backend = parse_resource(changed(resources.backend(), {"metadata.creationTimestamp": written}))
        assert backend.metadata.creation_timestamp == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_metadata_and_status_of_kubernetes_are_not_ours_to_judge() -> None:
    metadata = {"name": "one", "labels": {"a": "b"}, "managedFields": [{"manager": "kubectl"}], "uid": "u", "generation": 3}
    document = resources.backend() | {"metadata": metadata, "status": {"phase": "SomethingNewer", "conditions": 7}}
    assert parse_resource(document).name == "one"


class TestSecret:
    def test_plain_and_encoded_values_are_read_and_plain_ones_win(self) -> None:
        encoded = base64.b64encode(b"\xff\x00").decode()
        document = resources.secret("keys", both="plain") | {"data": {"binary": encoded, "both": "c2hh"}}
        secret = parse_resource(document)
        assert isinstance(secret, Secret)
        assert secret.values == {"binary": b"\xff\x00", "both": b"plain"}

    def test_neither_is_needed(self) -> None:
        secret = parse_resource({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty"}})
        assert isinstance(secret, Secret)
        assert secret.values == {}

    def test_what_is_no_base64_is_refused(self) -> None:
        document = resources.secret("keys") | {"data": {"password": "hunter2!"}}
        assert problems(document) == ["data.password: is not base64; plain text goes under stringData"]

    def test_a_number_is_no_text(self) -> None:
        document = yaml.safe_load("{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {pin: 12345678}}")
        assert problems(document) == ["stringData.pin: must be text (in YAML: between quotes)"]

    def test_a_typing_error_is_no_silent_loss(self) -> None:
        assert problems(resources.secret("keys") | {"stringdata": {"a": "b"}}) == ["stringdata: is not a field of this kind"]

    def test_no_value_is_shown(self) -> None:
        good = parse_resource(resources.secret("keys", password="hunter2"))
        assert "hunter2" not in f"{good!r} {good}"
        misplaced = {"data": "hunter2", "stringData": ["hunter2"], "type": ["hunter2"], "metadata": {"name": "hunter2 is no name"}}
        for field, value in misplaced.items():
            with pytest.raises(InvalidResource) as caught:
                parse_resource({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}} | {field: value})
            assert "hunter2" not in json.dumps(caught.value.problems)
            assert caught.value.__cause__ is None
