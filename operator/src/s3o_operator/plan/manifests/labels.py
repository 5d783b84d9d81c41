"""Names, labels and owners of children, and how a child of ours is told from a foreign object."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from s3o_operator.plan.observed import Key, Object

MANAGER = "s3orchestrator-operator"
MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
APPLICATION = "s3-orchestrator"
INSTANCE = "app.kubernetes.io/instance"
ORCHESTRATOR = "s3orchestrator.io/orchestrator"
APPLIED = "s3orchestrator.io/applied"
"""Annotation: digest of the manifest that was applied last. A field that is no longer wanted shows here, and nowhere else."""


def config_name(key: Key) -> str:
    return f"{key.name}-config"


def registry_name(key: Key) -> str:
    return f"{key.name}-registry"


def admin_name(key: Key) -> str:
    return f"{key.name}-admin"


def proxy_name(key: Key) -> str:
    return f"{key.name}-proxy"


def data_name(key: Key) -> str:
    return f"{key.name}-data"


def selector(key: Key) -> dict[str, str]:
    """Immutable in a Deployment: never add to it."""
    return {NAME: APPLICATION, INSTANCE: key.name, "app.kubernetes.io/component": "proxy"}


def child(key: Key, api_version: str, kind: str, name: str, owner: Object | None, **fields: Any) -> Object:
    """`owner` None: the child outlives the orchestrator, since nobody could make its content again."""
    labels = {NAME: APPLICATION, INSTANCE: key.name, MANAGED_BY: MANAGER, ORCHESTRATOR: key.name}
    metadata: Object = {"name": name, "namespace": key.namespace, "labels": labels}
    if owner is not None:
        metadata["ownerReferences"] = [_owner_reference(owner)]
    document = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    metadata["annotations"] = {APPLIED: digest(document)}
    return document


def annotated(document: Object, annotations: dict[str, str]) -> Object:
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "annotations": {**metadata["annotations"], **annotations}}}


def digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _owner_reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return reference | {"controller": True, "blockOwnerDeletion": True}


def controller_of(document: Object) -> str:
    """The uid of the object that controls this one, or nothing."""
    references = document["metadata"].get("ownerReferences") or []
    return next((reference["uid"] for reference in references if reference.get("controller")), "")


def is_ours(live: Object, manifest: Object) -> bool:
    """Whether what stands under the name of `manifest` is the very child that we mean. Of an unowned child the labels tell."""
    if wanted := controller_of(manifest):
        return controller_of(live) == wanted
    labels, ours = live["metadata"].get("labels") or {}, manifest["metadata"]["labels"]
    return all(labels.get(name) == ours[name] for name in (MANAGED_BY, ORCHESTRATOR))
