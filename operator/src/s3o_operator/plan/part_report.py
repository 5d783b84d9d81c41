"""The status of a backend or of a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket
from s3o_operator.plan.conditions import Fact, Verdict, conditions, refused, waiting
from s3o_operator.plan.fate_report import fated, tell
from s3o_operator.plan.findings import Scene
from s3o_operator.plan.freezing import frozen_status, was_ready
from s3o_operator.plan.health import backend_facts, backend_verdict
from s3o_operator.plan.identity import REPLACED
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.records import records, records_lost
from s3o_operator.plan.removal import NEVER_SERVED
from s3o_operator.plan.rotation import invalid_triggers, kept, reported
from s3o_operator.plan.sync import Since
from s3o_operator.plan.usage import backend_usage, bucket_usage, counting_report


@dataclass(frozen=True)
class Part:
    """`model`: None when the resource cannot be read. `since`: None when proxies are given nothing of it."""

    ref: Ref
    resource: Object = field(repr=False)
    model: StorageBackend | VirtualBucket | None
    since: Since | None

    @property
    def uid(self) -> str:
        return str(self.resource["metadata"]["uid"])


@dataclass(frozen=True)
class PartReport:
    ready: bool
    status: Object = field(repr=False)


def report_part(ref: Ref, model: StorageBackend | VirtualBucket | None, scene: Scene) -> PartReport:
    resource = scene.reading.raw[ref]
    if ref in scene.findings.frozen:
        return PartReport(was_ready(resource), frozen_status(resource, scene.observed.now))
    part = Part(ref, resource, model, scene.sync.since(resource, model))
    verdict = fated(scene.fate_of(ref), _verdict(part, scene))
    return PartReport(verdict.ready, _status(part, verdict, scene))


def _verdict(part: Part, scene: Scene) -> Verdict:
    key = scene.observed.key
    if rejection := scene.rejection_of(part.ref):
        return refused(rejection.reason, rejection.message)
    if scene.observed.orchestrator is None:
        return refused("OrchestratorNotFound", f"there is no S3Orchestrator {key}")
    if part.since is None:
        return waiting("OrchestratorNotReady", f"S3Orchestrator {key} cannot be served now; its status says why")
    if scene.replacement:
        return waiting(REPLACED, f"S3Orchestrator {key} serves nothing: its metadata database is another one; its status says what to do")
    if conflicts := scene.conflicts_of({part.uid}):
        return Verdict(ready=False, reason="NameConflict", message=conflicts, stalled=True)
    if refusals := scene.refusals_of({part.uid}, part.ref):
        return Verdict(ready=False, reason="ApplyFailed", message=refusals, stalled=True)
    if not scene.proxies.available:
        return waiting("WaitingForProxies", "no proxy is available yet")
    verdict = scene.sync.served(part.resource, part.since)
    if verdict.ready and isinstance(part.model, StorageBackend):
        name, observed = part.model.backend_name, scene.observed
        return records_lost(part.resource, name, observed) or backend_verdict(name, observed) or verdict
    return verdict


def _status(part: Part, verdict: Verdict, scene: Scene) -> Object:
    resource, model, since, observed, findings = part.resource, part.model, part.since, scene.observed, scene.findings
    fate, gone = scene.fate_of(part.ref), scene.sync.secrets_gone(model)
    told = tell(fate, verdict, observed)
    # Whoever goes without having had a name gets none, or he would have had it the next time he is looked at.
    is_named = verdict.accepted and not (fate.removal is not None and fate.removal.reason == NEVER_SERVED)
    beside = backend_facts(model.backend_name, observed) if since and isinstance(model, StorageBackend) else []
    beside += [_served_without(gone)] if gone and verdict.accepted else []
    beside += invalid_triggers(resource, generated) if (generated := findings.generated.get(part.ref)) is not None else []
    status: Object = {
        "observedGeneration": resource["metadata"]["generation"],
        "phase": "Failed" if verdict.stalled else "Pending",
        "conditions": conditions(resource, verdict, observed.now, beside=[*beside, *told.facts]),
    }
    if since is not None:
        status["config"] = since.as_status()
    status |= kept(resource, verdict.accepted and verdict.reason != "OrchestratorNotReady")
    status |= {"backendName": model.backend_name} if isinstance(model, StorageBackend) and is_named else {}
    if isinstance(model, StorageBackend) and (kept_of_it := records(resource, model.backend_name, observed)):
        status["records"] = kept_of_it
    if isinstance(model, StorageBackend) and verdict.ready:
        status["phase"] = "Cordoned" if model.spec.state == "Cordoned" else "Ready"
    if isinstance(model, StorageBackend) and not verdict.ready and any(fact.holds is False for fact in beside):
        status["phase"] = "Degraded"
    if isinstance(model, VirtualBucket):
        status["phase"] = "Bound" if verdict.ready else status["phase"]
        config = findings.compilation.config if findings.compilation else None
        if is_named and config is not None:
            status |= {"bucketName": model.bucket_name, "endpoint": findings.endpoint, "configMapName": model.name}
            status |= {"secretName": generated[0].secret.name, "credentials": reported(generated, observed.now)} if generated else {}
    usage = _part_usage(model, (resource.get("status") or {}).get("usage"), observed)
    return status | ({"usage": usage} if usage else {}) | told.parts


def _served_without(gone: Sequence[Ref]) -> Fact:
    """What lies on a backend stays readable when its Secret is gone; that is no reason to be less ready, and one to be told."""
    named = " and ".join(map(str, gone))
    return Fact("Accepted", True, "SecretGone", f"{named} does not exist: what was read of it before is used; make it again")


def _part_usage(model: StorageBackend | VirtualBucket | None, before: Object | None, observed: Observed) -> Object | None:
    """What was reported before, while nobody knows better."""
    report = counting_report(observed)
    if report and isinstance(model, StorageBackend) and (backend := report.backends.get(model.backend_name)):
        return backend_usage(backend, before, observed.now)
    if report and isinstance(model, VirtualBucket) and (bucket := report.buckets.get(model.bucket_name)):
        return bucket_usage(bucket, before, observed.now)
    return before
