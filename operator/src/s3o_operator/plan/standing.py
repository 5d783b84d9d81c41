"""What resources do not say about themselves: which were served before, which cannot be read, and the labels of their namespaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from s3o_crds.access import Standing
from s3o_crds.claims import Unreadable, standing_of
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_crds.v1alpha1.access import Access
from s3o_operator.plan.conditions import Fact
from s3o_operator.plan.observed import Object, Observed, Ref, ref_of
from s3o_operator.plan.reading import Reading

_SERVED_AS = {"StorageBackend": "backendName", "VirtualBucket": "bucketName"}
"""The name of a resource, in its spec and, once it has been accepted, in its status."""


_NONE: Mapping[Ref, Object] = {}


def standing_in(observed: Observed, reading: Reading, aside: Mapping[Ref, Object] = _NONE) -> Standing:
    """`aside`: who is not compiled, because he goes or is paused. Those of them that were served have their names until they are gone: what
    is still done to what they had would be done to what another has."""
    resources = {ref: document for ref, document in reading.raw.items() if ref.kind in _SERVED_AS}
    kept = {ref: document for ref, document in aside.items() if had_name(document, observed.operations)}
    attached = frozenset(ref for ref, document in resources.items() if is_attached(document))
    return Standing(
        namespaces=observed.namespaces,
        attached=attached | kept.keys(),
        unchanged=frozenset(ref for ref in attached if _is_accepted_as_it_stands(resources[ref])),
        unreadable=tuple(
            _unreadable(ref, document) for ref, document in sorted((resources | kept).items()) if ref in kept or ref in reading.rejections
        ),
    )


def holders(documents: Iterable[Object], operations: Sequence[Object] | None) -> dict[tuple[str, str], Ref]:
    """Who has which name, by kind: of all that seem to (a status can be restored with a copy, too) the one who is served."""
    had = [_unreadable(ref_of(one), one) for one in documents if one["kind"] in _SERVED_AS and had_name(one, operations)]
    by_standing = sorted(had, key=lambda one: standing_of(one, ()), reverse=True)
    return {(one.kind, one.wanted): Ref(one.kind, one.namespace, one.name) for one in by_standing}


def had_name(document: Object, operations: Sequence[Object] | None) -> bool:
    """By its status; where that was lost, by a purge of that name which the proxies know to be its own: it was asked for by then."""
    own = [one for one in operations or () if (one["kind"], one["subject"]) == ("Purge", document["metadata"]["uid"])]
    return is_attached(document) or any(wanted_name(document) in (one.get("backend"), one.get("bucket")) for one in own)


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


def is_attached(document: Object) -> bool:
    return served_as(document) == wanted_name(document)


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
