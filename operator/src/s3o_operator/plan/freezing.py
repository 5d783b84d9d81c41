"""Single backends and buckets that are paused, by the annotation of `plan.pausing`: each is left as it is, and the others go on.

What proxies are given of it stays word for word what it was, whatever its spec and its Secrets say by now; its children are neither made
nor taken away, no trigger is answered, and a deletion waits. Operations that run go on, since the proxies carry them out. Only without its
orchestrator is it let go all the same: nothing would ever resume it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from s3o_crds.claims import Identity
from s3o_crds.compile import Kept
from s3o_crds.compiled import BackendConfig, BucketConfig
from s3o_crds.layout import MOST_PARTS
from s3o_operator.plan.conditions import Fact, with_facts
from s3o_operator.plan.manifests.labels import config_name, part_name
from s3o_operator.plan.manifests.mounted import Mounted, read_back
from s3o_operator.plan.observed import Key, Object, Observed, Ref
from s3o_operator.plan.pausing import PAUSED, is_paused
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.removal import is_leaving
from s3o_operator.plan.standing import served_as


@dataclass(frozen=True)
class Frozen:
    """`refs`: who is paused. `kept`: what proxies are given of those that were served."""

    refs: frozenset[Ref] = frozenset()
    kept: Kept = field(default_factory=Kept)

    def aside(self, everything: Reading, compiled: Reading) -> dict[Ref, Object]:
        """Who is neither compiled nor kept: he goes, or is paused and not in the configuration."""
        kept = self.kept.backends.keys() | self.kept.buckets.keys()
        left = {ref: one for ref, one in everything.raw.items() if ref not in compiled.raw and ref not in kept}
        return {ref: one for ref, one in left.items() if ref.kind != "S3Orchestrator"}

    def without(self, reading: Reading) -> Reading:
        """All that is to be planned."""
        if not self.refs:
            return reading
        return replace(
            reading,
            backends=[one for one in reading.backends if Ref(one.kind, one.namespace, one.name) not in self.refs],
            buckets=[one for one in reading.buckets if Ref(one.kind, one.namespace, one.name) not in self.refs],
            raw={ref: resource for ref, resource in reading.raw.items() if ref not in self.refs},
            rejections={ref: rejection for ref, rejection in reading.rejections.items() if ref not in self.refs},
        )


def frozen_in(observed: Observed, reading: Reading) -> Frozen:
    asked = {ref: one for ref, one in sorted(reading.raw.items()) if ref.kind != "S3Orchestrator" and is_paused(one)}
    mounted = _mounted(observed.key, observed.live) if asked else None
    backends: dict[Identity, BackendConfig] = {}
    buckets: dict[Identity, BucketConfig] = {}
    frozen = set(asked)
    for ref, resource in asked.items():
        match _part(mounted, ref, served_as(resource)):
            case BackendConfig() as backend:
                backends[ref] = backend
            case BucketConfig() as bucket:
                buckets[ref] = bucket
            case None if served_as(resource) and not (mounted and mounted.is_whole):
                # What it was served as is lost. It is made anew from its spec, or nobody could reach what is stored there.
                frozen.remove(ref)
    return Frozen(frozenset(frozen), Kept(backends, buckets, mounted.values if mounted else {}))


def _mounted(key: Key, live: Mapping[Ref, Object]) -> Mounted | None:
    names = [config_name(key), *(part_name(key, number) for number in range(1, MOST_PARTS + 1))]
    head, *parts = [live.get(Ref("Secret", key.namespace, name)) for name in names]
    return read_back(head, [part for part in parts if part is not None])


def _part(mounted: Mounted | None, ref: Ref, name: str) -> BackendConfig | BucketConfig | None:
    """By the name that it was accepted under: one that never was has nothing there, though another may have the name that it wants."""
    config = mounted.config if mounted else None
    if mounted is None or config is None or not name:
        return None
    parts = config.backends if ref.kind == "StorageBackend" else config.buckets
    found = next((one for one in parts if one.name == name), None)
    return found if found is not None and _secrets_of(found) <= mounted.values.keys() else None


def _secrets_of(part: BackendConfig | BucketConfig) -> set[str]:
    match part:
        case BackendConfig():
            named = {part.access_key_id, part.secret_access_key, part.ca}
        case BucketConfig():
            named = {ref for one in part.credentials for ref in (one.access_key_id, one.secret_access_key, one.token)}
    return named - {""}


def frozen_status(resource: Object, now: str) -> Object:
    """What was reported last, and that nobody is at it any more."""
    before = resource.get("status") or {}
    why = f"the annotation {PAUSED} says so"
    facts = [Fact("Paused", True, "Paused", why), Fact("Reconciling", False, "Paused", why)]
    if not any(one["type"] == "Ready" for one in before.get("conditions") or []):
        facts.append(Fact("Ready", False, "Paused", f"not yet served: {why}"))
    if is_leaving(resource):
        facts.append(Fact("DeletionBlocked", True, "Paused", f"it waits while it is paused: {why}"))
    return before | {"phase": "Paused", "conditions": with_facts(resource, facts, now)}


def was_ready(resource: Object) -> bool:
    known = (resource.get("status") or {}).get("conditions") or []
    return any((one.get("type"), one.get("status")) == ("Ready", "True") for one in known)
