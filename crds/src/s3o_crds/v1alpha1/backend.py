"""StorageBackend: one bucket at one S3 provider, and how much of it may be used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s3o_crds.meta import (
    CASecretRef,
    ConfigStatus,
    KeyPairRef,
    Observation,
    OrchestratorRef,
    Resource,
    Rule,
    Section,
    Status,
    Usage,
    immutable,
)
from s3o_crds.providers import NEEDS_REGION, Provider
from s3o_crds.v1alpha1.operations import OperationPlan, Operations, Progress, Token
from s3o_crds.values import LABEL_PATTERN, ByteSize, EndpointURL, Label, PhysicalBucket, PositiveDuration, Region


def _largest_object_fits(quota: Quota) -> bool:
    limit, largest = quota.bytes, quota.max_object_size
    return limit is None or largest is None or limit.bytes == 0 or largest.bytes <= limit.bytes


class Quota(Section):
    rules = (
        Rule(
            "!has(self.bytes) || !has(self.maxObjectSize) || quantity(string(self.bytes)).compareTo(quantity('0')) == 0"
            " || quantity(string(self.maxObjectSize)).compareTo(quantity(string(self.bytes))) <= 0",
            "maxObjectSize must not exceed bytes",
            holds=_largest_object_fits,
        ),
    )

    bytes: ByteSize | None = None
    """Most bytes that we keep on this backend, as a quantity such as 20Gi. Never exceeded, not by a byte."""
    max_object_size: ByteSize | None = None
    """Largest object that is put here, as a quantity."""


class Timeouts(Section):
    request: PositiveDuration = PositiveDuration("30s")
    """To connect, and from the end of a request to the first byte of its answer."""
    stall: PositiveDuration = PositiveDuration("30s")
    """Between two pieces of a body, in either direction. A slow transfer goes on; one that stands still fails."""


class StorageBackendSpec(Section):
    rules = (
        immutable("backendName"),
        immutable("bucket"),
        Rule(
            f"!(self.provider in [{', '.join(f'{name!r}' for name in NEEDS_REGION)}]) || has(self.region)",
            f"region is needed with the providers {', '.join(NEEDS_REGION)}",
            holds=lambda spec: spec.provider not in NEEDS_REGION or spec.region is not None,
        ),
    )

    orchestrator_ref: OrchestratorRef
    """The S3Orchestrator that this backend serves; immutable."""
    backend_name: Label | None = None
    """Identity of the backend in the metadata; immutable; by default metadata.name. The oldest claim to a name wins."""
    order: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """Pack fills backends in ascending order; ties go by name."""
    state: Literal["Active", "Cordoned", "Draining"] = "Active"
    """Active takes new objects. Cordoned takes none; what lies there is still read and deleted. Draining takes none, and on a cluster
    everything that lies there is moved to other backends."""
    provider: Provider = "Generic"
    """Preset of region, forcePathStyle, unsignedPayload and etagIsMD5."""
    endpoint: EndpointURL
    """Scheme, host and port of the provider's S3 endpoint, without a path. It may change where the provider has another address for the
    same bucket."""
    region: Region | None = None
    """Region that requests are signed for; by default the provider's preset."""
    bucket: PhysicalBucket
    """The bucket at the provider; immutable. It must exist, and nobody else may write to it. To go to another bucket, make another
    StorageBackend and drain this one."""
    credentials_secret_ref: KeyPairRef
    """Secret with the key pair that may read, write, list and delete in the bucket."""
    ca_secret_ref: CASecretRef | None = None
    """Secret with the certificates to trust for the endpoint; by default those of the system."""
    force_path_style: bool | None = None
    """Whether the bucket stands in the path of the URL instead of its host; by default the provider's preset."""
    unsigned_payload: bool | None = None
    """Whether bodies are sent as UNSIGNED-PAYLOAD, so that they stream without being hashed first; by default the provider's preset."""
    etag_is_md5: Annotated[bool | None, Field(alias="etagIsMD5")] = None
    """Whether the ETag of a plain PUT, and of a part, is the MD5 of its bytes, so that we need not compute it; by default the preset."""
    quota: Quota | None = None
    """How much may be stored; absent or 0 means unlimited."""
    timeouts: Timeouts | None = None
    """When a request to this backend is given up."""
    deletion_policy: Literal["Drain", "Retain", "Purge"] = "Drain"
    """What becomes of the objects when this object is deleted. Drain moves them to other backends first, and waits until it is done. Retain
    leaves them where they are: they are served again when a StorageBackend of this name comes back. Purge deletes them, once the annotation
    s3orchestrator.io/confirm-purge holds the name of the backend."""


class Records(Observation):
    database_id: Annotated[str, Field(max_length=64)] | None = None
    """Id of the metadata database that has them."""
    registered_at: Annotated[str, Field(max_length=64)] | None = None
    """Since when it knows this backend. Records that are made anew are empty, and have another time."""


class BackendTokens(Observation):
    """Values of annotations that have been taken note of: none of them starts anything a second time."""

    drain: Token | None = None
    """Of s3orchestrator.io/drain."""
    reconcile: Token | None = None
    """Of s3orchestrator.io/reconcile: everything was looked at after it was set."""


class StorageBackendStatus(Status):
    phase: Literal["Pending", "Ready", "Degraded", "Cordoned", "Draining", "Drained", "Purging", "Removing", "Paused", "Failed"] | None = (
        None
    )
    """The state in one word."""
    backend_name: Annotated[str, Field(max_length=63)] | None = None
    """Name under which it is served. Whoever has one stays attached, whatever spec.access of the orchestrator says later."""
    config: ConfigStatus | None = None
    """The first configuration that has this backend as it is now, and a digest of what it has of it. Ready when every proxy serves it."""
    records: Records | None = None
    """Its records in the metadata database. No others are taken for them, until s3orchestrator.io/adopt-records says so."""
    usage: Usage | None = None
    """What is stored on this backend."""
    drain: Progress | None = None
    """The drain that was asked for last."""
    plan: OperationPlan | None = None
    """What the last drain or purge was going to cost."""
    purge: Progress | None = None
    """The deletion of every object, for a backend that is being deleted with deletionPolicy Purge."""
    operations: Operations = ()
    """The operations that were asked for last, the newest first."""
    last_handled: BackendTokens | None = None
    """Annotations that have been taken note of."""


class StorageBackend(Resource):
    """One bucket at one S3 provider, and how much of it an S3Orchestrator may use."""

    rules = (
        Rule(
            f"has(self.spec.backendName) || (size(self.metadata.name) <= 63 && self.metadata.name.matches('{LABEL_PATTERN}'))",
            "metadata.name is no valid backend name (at most 63 characters, no dot): set spec.backendName",
            holds=lambda backend: backend.spec.backend_name is not None or (len(backend.name) <= 63 and "." not in backend.name),
        ),
    )

    spec: StorageBackendSpec
    """What is wanted."""
    status: StorageBackendStatus | None = None
    """What was observed."""

    @property
    def backend_name(self) -> str:
        return self.spec.backend_name or self.name
