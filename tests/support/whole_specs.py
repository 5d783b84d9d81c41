"""Specs of all kinds in which every field of the CRDs is set to something, a few per kind where fields exclude each other; and what a CRD's
schema says of any place in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.support import operator_fields, resources
from tests.support.resources import Document

from s3o_crds.kinds import KINDS

Path_ = tuple[str | int, ...]
"""From `spec` down: names of fields, and numbers of members of lists."""

CRDS = Path(__file__).parents[2] / "crds"
_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_KEY_PEM = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"


def secrets() -> list[Document]:
    """All that the specs name. Under `other-` and the name of a key is another value for the same purpose."""
    pair = {"AWS_ACCESS_KEY_ID": "id-one", "AWS_SECRET_ACCESS_KEY": "shh", "id": "id-two", "secret": "ssh"}
    kept = {
        "backend-keys": pair,
        "photos-keys": {name: f"photos-{value}" for name, value in pair.items()},
        "tokens": {"token": "open", "legacy": "sesame"},
        "ca": {"ca.crt": _PEM, "x.pem": _PEM},
        "pg": {"password": "p", "uri": "postgresql://a:b@db/s3o"},
        "tls": {"tls.crt": _PEM, "tls.key": _KEY_PEM},
        "main-tls": {"tls.crt": _PEM, "tls.key": _KEY_PEM},
        "more": {"one": "1"},
    }
    return [resources.secret(name, **values, **_others(values)) for name, values in kept.items()]


def _others(values: dict[str, str]) -> dict[str, str]:
    """Still what they must be: a certificate, a URI."""
    return {
        f"other-{name}": value.replace("MIIB", "MIIC").replace("@db", "@da") + ("x" * ("-" not in value)) for name, value in values.items()
    }


_SERVER: Document = {
    "region": "eu-1",
    "logLevel": "debug",
    "maxObjectSize": "1Ti",
    "maxConcurrentRequests": 7,
    "readHeaderTimeout": "11s",
    "stallTimeout": "31s",
    "idleTimeout": "121s",
    "shutdownDelay": "3s",
    "shutdownGrace": "6m",
    "locationCache": {"maxAge": "2s", "maxEntries": 7},
    "presignedSigV2": True,
    "virtualHostDomain": "s3.example.com",
    "tls": {"secretName": "tls", "minVersion": "1.3"},
}
_EXPRESSION = {"key": "team", "operator": "In", "values": ["a", "b"]}
_ACCESS: Document = {
    "namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "1", "b": "2"}, "matchExpressions": [_EXPRESSION]}}
}


def orchestrators() -> list[Document]:
    whole = operator_fields.spec(0)
    whole |= {
        "suspend": False,
        "server": _SERVER,
        "routing": {"strategy": "Spread"},
        "cleanup": {"concurrency": 3, "multipartStaleTimeout": "12h"},
        "access": {"backends": _ACCESS, "buckets": _ACCESS | {"limits": {"maxBuckets": 9, "maxCredentialsPerBucket": 8}}},
        "extraEnv": [{"name": "ONE", "value": "1"}, {"name": "TWO", "secretKeyRef": {"name": "more", "key": "one"}}],
    }
    whole["database"] |= {
        "port": 5433,
        "passwordSecretRef": {"name": "pg", "key": "password"},
        "sslMode": "require",
        "caSecretRef": {"name": "ca", "key": "x.pem"},
    }
    whole["image"]["pullSecrets"] = ["pull0", "pull1"]
    tolerant = {"podTemplate": {"spec": {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}, {"key": "b"}]}}}
    uri = {"driver": "Postgres", "uriSecretRef": {"name": "pg", "key": "uri"}, "caSecretRef": {"name": "ca"}}
    another = {
        "image": {"digest": "sha256:" + "0" * 64},
        "database": uri,
        "topology": "Split",
        "proxy": tolerant,
        "worker": tolerant,
        "networkPolicy": operator_fields.BLOCKS["networkPolicy"],
        **operator_fields.certificate_spec(0),
    }
    scaled = {**operator_fields.SCALED, "proxy": {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 30}}}
    embedded = {"database": {"driver": "SQLite", "path": "x.db", "volume": {"size": "9Gi", "storageClassName": "fast"}}}
    return [whole, another, scaled, embedded]


def backends() -> list[Document]:
    own: Document = resources.backend("one")["spec"]
    own |= {"backendName": "oci", "order": 7, "state": "Cordoned", "provider": "OCI", "region": "us-phoenix-1", "deletionPolicy": "Retain"}
    own |= {"forcePathStyle": True, "unsignedPayload": True, "etagIsMD5": True, "caSecretRef": {"name": "ca", "key": "x.pem"}}
    own |= {"quota": {"bytes": "20Gi", "maxObjectSize": "1Gi"}, "timeouts": {"request": "5s", "stall": "6s"}}
    own["orchestratorRef"] = {"name": "main", "namespace": "default"}
    own["credentialsSecretRef"] = {"name": "backend-keys", "accessKeyIdKey": "id", "secretAccessKeyKey": "secret"}
    return [own]


def buckets() -> list[Document]:
    template = {"name": "app-keys", "labels": {"a": "1", "b": "2"}, "annotations": {"a": "1", "b": "2"}, "keys": "Both"}
    brought = {"name": "photos-keys", "accessKeyIdKey": "id", "secretAccessKeyKey": "secret"}
    credentials = [
        {"name": "app", "type": "SigV4", "generate": {}, "secretTemplate": template, "rotation": {"gracePeriod": "2h"}},
        {"name": "brought", "secretRef": brought},
        {"name": "legacy", "type": "Token", "secretRef": {"name": "tokens", "tokenKey": "legacy"}},
    ]
    ref = {"name": "main", "namespace": "default"}
    return [
        {
            "orchestratorRef": ref,
            "bucketName": "my-photos",
            "maxMultipartUploads": 5,
            "credentials": credentials,
            "deletionPolicy": "Delete",
        }
    ]


WHOLE: dict[str, list[Document]] = {"S3Orchestrator": orchestrators(), "StorageBackend": backends(), "VirtualBucket": buckets()}


@cache
def schema_of(kind: str) -> dict[str, Any]:
    plural = next(one.plural for one in KINDS if one.name == kind)
    definition = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def fields_of(kind: str) -> set[str]:
    """Every field that a schema has, as `server.tls.secretName`; members of lists as `[]`."""
    return set(_fields(schema_of(kind), ""))


def _fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}".lstrip(".")
        yield from _fields(inner, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")


@cache
def _places(kind: str, number: int) -> tuple[tuple[Path_, Any, bool], ...]:
    return tuple(_below(schema_of(kind), WHOLE[kind][number], ()))


def places(kind: str, number: int) -> tuple[tuple[Path_, Any, bool], ...]:
    """Every place of that whole spec: where, its schema, and whether the schema lets it be absent."""
    return _places(kind, number)


def _below(schema: dict[str, Any], value: Any, path: Path_) -> Iterator[tuple[Path_, Any, bool]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema["additionalProperties"]
            yield (*path, name), known, name not in schema.get("required", ())
            yield from _below(known, inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield (*path, number), schema["items"], len(value) > schema.get("minItems", 0)
            yield from _below(schema["items"], inner, (*path, number))


def named(path: Path_) -> str:
    """As `fields_of` names it."""
    return "".join("[]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def value_at(spec: Document, path: Path_) -> Any:
    found: Any = spec
    for step in path:
        found = found[step]
    return found


def without(spec: Document, path: Path_) -> Document:
    changed = copy.deepcopy(spec)
    del value_at(changed, path[:-1])[path[-1]]
    return changed


def with_value(spec: Document, path: Path_, value: Any) -> Document:
    changed = copy.deepcopy(spec)
    value_at(changed, path[:-1])[path[-1]] = value
    return changed
