"""What an operator has made of its resources, as text that two runs can be compared by: what the API server chooses, and what is secret or
made of secrets, is replaced by its meaning."""

from __future__ import annotations

import base64
import difflib
import json
import re
from typing import Any

from tests.support.operators import BASES, Namespace, Object

from s3o_operator.plan.registry import read_registry

_CHOSEN = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "namespace")
_DIGEST = re.compile(r"(?:sha256:)?\b[0-9a-f]{16,64}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT[0-9:.]+Z")
_ADDRESSES = ("clusterIP", "clusterIPs")
OURS = ("S3Orchestrator", "StorageBackend", "VirtualBucket")


def children(namespace: Namespace) -> dict[str, str]:
    """Name → content of everything that the operator has made."""
    made = {}
    for kind in BASES:
        for item in namespace.list(kind):
            if kind not in OURS and (item["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "s3orchestrator-operator":
                made[f"{kind} {item['metadata']['name']}"] = item
    secrets = _secret_values([document for name, document in made.items() if name.startswith("Secret ")])
    return {name: _text(_plain(document, secrets), namespace.name) for name, document in sorted(made.items())}


def differences(before: dict[str, str], after: dict[str, str]) -> str:
    """For people; empty when there are none."""
    lines: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        first, second = (one.get(name, "(not there)").splitlines() for one in (before, after))
        lines += difflib.unified_diff(first, second, f"{name} before", f"{name} after", n=1, lineterm="")
    return "\n".join(lines)


def reports(namespace: Namespace) -> dict[str, str]:
    """Name → phase and conditions of every resource; messages are left out."""
    told = {}
    for kind in OURS:
        for item in namespace.list(kind):
            status = item.get("status") or {}
            conditions = [f"{one['type']}={one['status']} {one['reason']}" for one in status.get("conditions", [])]
            told[f"{kind} {item['metadata']['name']}"] = " ".join([status.get("phase", "-"), *conditions])
    return told


def key_pairs(namespace: Namespace) -> dict[str, str]:
    """Secret → the access key id that an application is given by it."""
    given = {}
    for secret in namespace.list("Secret"):
        owners = secret["metadata"].get("ownerReferences") or []
        if owners and owners[0]["kind"] == "VirtualBucket" and "AWS_ACCESS_KEY_ID" in (secret.get("data") or {}):
            given[secret["metadata"]["name"]] = base64.b64decode(secret["data"]["AWS_ACCESS_KEY_ID"]).decode()
    return given


def _plain(document: Object, secrets: dict[str, str]) -> Any:
    metadata = {name: value for name, value in document["metadata"].items() if name not in _CHOSEN}
    for reference in metadata.get("ownerReferences", []):
        reference.pop("uid")
    spec = {name: value for name, value in document.get("spec", {}).items() if name not in _ADDRESSES}
    data = document.get("data", {})
    if document["kind"] == "Secret":
        # The names of a registry's entries are digests, too: sorted by what they hold.
        data = sorted(_meant(base64.b64decode(text).decode(errors="replace"), secrets) for text in data.values())
    return {"metadata": metadata, "spec": spec, "data": data}


def _meant(text: str, secrets: dict[str, str]) -> str:
    for value, meaning in secrets.items():
        text = text.replace(value, meaning)
    return text


def _text(document: Any, namespace: str) -> str:
    return _TIME.sub("TIME", _DIGEST.sub("DIGEST", json.dumps(document, sort_keys=True, indent=1).replace(namespace, "NAMESPACE")))


def _secret_values(documents: list[Object]) -> dict[str, str]:
    """What was drawn by lot → what it is."""
    tokens = [document["data"]["token"] for document in documents if document["metadata"]["name"].endswith("-admin")]
    drawn = {base64.b64decode(token).decode(): "TOKEN" for token in tokens}
    for credential, entry in read_registry(documents).items():
        for age, pair in enumerate([entry.pair, *(one.pair for one in reversed(entry.retired))]):
            which = f"OF {credential}" + (f" BEFORE {age} ROTATIONS" if age else "")
            drawn |= {pair.access_key_id: f"ID {which}", pair.secret_access_key: f"SECRET {which}"}
    return drawn
