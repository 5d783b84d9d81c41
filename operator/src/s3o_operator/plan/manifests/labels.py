"""Names, labels and owners of children, and how a child of ours is told from a foreign object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from s3o_operator.plan.observed import Key, Object, Ref

MANAGER = "s3orchestrator-operator"
MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
APPLICATION = "s3-orchestrator"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
ORCHESTRATOR = "s3orchestrator.io/orchestrator"
ORCHESTRATOR_NAMESPACE = "s3orchestrator.io/orchestrator-namespace"
"""On children in another namespace than the orchestrator's."""
CREDENTIAL = "s3orchestrator.io/credential"
"""On an application's Secret: the name of the credential in it."""
APPLIED = "s3orchestrator.io/applied"
"""Annotation: digest of the manifest that was applied last. A field that is no longer wanted shows here, and nowhere else."""


Component = Literal["proxy", "worker"]


def config_name(key: Key) -> str:
    return f"{key.name}-config"


def registry_name(key: Key) -> str:
    return f"{key.name}-registry"


def admin_name(key: Key) -> str:
    return f"{key.name}-admin"


def proxy_name(key: Key) -> str:
    return f"{key.name}-proxy"


def worker_name(key: Key) -> str:
    return f"{key.name}-worker"


def part_name(key: Key, number: int) -> str:
    """Of the hot configuration, from 1; the head is `config_name`."""
    return f"{config_name(key)}-{number}"


def data_name(key: Key) -> str:
    return f"{key.name}-data"


def selector(key: Key, component: Component) -> dict[str, str]:
    """Immutable in a Deployment: never add to it."""
    return {NAME: APPLICATION, INSTANCE: key.name, COMPONENT: component}


def child(
    key: Key,
    api_version: str,
    kind: str,
    name: str,
    owner: Object | None,
    *,
    namespace: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **fields: Any,
) -> Object:
    """`owner` None: the child outlives the orchestrator, since nobody could make its content again. `namespace`: by default the key's."""
    own = {NAME: APPLICATION, INSTANCE: key.name, MANAGED_BY: MANAGER, ORCHESTRATOR: key.name}
    if namespace and namespace != key.namespace:
        own[ORCHESTRATOR_NAMESPACE] = key.namespace
    metadata: Object = {"name": name, "namespace": namespace or key.namespace, "labels": {**(labels or {}), **own}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owner is not None:
        metadata["ownerReferences"] = [_owner_reference(owner)]
    document = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    metadata["annotations"] = {**(annotations or {}), APPLIED: digest(document)}
    return document


def key_of_child(document: Object) -> Key | None:
    """The orchestrator that a child of ours belongs to."""
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    name = labels.get(ORCHESTRATOR)
    return Key(labels.get(ORCHESTRATOR_NAMESPACE) or metadata.get("namespace", ""), name) if name else None


def annotated(document: Object, annotations: Mapping[str, str]) -> Object:
    """The mark of what was applied covers them: one that is no longer wanted must show."""
    metadata = document["metadata"]
    own = {name: value for name, value in metadata["annotations"].items() if name != APPLIED}
    changed = {**document, "metadata": {**metadata, "annotations": {**own, **annotations}}}
    return {**changed, "metadata": {**metadata, "annotations": {**own, **annotations, APPLIED: digest(changed)}}}


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


def is_left_over(live: Object, owner: Ref) -> bool:
    """Whether it is a child of ours of an earlier `owner` of this name: of one deleted a moment ago, or of one that a backup is of."""
    metadata = live["metadata"]
    ours = (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGER and APPLIED in (metadata.get("annotations") or {})
    controllers = [one for one in metadata.get("ownerReferences") or [] if one.get("controller")]
    return ours and any(Ref(one["kind"], metadata["namespace"], one["name"]) == owner for one in controllers)


def owner_in(manifest: Object) -> Ref | None:
    """The owner that a manifest names."""
    metadata = manifest["metadata"]
    references = metadata.get("ownerReferences") or []
    return Ref(references[0]["kind"], metadata["namespace"], references[0]["name"]) if references else None


def is_ours(live: Object, manifest: Object) -> bool:
    """Whether what stands under the name of `manifest` is the very child that we mean. Of an unowned child the labels tell."""
    if wanted := controller_of(manifest):
        return controller_of(live) == wanted
    labels, ours = live["metadata"].get("labels") or {}, manifest["metadata"]["labels"]
    return all(labels.get(name) == ours[name] for name in (MANAGED_BY, ORCHESTRATOR))
