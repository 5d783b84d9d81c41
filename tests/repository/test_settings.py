"""Every field that a user can write is described, and changes what a proxy is given. A field that changes nothing must not exist."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.support import operator_fields, resources
from tests.support.contract import KINDS, spec_fields
from tests.support.repository import inline_code

from s3o_crds.compile import compile  # noqa: A004  the name that the design gives it; the builtin is not used here
from s3o_crds.parse import Secret, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket

PEM = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"
POSTGRES = {"driver": "Postgres", "host": "h", "database": "d", "user": "u"}
BY_URI = {"driver": "Postgres", "uriSecretRef": {"name": "db", "key": "uri"}}

Change = tuple[dict[str, Any], object]
"""What must stand beside the field, by path, and the value that it gets."""

CHANGES: dict[str, dict[str, Change]] = {
    "S3Orchestrator": {
        "spec.server.region": ({}, "eu-west-1"),
        "spec.server.logLevel": ({}, "debug"),
        "spec.server.maxObjectSize": ({}, "1Gi"),
        "spec.server.maxConcurrentRequests": ({}, 7),
        "spec.server.readHeaderTimeout": ({}, "7s"),
        "spec.server.stallTimeout": ({}, "7s"),
        "spec.server.idleTimeout": ({}, "7s"),
        "spec.server.shutdownDelay": ({}, "7s"),
        "spec.server.shutdownGrace": ({}, "7s"),
        "spec.server.locationCache.maxAge": ({}, "7s"),
        "spec.server.locationCache.maxEntries": ({"spec.server.locationCache.maxAge": "7s"}, 7),
        "spec.server.presignedSigV2": ({}, True),
        "spec.server.virtualHostDomain": ({}, "s3.example.com"),
        "spec.server.tls.secretName": ({}, "tls"),
        "spec.server.tls.minVersion": ({"spec.server.tls": {"secretName": "tls"}}, "1.3"),
        "spec.database.driver": ({"spec.database": BY_URI}, "Postgres"),
        "spec.database.path": ({}, "elsewhere.db"),
        "spec.database.host": ({"spec.database": POSTGRES}, "other"),
        "spec.database.port": ({"spec.database": POSTGRES}, 6432),
        "spec.database.database": ({"spec.database": POSTGRES}, "other"),
        "spec.database.user": ({"spec.database": POSTGRES}, "other"),
        "spec.database.sslMode": ({"spec.database": POSTGRES}, "require"),
        "spec.database.passwordSecretRef.name": ({"spec.database": POSTGRES | {"passwordSecretRef": {"name": "db", "key": "one"}}}, "db2"),
        "spec.database.passwordSecretRef.key": ({"spec.database": POSTGRES | {"passwordSecretRef": {"name": "db", "key": "one"}}}, "two"),
        "spec.database.uriSecretRef.name": ({"spec.database": BY_URI}, "db2"),
        "spec.database.uriSecretRef.key": ({"spec.database": BY_URI}, "two"),
        "spec.database.caSecretRef.name": ({"spec.database": POSTGRES}, "ca"),
        "spec.database.caSecretRef.key": ({"spec.database": POSTGRES | {"caSecretRef": {"name": "ca"}}}, "other.crt"),
        "spec.routing.strategy": ({}, "Spread"),
        "spec.cleanup.concurrency": ({}, 3),
        "spec.cleanup.multipartStaleTimeout": ({}, "1h"),
    },
    "StorageBackend": {
        "spec.orchestratorRef.name": ({}, "other"),
        "spec.orchestratorRef.namespace": ({}, "elsewhere"),
        "spec.backendName": ({}, "other"),
        "spec.order": ({}, 7),
        "spec.state": ({}, "Cordoned"),
        "spec.provider": ({"spec.region": "r"}, "AWS"),
        "spec.endpoint": ({}, "https://other.example.com"),
        "spec.region": ({}, "eu-west-1"),
        "spec.bucket": ({}, "other"),
        "spec.credentialsSecretRef.name": ({}, "db2"),
        "spec.credentialsSecretRef.accessKeyIdKey": ({}, "one"),
        "spec.credentialsSecretRef.secretAccessKeyKey": ({}, "one"),
        "spec.caSecretRef.name": ({}, "ca"),
        "spec.caSecretRef.key": ({"spec.caSecretRef": {"name": "ca"}}, "other.crt"),
        "spec.forcePathStyle": ({}, False),
        "spec.unsignedPayload": ({}, False),
        "spec.etagIsMD5": ({}, True),
        "spec.quota.bytes": ({}, "1Gi"),
        "spec.quota.maxObjectSize": ({}, "1Mi"),
        "spec.timeouts.request": ({}, "7s"),
        "spec.timeouts.stall": ({}, "7s"),
    },
    "VirtualBucket": {
        "spec.orchestratorRef.name": ({}, "other"),
        "spec.orchestratorRef.namespace": ({}, "elsewhere"),
        "spec.bucketName": ({}, "other"),
        "spec.maxMultipartUploads": ({}, 7),
        "spec.credentials[].name": ({}, "other"),
        "spec.credentials[].type": ({}, "Token"),
        "spec.credentials[].secretRef.name": ({}, "db2"),
        "spec.credentials[].secretRef.accessKeyIdKey": ({}, "one"),
        "spec.credentials[].secretRef.secretAccessKeyKey": ({}, "one"),
        "spec.credentials[].secretRef.tokenKey": ({"spec.credentials[].type": "Token"}, "one"),
    },
}

_SELECTORS = {
    f"spec.access.{kind}.namespaces.{field}"
    for kind in ("backends", "buckets")
    for field in (
        *("from", "selector.matchLabels"),
        *(f"selector.matchExpressions[].{field}" for field in ("key", "operator", "values")),
    )
}

FOR_THE_OPERATOR = {
    "S3Orchestrator": {
        "spec.suspend",
        *operator_fields.PATHS,
        *("spec.access.buckets.limits.maxBuckets", "spec.access.buckets.limits.maxCredentialsPerBucket"),
        *_SELECTORS,
    },
    "StorageBackend": {"spec.deletionPolicy"},
    "VirtualBucket": {
        "spec.deletionPolicy",
        *(f"spec.credentials[].secretTemplate.{field}" for field in ("name", "labels", "annotations", "keys")),
        "spec.credentials[].rotation.gracePeriod",
    },
}
"""Nothing in one process: how many there are, who of others may attach, what Kubernetes gives them, and what is done when one goes."""

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "token": "token", "uri": "uri", "one": "one", "two": "two"}

SECRETS = [
    resources.secret(name, **{key: f"{value}-of-{name}" for key, value in KEYS.items()})
    for name in ("backend-keys", "photos-keys", "db", "db2")
]
SECRETS.append(resources.secret("tls", **{"tls.crt": PEM.format("CERTIFICATE"), "tls.key": PEM.format("PRIVATE KEY")}))
SECRETS.append(resources.secret("ca", **{"ca.crt": PEM.format("CERTIFICATE"), "other.crt": PEM.format("CERTIFICATE") * 2}))


def set_path(document: dict[str, Any], path: str, value: object) -> None:
    *sections, last = path.replace("[]", ".0").split(".")
    target: Any = document
    for section in sections:
        target = target[int(section)] if isinstance(target, list) else target.setdefault(section, {})
    target[last] = copy.deepcopy(value)


def given_to_a_proxy(documents: dict[str, dict[str, Any]]) -> object:
    parsed = {kind: parse_resource(document) for kind, document in documents.items()}
    orchestrator, backend, bucket = parsed["S3Orchestrator"], parsed["StorageBackend"], parsed["VirtualBucket"]
    assert isinstance(orchestrator, S3Orchestrator)
    assert isinstance(backend, StorageBackend)
    assert isinstance(bucket, VirtualBucket)
    secrets = [secret for document in SECRETS if isinstance(secret := parse_resource(document), Secret)]
    compilation = compile(orchestrator, [backend], [bucket], secrets)
    return compilation.config, dict(compilation.secret_values)


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, changes in CHANGES.items() for path in changes])
def test_a_field_changes_what_a_proxy_is_given(kind: str, path: str) -> None:
    beside, value = CHANGES[kind][path]
    documents = {
        "S3Orchestrator": resources.orchestrator(),
        "StorageBackend": resources.backend(),
        "VirtualBucket": resources.bucket(),
    }
    # A driver is chosen together with what it needs, so the state before is the default one.
    for neighbour, neighbours_value in beside.items() if path != "spec.database.driver" else ():
        set_path(documents[kind], neighbour, neighbours_value)
    before = given_to_a_proxy(documents)
    for neighbour, neighbours_value in beside.items():
        set_path(documents[kind], neighbour, neighbours_value)
    set_path(documents[kind], path, value)
    assert given_to_a_proxy(documents) != before, f"nobody reads {path} of {kind}: read it in crds/src/s3o_crds/resolve.py, or drop it"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_asked_what_it_changes(kind: type[S3Orchestrator | StorageBackend | VirtualBucket]) -> None:
    leaves = {path for path, is_leaf in spec_fields(kind) if is_leaf}
    asked = CHANGES[kind.__name__].keys() | FOR_THE_OPERATOR.get(kind.__name__, set())
    assert leaves == asked, f"add to CHANGES: {leaves - asked}; take out: {asked - leaves}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_described(kind: type[S3Orchestrator | StorageBackend | VirtualBucket]) -> None:
    described = inline_code("docs/reference/api.md")
    missing = [path for path, _ in spec_fields(kind) if path not in described]
    assert not missing, f"make generate: {missing} are not in docs/reference/api.md"
