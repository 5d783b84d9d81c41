"""The fates of all backends and buckets of one orchestrator, and where they enter its plan.

In the order of a plan: what must be latched, and nothing else in that round; what is compiled, and with which say in new objects; the
finalizers, before anything is served; what is asked of the proxies; last, what may go because nobody serves it any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from s3o_crds.compile import Compilation, Rejection
from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket
from s3o_operator.plan.actions import Action, DropKeys, Latch, Protect, Release
from s3o_operator.plan.contacts import not_yet_at
from s3o_operator.plan.fates import Fate, backend_fate, bucket_fate
from s3o_operator.plan.observed import Object, Observed, Ref, Step
from s3o_operator.plan.operations import STALLED
from s3o_operator.plan.reading import Reading, read
from s3o_operator.plan.rebalancing import orchestrator_fate
from s3o_operator.plan.registry import read_registry, shards_of
from s3o_operator.plan.removal import Surroundings, is_leaving, is_protected
from s3o_operator.plan.standing import holders

_POLL_S, _POLL_STALLED_S = 4, 14
_NEVER_SERVED = ("BackendNameConflict", "SameBucketTwice", "BucketNameConflict", "NotAllowed")
"""Rejections of what another resource has, or may have: there is nothing of its own to look after."""


@dataclass(frozen=True)
class Fates:
    by_ref: Mapping[Ref, Fate] = field(default_factory=dict)

    def of(self, model: StorageBackend | VirtualBucket) -> Fate:
        return self.by_ref[Ref(model.kind, model.namespace, model.name)]

    def without(self, refs: Collection[Ref]) -> Fates:
        return Fates({ref: fate for ref, fate in self.by_ref.items() if ref not in refs})

    @property
    def latches(self) -> list[Latch]:
        """The rest of the status stays as it stands there."""
        return [
            Latch(ref, fate.resource["metadata"]["uid"], (fate.resource.get("status") or {}) | fate.report, fate.latch, fate.refused)
            for ref, fate in sorted(self.by_ref.items())
            if fate.latch
        ]

    def due(self, now: str) -> str:
        """When to look at progress again, or nothing."""
        waiting = [fate for fate in self.by_ref.values() if fate.waits]
        if not waiting:
            return ""
        stalled = all(fate.drain.get("state") == STALLED for fate in waiting)
        later = datetime.fromisoformat(now) + timedelta(seconds=_POLL_STALLED_S if stalled else _POLL_S)
        return later.strftime("%Y-%m-%dT%H:%M:%SZ")


def decide_fates(observed: Observed, reading: Reading) -> Fates:
    gone = observed.orchestrator is None or is_leaving(observed.orchestrator)
    last_of_all = all(is_leaving(backend) for backend in observed.backends)
    around = Surroundings(gone, last_of_all, holders(reading.raw.values(), observed.operations))
    backends = {Ref(one.kind, one.namespace, one.name): one for one in reading.backends}
    buckets = {Ref(one.kind, one.namespace, one.name): one for one in reading.buckets}
    fates = {}
    for ref, resource in reading.raw.items():
        if ref.kind == "S3Orchestrator" and not gone:
            fates[ref] = orchestrator_fate(resource, observed.operations)
        elif ref.kind == "StorageBackend":
            fates[ref] = backend_fate(resource, backends.get(ref), around, observed.operations)
        elif ref.kind == "VirtualBucket":
            fates[ref] = bucket_fate(resource, buckets.get(ref), around, observed.operations)
    return Fates(fates)


def wants_operations(observed: Observed) -> bool:
    """Whether the proxies must be asked about operations: one goes on, or something goes and may have one, or a backend was never looked up
    (its status may have been lost), or a bucket is not served yet (one that had its name may have left one)."""
    fates = decide_fates(observed, read(observed)).by_ref.values()
    return any(fate.waits or fate.latch or fate.removal is not None or not is_looked_up(fate.resource) for fate in fates)


def is_looked_up(resource: Object) -> bool:
    known = (resource.get("status") or {}).get("conditions") or []
    if resource["kind"] == "VirtualBucket":
        return any((one.get("type"), one.get("status")) == ("Ready", "True") for one in known)
    return resource["kind"] != "StorageBackend" or any(one.get("type") == "Draining" for one in known)


def earliest(*times: str) -> str:
    return min((one for one in times if one), default="")


def still_served(reading: Reading, fates: Fates) -> Reading:
    """What is to be compiled. Who is drained, by whatever word, takes nothing new; what goes has no children made or taken any more."""
    backends = [backend for backend in reading.backends if fates.of(backend).served]
    return replace(
        reading,
        backends=[backend if fates.of(backend).takes_new else _closed(backend) for backend in backends],
        buckets=[bucket for bucket in reading.buckets if fates.of(bucket).served],
        raw={ref: resource for ref, resource in reading.raw.items() if ref not in fates.by_ref or fates.by_ref[ref].served},
    )


def _closed(backend: StorageBackend) -> StorageBackend:
    return backend.model_copy(update={"spec": backend.spec.model_copy(update={"state": "Cordoned"})})


def unprotected(reading: Reading, compilation: Compilation) -> list[Protect]:
    """Of those that would be served: our finalizer comes first, or a deletion could not be noticed in time."""
    rejected = reading.rejections.keys() | {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    return [
        Protect(ref, resource["metadata"]["uid"])
        for ref, resource in sorted(reading.raw.items())
        if ref.kind != "S3Orchestrator" and ref not in rejected and not is_protected(resource) and not is_leaving(resource)
    ]


def not_protected(protects: Iterable[Protect], observed: Observed) -> dict[Ref, Rejection]:
    found = {}
    for protect in protects:
        why = observed.stuck.get(Step("Protect", protect.ref), "see the status of its S3Orchestrator")
        found[protect.ref] = Rejection(*protect.ref, "NotProtected", f"our finalizer cannot be put on it, so it is not served: {why}")
    return found


def last_steps(fates: Fates, observed: Observed, compilation: Compilation) -> list[Action]:
    """What is asked of the proxies, and what may go. Only for those that are served: what is rejected has no say in what another has."""
    acknowledged = compilation.config is not None and not not_yet_at(compilation.config.generation, observed.pods, observed.contacts)
    rejected = {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    asked: list[Action] = []
    for ref, fate in sorted(fates.by_ref.items()):
        # Nobody may write to a bucket while it is emptied, nor count on a backend when it is forgotten.
        if ref not in rejected and (fate.served or acknowledged):
            asked += fate.actions
    released = releases(fates, observed, compilation, acknowledged=acknowledged)
    return [*asked, *_dropped_keys(released, fates, observed), *released]


def _dropped_keys(released: Iterable[Release], fates: Fates, observed: Observed) -> list[DropKeys]:
    """Of buckets of which nothing is left. Where objects stay, the bucket may be made anew, and applications have its keys."""
    emptied = [one for one in released if one.ref.kind == "VirtualBucket" and _is_emptied(fates.by_ref[one.ref])]
    if not emptied:
        return []
    with_keys = {(entry.namespace, entry.bucket) for entry in read_registry(shards_of(observed.key, observed.live.values()))}
    return [DropKeys(observed.key, one.ref, one.uid) for one in emptied if (one.ref.namespace, one.ref.name) in with_keys]


def _is_emptied(fate: Fate) -> bool:
    return fate.purges and fate.leaves


def releases(fates: Fates, observed: Observed, compilation: Compilation | None = None, *, acknowledged: bool = False) -> list[Release]:
    """`acknowledged`: every pod serves the configuration of this plan, or a newer one."""
    reasons = {Ref(one.kind, one.namespace, one.name): one.reason for one in (compilation.rejections if compilation else ())}
    orchestrator = Ref("S3Orchestrator", *observed.key)
    found = []
    for ref, fate in sorted(fates.by_ref.items()):
        if fate.removal is None or not is_protected(fate.resource):
            continue
        never_served = reasons.get(ref) in _NEVER_SERVED
        if fate.at_once or never_served or (fate.leaves and acknowledged):
            unless = orchestrator if fate.removal.reason == "OrchestratorGone" else None
            found.append(Release(ref, fate.resource["metadata"]["uid"], fate.removal.reason, unless))
    return found
