"""What resources do not say about themselves: which were served before, which cannot be read, and the labels of their namespaces."""

from __future__ import annotations

from datetime import datetime

from s3o_crds.access import Standing
from s3o_crds.claims import Unreadable
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_crds.v1alpha1.access import Access
from s3o_operator.plan.conditions import Fact
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.reading import Reading

_SERVED_AS = {"StorageBackend": "backendName", "VirtualBucket": "bucketName"}
"""The name of a resource, in its spec and, once it has been accepted, in its status."""


def standing_in(observed: Observed, reading: Reading) -> Standing:
    resources = {ref: document for ref, document in reading.raw.items() if ref.kind in _SERVED_AS}
    attached = frozenset(ref for ref, document in resources.items() if served_as(document) == wanted_name(document))
    return Standing(
        namespaces=observed.namespaces,
        attached=attached,
        unchanged=frozenset(ref for ref in attached if _is_accepted_as_it_stands(resources[ref])),
        unreadable=tuple(_unreadable(ref, resources[ref]) for ref in sorted(resources.keys() & reading.rejections.keys())),
    )


def access_restricted(observed: Observed, orchestrator: S3Orchestrator | None) -> list[Fact]:
    """A condition of an orchestrator that admits other namespaces, where the operator sees one only."""
    access = orchestrator.spec.access if orchestrator else Access()
    origins = (access.backends.namespaces.origin, access.buckets.namespaces.origin)
    if observed.namespaces is not None or origins == ("Same", "Same"):
        return []
    message = (
        f"this operator watches namespace {observed.key.namespace} only: spec.access admits nobody from another, by label or otherwise"
    )
    return [Fact("AccessRestricted", True, "OneNamespaceWatched", message)]


def served_as(document: Object) -> str:
    """The name in its status: it has been accepted under it, and is attached."""
    return str((document.get("status") or {}).get(_SERVED_AS[document["kind"]]) or "")


def wanted_name(document: Object) -> str:
    spec = document.get("spec")
    own = spec.get(_SERVED_AS[document["kind"]]) if isinstance(spec, dict) else None
    return own if isinstance(own, str) and own else str(document["metadata"]["name"])


def _is_accepted_as_it_stands(document: Object) -> bool:
    status = document.get("status") or {}
    accepted = any(one.get("type") == "Accepted" and one.get("status") == "True" for one in status.get("conditions") or [])
    return accepted and status.get("observedGeneration") == document["metadata"]["generation"]


def _unreadable(ref: Ref, document: Object) -> Unreadable:
    created = document["metadata"].get("creationTimestamp")
    return Unreadable(*ref, datetime.fromisoformat(created) if created else None, wanted_name(document), _place(document))


def _place(document: Object) -> tuple[str, str] | None:
    spec = document.get("spec")
    endpoint, bucket = (spec.get("endpoint"), spec.get("bucket")) if isinstance(spec, dict) else (None, None)
    whole = document["kind"] == "StorageBackend" and isinstance(endpoint, str) and isinstance(bucket, str)
    return (str(endpoint), str(bucket)) if whole and str(endpoint).startswith(("http://", "https://")) else None
