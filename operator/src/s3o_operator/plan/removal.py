"""What becomes of a resource that is being deleted: by the policy that it names, by the annotations that confirm it or cut it short, and
in the cases in which nothing is waited for.

A deletion never waits for what is going itself: without its orchestrator, or when all backends go at once, a resource is released with
nothing destroyed. Whatever else it waits for, it says.

Nothing is ever destroyed for one that did not have the name under which it lies: it may be a copy, with our finalizer in its manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from s3o_crds.meta import GROUP
from s3o_operator.plan.observed import Object, Ref, ref_of

BACKEND_FINALIZER = f"{GROUP}/backend-protection"
BUCKET_FINALIZER = f"{GROUP}/bucket-protection"
FINALIZERS = {"StorageBackend": BACKEND_FINALIZER, "VirtualBucket": BUCKET_FINALIZER}
FORCE_DELETE = f"{GROUP}/force-delete"
CONFIRM_PURGE = f"{GROUP}/confirm-purge"
FORCED, INVALID, NEVER_SERVED = "ForceDeleted", "Invalid", "NeverServed"

How = Literal["Now", "Retain", "Drain", "Purge", "Blocked"]


@dataclass(frozen=True)
class Removal:
    """`how`: Now waits for nobody; Retain waits until no pod serves it; Blocked waits for somebody to act. `reason`, `message`: why so."""

    how: How
    reason: str
    message: str


@dataclass(frozen=True)
class Surroundings:
    """`orchestrator_gone`: missing, or going itself. `last_of_all`: every backend of the orchestrator is being deleted.
    `holders`: who has which name, by kind."""

    orchestrator_gone: bool
    last_of_all: bool = False
    holders: Mapping[tuple[str, str], Ref] = field(default_factory=dict)


def is_leaving(resource: Object) -> bool:
    return "deletionTimestamp" in resource["metadata"]


def is_protected(resource: Object) -> bool:
    return FINALIZERS[resource["kind"]] in (resource["metadata"].get("finalizers") or [])


def removal_of(resource: Object, name: str, policy: str | None, around: Surroundings) -> Removal:
    """`name`: what an annotation must repeat. `policy`: None when the resource cannot be read."""
    annotations = resource["metadata"].get("annotations") or {}
    if annotations.get(FORCE_DELETE) == name:
        return Removal("Now", FORCED, f"the annotation {FORCE_DELETE} asks for it")
    if around.orchestrator_gone:
        return Removal("Now", "OrchestratorGone", "its S3Orchestrator is gone, or going")
    holder = around.holders.get((resource["kind"], name))
    # Where the status was lost nobody has it: then a backend is drained all the same, which destroys nothing.
    if holder != ref_of(resource) and (holder is not None or policy in ("Purge", "Delete")):
        return Removal("Now", NEVER_SERVED, f"it never had the name {name}: nothing that is stored under it is its own")
    if policy is None:
        return Removal("Blocked", INVALID, f"it cannot be read, so nothing can be done for it: correct it, or {_by_force(name)}")
    if around.last_of_all and policy != "Purge":
        return Removal("Now", "AllBackendsGoing", "all backends of its S3Orchestrator are being deleted: there is nowhere to move anything")
    if policy == "Purge" and annotations.get(CONFIRM_PURGE) != name:
        confirm = f"annotate it with {CONFIRM_PURGE}={name}"
        return Removal(
            "Blocked", "PurgeNotConfirmed", f"spec.deletionPolicy is Purge, which deletes every object: {confirm}, or {_by_force(name)}"
        )
    match policy:
        case "Drain":
            return Removal("Drain", "Draining", f"objects are moved to other backends first; to end it now, {_by_force(name)}")
        case "Purge" | "Delete":
            return Removal("Purge", "Purging", f"objects are deleted; to keep what is left, {_by_force(name)}")
    return Removal("Retain", "Retaining", "objects stay where they are")


def _by_force(name: str) -> str:
    return f"annotate it with {FORCE_DELETE}={name}, which leaves everything where it is"
