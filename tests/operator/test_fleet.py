"""Three kinds of resources become a fleet, on a real API server: what is made, what is reported, and that it stays so."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.support import resources
from tests.support.operators import IMAGE, Namespace, Object, Operators, condition

from s3o_crds.compiled import FleetConfig
from s3o_crds.digest import digest_of

POSTGRES = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}


@pytest.fixture
def fleet(namespace: Namespace, starting: Operators) -> Namespace:
    """A running operator, and an orchestrator with a backend and a bucket without credentials."""
    starting.start()
    namespace.cluster.apply([*backend_with_keys(), resources.orchestrator(), bucket_without_credentials()], namespace.name)
    return namespace


def backend_with_keys() -> list[Object]:
    return [resources.key_pair("backend-keys"), resources.backend()]


def bucket_without_credentials(name: str = "photos") -> Object:
    return resources.bucket(name, credentials=resources.REMOVED)


def values_of(secret: Object) -> dict[str, str]:
    return {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}


def config_of(secret: Object) -> tuple[FleetConfig, dict[str, str]]:
    values = values_of(secret)
    return FleetConfig.model_validate_json(values["config.json"]), json.loads(values["secrets.json"])


NOTHING_YET: Object = {"phase": "", "proxy": {"summary": ""}, "buckets": {"summary": "", "ready": 0}}


def reported(orchestrator: Object | None) -> Object:
    return (orchestrator or {}).get("status") or NOTHING_YET


def serves(bucket: str) -> Any:
    return lambda secret: secret is not None and bucket in [one.name for one in config_of(secret)[0].buckets]


def test_a_fleet_is_made_and_everything_becomes_ready(fleet: Namespace) -> None:
    config, values = config_of(fleet.eventually("Secret", "main-config", serves("photos")))
    assert config.digest == digest_of(config, values)
    assert [backend.name for backend in config.backends] == ["one"]
    deployment = fleet.eventually("Deployment", "main-proxy", lambda found: found is not None)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["args"] == ["serve", "/etc/s3o/config", "--listen", "0.0.0.0:9000"]
    fleet.eventually("Service", "main", lambda found: found is not None and found["spec"]["ports"][0]["port"] == 9000)
    assert fleet.get("PersistentVolumeClaim", "main-data")
    assert fleet.get("ServiceAccount", "main-proxy")
    assert fleet.get("PodDisruptionBudget", "main-proxy") is None
    waiting = fleet.eventually("S3Orchestrator", "main", lambda found: condition(found, "Reconciling") == ("True", "ProxiesNotReady"))
    assert waiting["status"]["phase"] == "Deploying"
    fleet.make_proxies_ready()
    for kind, name, phase in (
        ("S3Orchestrator", "main", "Ready"),
        ("StorageBackend", "one", "Ready"),
        ("VirtualBucket", "photos", "Bound"),
    ):
        found = fleet.eventually(kind, name, lambda found: condition(found, "Ready")[0] == "True")
        assert found["status"]["phase"] == phase
        assert condition(found, "Accepted")[0] == "True"
        assert (condition(found, "Reconciling")[0], condition(found, "Stalled")[0]) == ("False", "False")
    status = fleet.eventually("S3Orchestrator", "main", lambda found: reported(found)["buckets"]["summary"] == "1/1")["status"]
    assert (status["proxy"]["summary"], status["backends"]["summary"]) == ("1/1", "1/1")
    assert status["config"] == {"generation": config.generation, "digest": config.digest}


def test_an_application_gets_keys_that_the_proxies_know(fleet: Namespace) -> None:
    keys = values_of(fleet.eventually("Secret", "photos", lambda found: found is not None))
    config, values = config_of(fleet.eventually("Secret", "main-config", serves("photos")))
    (credential,) = config.buckets[0].credentials
    assert keys["AWS_ACCESS_KEY_ID"] == values[credential.access_key_id]
    assert keys["AWS_SECRET_ACCESS_KEY"] == values[credential.secret_access_key]
    assert f"aws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n" in keys["credentials"]
    where = fleet.eventually("ConfigMap", "photos", lambda found: found is not None)["data"]
    host = f"main.{fleet.name}.svc"
    assert where == {
        "BUCKET_HOST": host,
        "BUCKET_PORT": "9000",
        "BUCKET_NAME": "photos",
        "BUCKET_REGION": "us-east-1",
        "BUCKET_SUBREGION": "",
        "AWS_ENDPOINT_URL_S3": f"http://{host}:9000",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "S3_FORCE_PATH_STYLE": "true",
    }


def test_a_deleted_secret_comes_back_with_the_same_keys(fleet: Namespace) -> None:
    first = fleet.eventually("Secret", "photos", lambda found: found is not None)
    fleet.delete("Secret", "photos")
    again = fleet.eventually("Secret", "photos", lambda found: found is not None and found["metadata"]["uid"] != first["metadata"]["uid"])
    assert again["data"] == first["data"]


def test_a_lost_registry_learns_the_keys_from_the_applications_secret(fleet: Namespace) -> None:
    keys = fleet.eventually("Secret", "photos", lambda found: found is not None)["data"]
    registry = fleet.eventually("Secret", "main-registry", lambda found: found is not None)
    fleet.delete("Secret", "main-registry")
    again = fleet.eventually("Secret", "main-registry", lambda found: found is not None)
    assert again["data"] == registry["data"]
    assert fleet.get("Secret", "photos")["data"] == keys  # type: ignore[index]  # it is there


def test_a_secret_of_somebody_else_is_never_overwritten(namespace: Namespace, starting: Operators) -> None:
    namespace.cluster.apply([resources.secret("photos", mine="yes"), *backend_with_keys()], namespace.name)
    namespace.cluster.apply([resources.orchestrator(), bucket_without_credentials()], namespace.name)
    starting.start()
    namespace.eventually("VirtualBucket", "photos", lambda found: condition(found, "Accepted") == ("False", "SecretConflict"))
    assert values_of(namespace.get("Secret", "photos") or {}) == {"mine": "yes"}
    namespace.delete("Secret", "photos")
    namespace.eventually("Secret", "photos", lambda found: found is not None and "AWS_ACCESS_KEY_ID" in found["data"])


@pytest.mark.parametrize("kind", ["ConfigMap", "Service"])
def test_an_object_of_somebody_else_under_a_childs_name_is_left_alone(kind: str, namespace: Namespace, starting: Operators) -> None:
    name = {"ConfigMap": "photos", "Service": "main"}[kind]
    foreign: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": {"mine": "yes"}}}
    foreign |= {"spec": {"ports": [{"port": 1}]}} if kind == "Service" else {"data": {"mine": "yes"}}
    namespace.cluster.apply(foreign, namespace.name)
    before = namespace.get(kind, name)
    namespace.cluster.apply([*backend_with_keys(), resources.orchestrator(), bucket_without_credentials()], namespace.name)
    starting.start()
    namespace.make_proxies_ready()
    who = ("VirtualBucket", "photos") if kind == "ConfigMap" else ("S3Orchestrator", "main")
    namespace.eventually(*who, lambda found: condition(found, "Stalled") == ("True", "NameConflict"))
    assert namespace.get(kind, name) == before


@pytest.mark.parametrize(
    ("kind", "name", "damage"),
    [
        ("Deployment", "main-proxy", {"spec": {"replicas": 0}}),
        ("Service", "main", {"spec": {"selector": {"app.kubernetes.io/instance": "other"}}}),
        ("Secret", "main-config", {"data": {"config.json": "e30="}}),
        ("ConfigMap", "photos", {"data": {"BUCKET_NAME": "other"}}),
        ("ServiceAccount", "main-proxy", {"automountServiceAccountToken": True}),
    ],
)
def test_a_child_that_is_edited_or_deleted_comes_back(kind: str, name: str, damage: Object, fleet: Namespace) -> None:
    fleet.eventually("Secret", "main-config", serves("photos"))
    child = fleet.eventually(kind, name, lambda found: found is not None)
    wanted = {section: child[section] for section in damage}
    fleet.patch(kind, name, damage)
    fleet.eventually(kind, name, lambda found: {section: found[section] for section in damage} == wanted)
    fleet.delete(kind, name)
    fleet.eventually(kind, name, lambda found: found is not None and found["metadata"]["uid"] != child["metadata"]["uid"])


def test_a_rotated_secret_is_a_new_generation_and_nothing_else_is(fleet: Namespace) -> None:
    before, _ = config_of(fleet.eventually("Secret", "main-config", serves("photos")))
    fleet.patch("Secret", "backend-keys", {"stringData": {"AWS_SECRET_ACCESS_KEY": "rotated"}})
    ref = before.backends[0].secret_access_key
    changed = fleet.eventually("Secret", "main-config", lambda found: config_of(found)[1][ref] == "rotated")
    assert config_of(changed)[0].generation == before.generation + 1
    fleet.delete("Secret", "main-config")
    again = fleet.eventually(
        "Secret", "main-config", lambda found: found is not None and found["metadata"]["uid"] != changed["metadata"]["uid"]
    )
    assert again["data"] == changed["data"]


def test_one_bad_resource_never_stops_the_others(fleet: Namespace) -> None:
    orphan = resources.changed(bucket_without_credentials("orphan"), {"spec.orchestratorRef.name": "nobody"})
    bad = resources.changed(resources.backend("bad"), {"spec.credentialsSecretRef.name": "missing"})
    fleet.cluster.apply([bad, orphan, bucket_without_credentials("music")], fleet.name)
    fleet.eventually("Secret", "main-config", serves("music"))
    rejected = fleet.eventually("StorageBackend", "bad", lambda found: condition(found, "Accepted") == ("False", "SecretNotFound"))
    assert condition(rejected, "Stalled")[0] == "True"
    fleet.eventually("VirtualBucket", "orphan", lambda found: condition(found, "Accepted") == ("False", "OrchestratorNotFound"))
    fleet.cluster.apply(resources.key_pair("missing"), fleet.name)
    fleet.eventually("StorageBackend", "bad", lambda found: condition(found, "Accepted")[0] == "True")


def test_several_proxies_over_postgres_have_a_budget_and_no_volume(namespace: Namespace, starting: Operators) -> None:
    orchestrator = resources.orchestrator(database=POSTGRES, proxy={"replicas": 3})
    namespace.cluster.apply([*backend_with_keys(), orchestrator], namespace.name)
    starting.start()
    budget = namespace.eventually("PodDisruptionBudget", "main-proxy", lambda found: found is not None)
    assert budget["spec"]["maxUnavailable"] == 1
    assert namespace.get("PersistentVolumeClaim", "main-data") is None
    namespace.make_proxies_ready()
    namespace.eventually("S3Orchestrator", "main", lambda found: reported(found)["proxy"]["summary"] == "3/3")
    namespace.patch("S3Orchestrator", "main", {"spec": {"proxy": {"replicas": 1}}})
    namespace.eventually("PodDisruptionBudget", "main-proxy", lambda found: found is None)
    namespace.eventually("Deployment", "main-proxy", lambda found: found["spec"]["replicas"] == 1)


def test_what_has_settled_is_not_written_again(fleet: Namespace, starting: Operators) -> None:
    fleet.make_proxies_ready()
    fleet.eventually("VirtualBucket", "photos", lambda found: condition(found, "Ready")[0] == "True")
    fleet.eventually(
        "S3Orchestrator", "main", lambda found: (found["status"]["phase"], found["status"]["buckets"]["ready"]) == ("Ready", 1)
    )
    before = fleet.versions()
    assert starting.started[0].stop() == 0
    # A new process knows nothing, lists everything, and finds it as it should be. What it does write shows it when it is done.
    starting.start()
    fleet.cluster.apply(resources.changed(bucket_without_credentials("late"), {"spec.orchestratorRef.name": "nobody"}), fleet.name)
    fleet.eventually("VirtualBucket", "late", lambda found: condition(found, "Accepted")[0] == "False")
    after = fleet.versions()
    after.pop("VirtualBucket late")
    assert after == before


def test_what_the_api_server_refuses_is_reported_and_restoring_the_old_spec_heals_it(fleet: Namespace) -> None:
    fleet.eventually("S3Orchestrator", "main", lambda found: condition(found, "Accepted")[0] == "True")
    fleet.patch("S3Orchestrator", "main", {"spec": {"database": {"driver": "SQLite", "volume": {"size": "9Gi"}}}})
    stalled = fleet.eventually("S3Orchestrator", "main", lambda found: condition(found, "Stalled") == ("True", "ApplyFailed"))
    assert "persistentvolumeclaims" in json.dumps(stalled["status"]["conditions"])
    fleet.patch("S3Orchestrator", "main", {"spec": {"database": None}})
    fleet.eventually("S3Orchestrator", "main", lambda found: condition(found, "Stalled")[0] == "False")
