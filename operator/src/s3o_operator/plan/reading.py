"""Objects of the API server → the models of the contract. What makes no sense is rejected by name, and the rest goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3o_crds.compile import Rejection
from s3o_crds.parse import InvalidResource, Secret, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket
from s3o_operator.plan.observed import Object, Observed, Ref, ref_of
from s3o_operator.plan.removal import FINALIZERS, is_protected


@dataclass
class Reading:
    """What could be read of an Observed. `raw`: the object behind each model, for uid, generation and status."""

    orchestrator: S3Orchestrator | None = None
    backends: list[StorageBackend] = field(default_factory=list)
    buckets: list[VirtualBucket] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    raw: dict[Ref, Object] = field(default_factory=dict)
    rejections: dict[Ref, Rejection] = field(default_factory=dict)


def read(observed: Observed) -> Reading:
    """Resources that are being deleted, and that we do not hold, are gone already, as far as a plan is concerned."""
    reading = Reading()
    there = [one for one in (observed.orchestrator, *observed.backends, *observed.buckets) if one is not None]
    for document in [*there, *observed.secrets]:
        if "deletionTimestamp" not in document["metadata"] or document["kind"] == "S3Orchestrator" or _is_held(document):
            _take(reading, document)
    return reading


def _is_held(document: Object) -> bool:
    return document["kind"] in FINALIZERS and is_protected(document)


def _take(reading: Reading, document: Object) -> None:
    ref = ref_of(document)
    try:
        parsed = parse_resource(_without_server_fields(document) if ref.kind == "Secret" else document)
    except InvalidResource as error:
        reading.rejections[ref] = Rejection(*ref, "Invalid", "; ".join(error.problems))
        parsed = None
    if ref.kind != "Secret":
        reading.raw[ref] = document
    match parsed:
        case S3Orchestrator():
            reading.orchestrator = parsed
        case StorageBackend():
            reading.backends.append(parsed)
        case VirtualBucket():
            reading.buckets.append(parsed)
        case Secret():
            reading.secrets.append(parsed)


def _without_server_fields(secret: Object) -> Object:
    return {name: secret[name] for name in ("apiVersion", "kind", "metadata", "type", "data", "immutable") if name in secret}
