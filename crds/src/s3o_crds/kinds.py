"""The table of kinds: how each model is named, listed and scaled in Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from s3o_crds.meta import GROUP, Resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket

VERSION = "v1alpha1"
CATEGORY = "s3"
"""`kubectl get s3` lists all kinds. Not the singular of one of them, which it would hide."""


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`; `wide` shows it with `-o wide` only."""

    name: str
    path: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False


@dataclass(frozen=True)
class Scale:
    """Where `kubectl scale` and an autoscaler find what they need."""

    spec_replicas: str
    status_replicas: str
    selector: str


@dataclass(frozen=True)
class Kind:
    model: type[Resource]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    scale: Scale | None = None
    group: str = field(default=GROUP)

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def singular(self) -> str:
        return self.name.lower()


_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS = (
    Kind(
        model=S3Orchestrator,
        plural="s3orchestrators",
        short_name="s3o",
        columns=(
            _READY,
            Column("Phase", ".status.phase"),
            Column("Proxies", ".status.proxy.summary"),
            Column("Backends", ".status.backends.summary"),
            Column("Buckets", ".status.buckets.summary"),
            Column("Used", ".status.usage.summary"),
            _AGE,
        ),
        selectable=(".status.phase",),
        scale=Scale(".spec.proxy.replicas", ".status.proxy.replicas", ".status.proxy.selector"),
    ),
    Kind(
        model=StorageBackend,
        plural="storagebackends",
        short_name="sb",
        columns=(
            Column("Orchestrator", ".spec.orchestratorRef.name"),
            Column("State", ".status.phase"),
            _READY,
            Column("Used", ".status.usage.summary"),
            Column("Objects", ".status.usage.objectCount", "integer"),
            Column("Drain", ".status.drain.summary"),
            Column("Endpoint", ".spec.endpoint", wide=True),
            _AGE,
        ),
        selectable=(
            ".spec.orchestratorRef.name",
            ".spec.orchestratorRef.namespace",
            ".spec.state",
            ".spec.provider",
            ".status.phase",
        ),
    ),
    Kind(
        model=VirtualBucket,
        plural="virtualbuckets",
        short_name="vb",
        columns=(
            Column("Orchestrator", ".spec.orchestratorRef.name"),
            Column("Bucket", ".status.bucketName"),
            _READY,
            Column("Objects", ".status.usage.objectCount", "integer"),
            Column("Size", ".status.usage.size"),
            Column("Endpoint", ".status.endpoint", wide=True),
            _AGE,
        ),
        selectable=(".spec.orchestratorRef.name", ".spec.orchestratorRef.namespace", ".spec.bucketName", ".status.phase"),
    ),
)
