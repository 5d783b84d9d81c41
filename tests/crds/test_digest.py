"""The digest is the same for the same config and secrets, and differs with any change to either."""

from __future__ import annotations

import hashlib
import json

import pytest

from s3o_crds.compiled import BackendConfig, DatabaseConfig, FleetConfig, ServerConfig
from s3o_crds.digest import canonical_json, digest_of, digest_of_document

BACKEND = BackendConfig(
    name="one",
    endpoint="http://localhost",
    region="us-east-1",
    bucket="data",
    access_key_id="default/k/id",
    secret_access_key="default/k/secret",
)
CONFIG = FleetConfig(name="main", generation=3, backends=(BACKEND,))
SECRETS = {"default/k/id": "id", "default/k/secret": "shh"}


def test_it_is_the_sha256_of_canonical_json_with_the_sha256_of_each_secret() -> None:
    fields = CONFIG.model_dump(mode="json", by_alias=True)
    del fields["digest"], fields["database"]
    secrets = {ref: hashlib.sha256(value.encode()).hexdigest() for ref, value in SECRETS.items()}
    canonical = json.dumps({"config": fields, "secrets": secrets}, sort_keys=True, separators=(",", ":"))
    assert digest_of(CONFIG, SECRETS) == hashlib.sha256(canonical.encode()).hexdigest()


def test_it_does_not_depend_on_itself_nor_on_the_order_of_secrets() -> None:
    assert digest_of(CONFIG.model_copy(update={"digest": "x"}), dict(reversed(SECRETS.items()))) == digest_of(CONFIG, SECRETS)


def test_it_survives_the_way_through_json() -> None:
    assert digest_of(FleetConfig.model_validate_json(CONFIG.model_dump_json(by_alias=True)), SECRETS) == digest_of(CONFIG, SECRETS)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 4},
        {"name": "other"},
        {"routing_strategy": "Spread"},
        {"server": ServerConfig(region="eu-1")},
        {"backends": ()},
        {"backends": (BACKEND, BACKEND)},
    ],
)
def test_any_change_of_the_config_changes_it(change: dict[str, object]) -> None:
    assert digest_of(CONFIG.model_copy(update=change), SECRETS) != digest_of(CONFIG, SECRETS)


@pytest.mark.parametrize("secrets", [{}, SECRETS | {"default/k/secret": "new"}, SECRETS | {"default/k/more": "x"}])
def test_any_change_of_a_secret_changes_it(secrets: dict[str, str]) -> None:
    assert digest_of(CONFIG, secrets) != digest_of(CONFIG, SECRETS)


def test_canonical_json_is_sorted_compact_and_utf_8() -> None:
    assert canonical_json({"b": [1, {"d": "é", "c": None}], "a": True}) == '{"a":true,"b":[1,{"c":null,"d":"é"}]}'.encode()


def test_fields_that_the_models_do_not_have_belong_to_the_digest_of_the_document() -> None:
    document = CONFIG.model_dump(mode="json", by_alias=True)
    assert digest_of_document(document, SECRETS) == digest_of(CONFIG, SECRETS)
    assert digest_of_document(document | {"ofANewerCompiler": 1}, SECRETS) != digest_of(CONFIG, SECRETS)


def test_the_database_and_what_only_it_names_are_left_out() -> None:
    elsewhere = CONFIG.model_copy(update={"database": DatabaseConfig(driver="Postgres", password="default/db/password")})
    assert digest_of(elsewhere, SECRETS | {"default/db/password": "old"}) == digest_of(CONFIG, SECRETS)
    assert digest_of(elsewhere, SECRETS | {"default/db/password": "new"}) == digest_of(CONFIG, SECRETS)
    shared = CONFIG.model_copy(update={"database": DatabaseConfig(driver="Postgres", password="default/k/secret")})
    assert digest_of(shared, SECRETS | {"default/k/secret": "new"}) != digest_of(shared, SECRETS)
