"""The least that each kind of resource must say, as documents to change: what tests of the contract start from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

REMOVED = object()
"""As a value of `changed`: the field is taken out."""

API_VERSION = "s3orchestrator.io/v1alpha1"


def orchestrator(name: str = "main", **changes: object) -> Document:
    return changed(_resource("S3Orchestrator", name, {}), _below_spec(changes))


def backend(name: str = "one", **changes: object) -> Document:
    spec: Document = {
        "orchestratorRef": {"name": "main"},
        "endpoint": f"https://{name}.example.com",
        "bucket": "data",
        "credentialsSecretRef": {"name": "backend-keys"},
    }
    return changed(_resource("StorageBackend", name, spec), _below_spec(changes))


def bucket(name: str = "photos", **changes: object) -> Document:
    spec: Document = {
        "orchestratorRef": {"name": "main"},
        "credentials": [{"name": "app", "secretRef": {"name": f"{name}-keys"}}],
    }
    return changed(_resource("VirtualBucket", name, spec), _below_spec(changes))


def secret(name: str, **values: str) -> Document:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}


def key_pair(name: str, access_key_id: str = "", secret_access_key: str = "shh") -> Document:
    return secret(name, AWS_ACCESS_KEY_ID=access_key_id or f"id-of-{name}", AWS_SECRET_ACCESS_KEY=secret_access_key)


def changed(document: Document, changes: Mapping[str, object]) -> Document:
    """A copy with each `dotted.path` set, or taken out; sections on the way are made."""
    document = copy.deepcopy(document)
    for path, value in changes.items():
        *sections, last = path.split(".")
        target = document
        for section in sections:
            target = target.setdefault(section, {})
        if value is REMOVED:
            target.pop(last, None)
        else:
            target[last] = copy.deepcopy(value)
    return document


def _resource(kind: str, name: str, spec: Document) -> Document:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _below_spec(changes: Mapping[str, object]) -> dict[str, object]:
    """Keywords are fields of the spec: `quota={"bytes": 1}`."""
    return {f"spec.{name}": value for name, value in changes.items()}
