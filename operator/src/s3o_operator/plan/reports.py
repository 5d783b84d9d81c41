"""What is reported in the status of each resource: a SetStatus where that differs from what stands there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from s3o_crds.compile import Compilation, Rejection
from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket
from s3o_operator.plan.actions import SetStatus
from s3o_operator.plan.children import extras_fact
from s3o_operator.plan.conditions import Fact, Verdict, conditions, refused, waiting
from s3o_operator.plan.credentials import Generated
from s3o_operator.plan.drift import holds
from s3o_operator.plan.fate_report import fated, tell
from s3o_operator.plan.fates import Fate
from s3o_operator.plan.freezing import frozen_status, was_ready
from s3o_operator.plan.health import backend_facts, backend_verdict, database_ready, degraded
from s3o_operator.plan.manifests.labels import proxy_name, selector
from s3o_operator.plan.observed import Object, Observed, Ref, ref_of
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.rollout import Rollout, rollout_of, workers_of
from s3o_operator.plan.rotation import invalid_triggers, kept, reported
from s3o_operator.plan.standing import access_restricted
from s3o_operator.plan.sync import Since, Sync
from s3o_operator.plan.triggers import RECONCILE, request_of
from s3o_operator.plan.usage import backend_usage, bucket_usage, counting_report, total_usage


@dataclass(frozen=True)
class Findings:
    """What the plan found out. `conflicts`: children that cannot be made because a foreign object has their name → uid of their owner."""

    compilation: Compilation | None = None
    conflicts: Mapping[Ref, str] = field(default_factory=dict)
    generated: Mapping[Ref, tuple[Generated, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """What is wanted and cannot be made here, in words."""
    endpoint: str = ""
    fates: Mapping[Ref, Fate] = field(default_factory=dict)
    frozen: frozenset[Ref] = frozenset()


def statuses(observed: Observed, reading: Reading, findings: Findings) -> Iterator[SetStatus]:
    fleet, sync = rollout_of(observed, proxy_name(observed.key)), Sync(observed, findings.compilation)
    counts: dict[str, list[bool]] = {"StorageBackend": [], "VirtualBucket": []}
    parts: list[SetStatus] = []
    parsed: list[StorageBackend | VirtualBucket] = [*reading.backends, *reading.buckets]
    models = {Ref(one.kind, one.namespace, one.name): one for one in parsed}
    for ref, resource in sorted(reading.raw.items()):
        if ref in findings.frozen:
            counts[ref.kind].append(was_ready(resource))
            parts.append(SetStatus(ref, resource["metadata"]["uid"], frozen_status(resource, observed.now)))
        elif ref.kind != "S3Orchestrator":
            model = models.get(ref)
            since = sync.since(resource, model)
            fate = findings.fates.get(ref, Fate(resource))
            verdict = fated(fate, _verdict(ref, resource, model, since, observed, reading, findings, fleet, sync))
            counts[ref.kind].append(verdict.ready)
            status = _part_status(resource, model, since, verdict, observed, findings, fate, sync.secrets_gone(model))
            parts.append(SetStatus(ref, resource["metadata"]["uid"], status))
    orchestrator = observed.orchestrator
    if orchestrator is not None:
        status = _orchestrator_status(observed, reading, findings, fleet, sync, counts)
        parts.append(SetStatus(ref_of(orchestrator), orchestrator["metadata"]["uid"], status))
    resources = {**reading.raw} | ({ref_of(orchestrator): orchestrator} if orchestrator else {})
    parts = [replace(part, status=_seen(resources[part.ref], part.status)) for part in parts]
    return (part for part in parts if _differs(part.status, resources[part.ref].get("status") or {}))


def _seen(resource: Object, status: Object) -> Object:
    """With the token of `reconcile`, which asks for no more than this: what is said now was looked at after it was set."""
    request = request_of(resource, RECONCILE)
    if request is None or not request.token:
        return status
    return status | {"lastHandled": (status.get("lastHandled") or {}) | {RECONCILE.latch: request.token}}


def _differs(wanted: Object, live: Object) -> bool:
    return bool(live.keys() - wanted.keys()) or not holds(wanted, live)


def _verdict(
    ref: Ref,
    resource: Object,
    model: StorageBackend | VirtualBucket | None,
    since: Since | None,
    observed: Observed,
    reading: Reading,
    findings: Findings,
    fleet: Rollout,
    sync: Sync,
) -> Verdict:
    if rejection := _rejection_of(ref, reading, findings):
        return refused(rejection.reason, rejection.message)
    if observed.orchestrator is None:
        return refused("OrchestratorNotFound", f"there is no S3Orchestrator {observed.key}")
    if since is None:
        return waiting("OrchestratorNotReady", f"S3Orchestrator {observed.key} cannot be served now; its status says why")
    own_conflicts = [str(child) for child, owner in sorted(findings.conflicts.items()) if owner == resource["metadata"]["uid"]]
    if own_conflicts:
        return Verdict(ready=False, reason="NameConflict", message=_not_ours(own_conflicts), stalled=True)
    if refusals := _refusals(observed, {resource["metadata"]["uid"]}):
        return Verdict(ready=False, reason="ApplyFailed", message=refusals, stalled=True)
    if not fleet.available:
        return waiting("WaitingForProxies", "no proxy is available yet")
    verdict = sync.served(resource, since)
    if verdict.ready and isinstance(model, StorageBackend):
        return backend_verdict(model.backend_name, observed) or verdict
    return verdict


def _refusals(observed: Observed, owners: set[str]) -> str:
    """What the API server refuses of the children of these. A namespace that is full, say, is the trouble of who is in it, not of all."""
    return "; ".join(one.message for one in observed.failures if one.owner in owners)


def _part_status(
    resource: Object,
    model: StorageBackend | VirtualBucket | None,
    since: Since | None,
    verdict: Verdict,
    observed: Observed,
    findings: Findings,
    fate: Fate,
    gone: Sequence[Ref],
) -> Object:
    told = tell(fate, verdict, observed)
    beside = backend_facts(model.backend_name, observed) if since and isinstance(model, StorageBackend) else []
    beside += [_served_without(gone)] if gone and verdict.accepted else []
    beside += invalid_triggers(resource, generated) if (generated := findings.generated.get(ref_of(resource))) is not None else []
    status: Object = {
        "observedGeneration": resource["metadata"]["generation"],
        "phase": "Failed" if verdict.stalled else "Pending",
        "conditions": conditions(resource, verdict, observed.now, beside=[*beside, *told.facts]),
    }
    if since is not None:
        status["config"] = since.as_status()
    status |= kept(resource, verdict.accepted and verdict.reason != "OrchestratorNotReady")
    status |= {"backendName": model.backend_name} if isinstance(model, StorageBackend) and verdict.accepted else {}
    if isinstance(model, StorageBackend) and verdict.ready:
        status["phase"] = "Cordoned" if model.spec.state == "Cordoned" else "Ready"
    if isinstance(model, StorageBackend) and not verdict.ready and any(fact.holds is False for fact in beside):
        status["phase"] = "Degraded"
    if isinstance(model, VirtualBucket):
        status["phase"] = "Bound" if verdict.ready else status["phase"]
        config = findings.compilation.config if findings.compilation else None
        if verdict.accepted and config is not None:
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


def _orchestrator_status(
    observed: Observed, reading: Reading, findings: Findings, fleet: Rollout, sync: Sync, counts: Mapping[str, list[bool]]
) -> Object:
    resource = observed.orchestrator or {}
    before = resource.get("status") or {}
    verdict, phase = _orchestrator_verdict(observed, reading, findings, fleet, sync)
    beside = [database_ready(observed), sync.condition()]
    status: Object = {
        "observedGeneration": resource["metadata"]["generation"],
        "phase": phase,
        "proxy": {
            "replicas": fleet.wanted,
            "selector": ",".join(f"{name}={value}" for name, value in sorted(selector(observed.key, "proxy").items())),
            "configUpToDateReplicas": sync.up_to_date(),
            "summary": fleet.summary,
        },
        "backends": _count(counts["StorageBackend"]),
        "buckets": _count(counts["VirtualBucket"]),
        "conditions": conditions(
            resource,
            verdict,
            observed.now,
            reconciling=_at_work(verdict, fleet, beside),
            beside=[
                *beside,
                degraded(verdict, phase, beside),
                *access_restricted(observed, reading.orchestrator),
                extras_fact(findings.missing),
            ],
        ),
    }
    if (workers := workers_of(observed, reading)).wanted:
        status["worker"] = {"replicas": workers.wanted, "summary": workers.summary}
    config = findings.compilation.config if findings.compilation else None
    if config is not None:
        status["config"] = {"generation": config.generation, "digest": config.digest}
        status["endpoint"] = findings.endpoint
    kept = {name: before[name] for name in ("config", "endpoint", "usage") if name in before}
    status |= findings.fates.get(ref_of(resource), Fate(resource)).report
    if report := counting_report(observed):
        status["usage"] = total_usage(report.backends.values(), before.get("usage"), observed.now)
    return kept | status


def _at_work(verdict: Verdict, fleet: Rollout, beside: list[Fact]) -> bool:
    """Also while a change is on its way to the proxies, which serve meanwhile."""
    on_its_way = any(fact.type == "ConfigInSync" and fact.holds is False for fact in beside)
    return not verdict.stalled and not (verdict.ready and fleet.settled and not on_its_way)


def _orchestrator_verdict(observed: Observed, reading: Reading, findings: Findings, fleet: Rollout, sync: Sync) -> tuple[Verdict, str]:
    ref = Ref("S3Orchestrator", *observed.key)
    if "deletionTimestamp" in (observed.orchestrator or {"metadata": {}})["metadata"]:
        return waiting("Deleting", "it is being deleted"), "Deleting"
    if rejection := _rejection_of(ref, reading, findings):
        # An issuer needs its time, and nobody need act.
        verdict = waiting if rejection.reason == "CertificatePending" else refused
        return verdict(rejection.reason, rejection.message), "Pending" if not fleet.available else "Degraded"
    own = (observed.orchestrator or {"metadata": {"uid": ""}})["metadata"]["uid"]
    conflicts = [str(child) for child, owner in sorted(findings.conflicts.items()) if owner in ("", own)]
    workers = workers_of(observed, reading)
    problems = [
        ("ApplyFailed", _refusals(observed, {"", own})),
        ("NameConflict", _not_ours(conflicts) if conflicts else ""),
        ("RolloutStuck", fleet.stuck or workers.stuck),
        # While a rollout is under way, those that leave may well refuse what only their successors can take.
        ("ConfigRefused", sync.refusal() if fleet.settled else ""),
    ]
    for reason, message in problems:
        if message:
            return Verdict(ready=False, reason=reason, message=message, stalled=True), "Degraded"
    if fleet.wanted == 0 and fleet.settled:
        # As wanted, and so ready, as a Deployment of none is: nothing is under way, and nobody need act.
        return Verdict(ready=True, reason="ScaledToZero", message="no proxy is wanted, and none runs"), "Ready"
    if fleet.available < fleet.wanted or not fleet.wanted:
        return waiting("ProxiesNotReady", f"{fleet.summary} proxies are available"), "Degraded" if fleet.available else "Deploying"
    if workers.available < workers.wanted:
        return waiting("WorkersNotReady", f"{workers.summary} workers are available"), "Degraded"
    message = f"{fleet.summary} proxies are available"
    return Verdict(ready=True, reason="ProxiesReady", message=message), "Ready" if fleet.settled else "Deploying"


def _rejection_of(ref: Ref, reading: Reading, findings: Findings) -> Rejection | None:
    if ref in reading.rejections:
        return reading.rejections[ref]
    compiled = findings.compilation.rejections if findings.compilation else ()
    return next((one for one in compiled if (one.kind, one.namespace, one.name) == ref), None)


def _not_ours(children: list[str]) -> str:
    return f"{', '.join(children)}: exists and is not ours; remove or rename it"


def _count(ready: list[bool]) -> Object:
    return {"total": len(ready), "ready": sum(ready), "summary": f"{sum(ready)}/{len(ready)}"}
