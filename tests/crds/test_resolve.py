"""One resource becomes its part of the config: units, defaults, provider flags, secrets."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from tests.support import resources
from tests.support.resources import Document

from s3o_crds.compiled import BackendConfig, DatabaseConfig, ServerConfig, TLSConfig
from s3o_crds.parse import InvalidResource, Secret, parse_resource
from s3o_crds.providers import NEEDS_REGION, PRESETS, Provider
from s3o_crds.resolve import Refused, SecretBook, SecretReader, physical_location, resolve_backend, resolve_database, resolve_server
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PRIVATE_KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n"


def reader(*documents: Document) -> SecretReader:
    secrets = [parse_resource(document) for document in [*documents, resources.key_pair("backend-keys")]]
    return SecretReader(SecretBook(one for one in secrets if isinstance(one, Secret)), "default")


def backend(**spec: Any) -> StorageBackend:
    resource = parse_resource(resources.backend(**spec))
    assert isinstance(resource, StorageBackend)
    return resource


def orchestrator(**spec: Any) -> S3Orchestrator:
    resource = parse_resource(resources.orchestrator(**spec))
    assert isinstance(resource, S3Orchestrator)
    return resource


def resolved(**spec: Any) -> BackendConfig:
    return resolve_backend(backend(**spec), reader())


def test_sizes_become_bytes_and_durations_milliseconds() -> None:
    config = resolved(quota={"bytes": "20Gi", "maxObjectSize": "50Mi"}, timeouts={"request": "1m30s", "stall": "500ms"})
    assert (config.quota_bytes, config.max_object_size_bytes) == (20 * 2**30, 50 * 2**20)
    assert (config.request_timeout_ms, config.stall_timeout_ms) == (90_000, 500)


@pytest.mark.parametrize("quota", [{}, {"bytes": 0, "maxObjectSize": 0}, {"bytes": "0Gi", "maxObjectSize": "0"}])
def test_no_quota_and_zero_both_mean_unlimited(quota: Document) -> None:
    config = resolved(quota=quota)
    assert (config.quota_bytes, config.max_object_size_bytes) == (None, None)


def test_zero_bytes_allow_any_largest_object() -> None:
    assert resolved(quota={"bytes": 0, "maxObjectSize": "1Gi"}).max_object_size_bytes == 2**30


@pytest.mark.parametrize("provider", get_args(Provider))
def test_every_provider_has_a_preset_that_is_resolved(provider: Provider) -> None:
    region = {"region": "eu-1"} if provider in NEEDS_REGION else {}
    config, preset = resolved(provider=provider, **region), PRESETS[provider]
    assert config.region == region.get("region", preset.region)
    flags = (config.force_path_style, config.unsigned_payload, config.etag_is_md5, config.verifies_content_md5)
    assert flags == (preset.force_path_style, preset.unsigned_payload, preset.etag_is_md5, preset.verifies_content_md5)


def test_presets_promise_nothing_for_an_unknown_server() -> None:
    assert (PRESETS["Generic"].etag_is_md5, PRESETS["Generic"].verifies_content_md5) == (False, False)
    assert not PRESETS["OCI"].etag_is_md5


@pytest.mark.parametrize("flag", [True, False])
def test_the_spec_wins_over_the_preset(flag: bool) -> None:
    for provider in ("Generic", "MinIO"):
        config = resolved(provider=provider, region="there", forcePathStyle=flag, unsignedPayload=flag, etagIsMD5=flag)
        assert (config.region, config.force_path_style, config.unsigned_payload, config.etag_is_md5) == ("there", flag, flag, flag)


def test_a_provider_whose_signature_needs_the_true_region_must_be_told() -> None:
    assert NEEDS_REGION == ("AWS", "OCI", "B2", "Wasabi")
    with pytest.raises(InvalidResource, match="region is needed with the providers AWS, OCI, B2, Wasabi"):
        backend(provider="AWS")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://s3.example.com", "https://S3.EXAMPLE.com:443"),
        ("http://s3.example.com", "https://s3.example.com"),
        ("http://minio:9000", "https://minio:9000"),
        ("https://s3.amazonaws.com", "https://s3.eu-central-1.amazonaws.com"),
    ],
)
def test_two_ways_to_write_one_place(one: str, other: str) -> None:
    assert physical_location(one, "data") == physical_location(other, "data")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("http://127.0.0.1:9101", "data"), ("http://127.0.0.1:9102", "data")),
        (("https://a.example.com", "data"), ("https://b.example.com", "data")),
        (("https://a.example.com", "data"), ("https://a.example.com", "Data")),
    ],
)
def test_two_places(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert physical_location(*one) != physical_location(*other)


def test_the_server_is_resolved_field_by_field() -> None:
    server = {
        "region": "eu-north-1",
        "logLevel": "debug",
        "maxObjectSize": "1Gi",
        "maxConcurrentRequests": 7,
        "readHeaderTimeout": "1s",
        "stallTimeout": "2s",
        "idleTimeout": "3s",
        "shutdownDelay": "4s",
        "shutdownGrace": "5s",
        "locationCache": {"maxAge": "6s", "maxEntries": 8},
        "presignedSigV2": True,
        "virtualHostDomain": "s3.example.com",
        "tls": {"secretName": "tls", "minVersion": "1.3"},
    }
    secrets = reader(resources.secret("tls", **{"tls.crt": CERTIFICATE, "tls.key": PRIVATE_KEY}))
    assert resolve_server(orchestrator(server=server), secrets) == ServerConfig(
        region="eu-north-1",
        log_level="debug",
        max_object_size_bytes=2**30,
        max_concurrent_requests=7,
        header_timeout_ms=1000,
        stall_timeout_ms=2000,
        idle_timeout_ms=3000,
        shutdown_delay_ms=4000,
        shutdown_grace_ms=5000,
        location_max_age_ms=6000,
        max_locations=8,
        allow_presigned_sig_v2=True,
        virtual_host_domain="s3.example.com",
        tls=TLSConfig(certificate="default/tls/tls.crt", private_key="default/tls/tls.key", min_version="1.3"),
    )
    assert secrets.values == {"default/tls/tls.crt": CERTIFICATE, "default/tls/tls.key": PRIVATE_KEY}


@pytest.mark.parametrize(("certificate", "key"), [(PRIVATE_KEY, PRIVATE_KEY), (CERTIFICATE, CERTIFICATE), (CERTIFICATE, "key")])
def test_what_is_no_certificate_or_key_is_refused(certificate: str, key: str) -> None:
    secrets = reader(resources.secret("tls", **{"tls.crt": certificate, "tls.key": key}))
    with pytest.raises(Refused, match="in PEM"):
        resolve_server(orchestrator(server={"tls": {"secretName": "tls"}}), secrets)


def test_postgres_by_fields() -> None:
    database = {
        "driver": "Postgres",
        "host": "pg-rw.storage.svc",
        "port": 5433,
        "database": "s3",
        "user": "proxy",
        "passwordSecretRef": {"name": "pg", "key": "password"},
        "sslMode": "verify-full",
        "caSecretRef": {"name": "pg"},
    }
    secrets = reader(resources.secret("pg", **{"password": "correct horse", "ca.crt": CERTIFICATE}))
    assert resolve_database(orchestrator(database=database), secrets) == DatabaseConfig(
        driver="Postgres",
        host="pg-rw.storage.svc",
        port=5433,
        database="s3",
        user="proxy",
        password="default/pg/password",
        ssl_mode="verify-full",
        ca="default/pg/ca.crt",
    )
    assert secrets.values["default/pg/password"] == "correct horse"


def test_postgres_by_uri() -> None:
    secrets = reader(resources.secret("pg", uri="postgresql://proxy:pw@pg/s3"))
    database = {"driver": "Postgres", "uriSecretRef": {"name": "pg", "key": "uri"}}
    assert resolve_database(orchestrator(database=database, proxy={"replicas": 3}), secrets) == DatabaseConfig(
        driver="Postgres", uri="default/pg/uri"
    )


def test_sqlite_by_path() -> None:
    assert resolve_database(orchestrator(database={"path": "/data/s3o.db"}), reader()) == DatabaseConfig(path="/data/s3o.db")
