"""What is reported in the status of each resource: a SetStatus where that differs from what stands there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket
from s3o_operator.plan.actions import SetStatus
from s3o_operator.plan.children import extras_fact
from s3o_operator.plan.conditions import Fact, Verdict, conditions, refused, waiting
from s3o_operator.plan.drift import holds
from s3o_operator.plan.findings import Findings, Scene
from s3o_operator.plan.health import database_ready, degraded
from s3o_operator.plan.identity import REPLACED
from s3o_operator.plan.manifests.labels import selector
from s3o_operator.plan.observed import Object, Observed, Ref, ref_of
from s3o_operator.plan.part_report import PartReport, report_part
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.removal import is_leaving
from s3o_operator.plan.rollout import Rollout
from s3o_operator.plan.standing import access_restricted
from s3o_operator.plan.triggers import RECONCILE, request_of
from s3o_operator.plan.usage import counting_report, total_usage


def statuses(observed: Observed, reading: Reading, findings: Findings) -> Iterator[SetStatus]:
    scene = Scene(observed, reading, findings)
    parsed: list[StorageBackend | VirtualBucket] = [*reading.backends, *reading.buckets]
    models = {Ref(one.kind, one.namespace, one.name): one for one in parsed}
    parts = {ref: report_part(ref, models.get(ref), scene) for ref in sorted(reading.raw) if ref.kind != "S3Orchestrator"}
    told = {ref: part.status for ref, part in parts.items()}
    resources, orchestrator = dict(reading.raw), observed.orchestrator
    if orchestrator is not None:
        resources[ref_of(orchestrator)] = orchestrator
        told[ref_of(orchestrator)] = _orchestrator_status(orchestrator, scene, parts)
    for ref, status in told.items():
        resource, seen = resources[ref], _seen(resources[ref], status)
        if _differs(seen, resource.get("status") or {}):
            yield SetStatus(ref, resource["metadata"]["uid"], seen)


def _seen(resource: Object, status: Object) -> Object:
    """With the token of `reconcile`, which asks for no more than this: what is said now was looked at after it was set."""
    request = request_of(resource, RECONCILE)
    if request is None or not request.token:
        return status
    return status | {"lastHandled": (status.get("lastHandled") or {}) | {RECONCILE.latch: request.token}}


def _differs(wanted: Object, live: Object) -> bool:
    return bool(live.keys() - wanted.keys()) or not holds(wanted, live)


def _orchestrator_status(resource: Object, scene: Scene, parts: Mapping[Ref, PartReport]) -> Object:
    observed, findings, sync, proxies, workers = scene.observed, scene.findings, scene.sync, scene.proxies, scene.workers
    before = resource.get("status") or {}
    verdict, phase = _orchestrator_verdict(resource, scene)
    beside = [database_ready(observed), sync.condition()]
    status: Object = {
        "observedGeneration": resource["metadata"]["generation"],
        "phase": phase,
        "proxy": {
            "replicas": proxies.wanted,
            "selector": ",".join(f"{name}={value}" for name, value in sorted(selector(observed.key, "proxy").items())),
            "configUpToDateReplicas": sync.up_to_date(),
            "summary": proxies.summary,
        },
        "backends": _count(part.ready for ref, part in parts.items() if ref.kind == "StorageBackend"),
        "buckets": _count(part.ready for ref, part in parts.items() if ref.kind == "VirtualBucket"),
        "conditions": conditions(
            resource,
            verdict,
            observed.now,
            reconciling=_at_work(verdict, proxies, beside),
            beside=[
                *beside,
                degraded(verdict, phase, beside),
                *access_restricted(observed, scene.reading.orchestrator),
                extras_fact(findings.missing),
            ],
        ),
    }
    if workers.wanted:
        status["worker"] = {"replicas": workers.wanted, "summary": workers.summary}
    config = findings.compilation.config if findings.compilation else None
    if config is not None:
        status["config"] = {"generation": config.generation, "digest": config.digest}
        status["endpoint"] = findings.endpoint
    kept = {name: before[name] for name in ("config", "database", "endpoint", "usage") if name in before}
    status |= scene.fate_of(ref_of(resource)).report
    if report := counting_report(observed):
        status["usage"] = total_usage(report.backends.values(), before.get("usage"), observed.now)
    return kept | status


def _at_work(verdict: Verdict, proxies: Rollout, beside: list[Fact]) -> bool:
    """Also while a change is on its way to the proxies, which serve meanwhile."""
    on_its_way = any(fact.type == "ConfigInSync" and fact.holds is False for fact in beside)
    return not verdict.stalled and not (verdict.ready and proxies.settled and not on_its_way)


def _orchestrator_verdict(resource: Object, scene: Scene) -> tuple[Verdict, str]:
    proxies, workers = scene.proxies, scene.workers
    if is_leaving(resource):
        return waiting("Deleting", "it is being deleted"), "Deleting"
    if rejection := scene.rejection_of(ref_of(resource)):
        # An issuer needs its time, and nobody need act.
        verdict = waiting if rejection.reason == "CertificatePending" else refused
        return verdict(rejection.reason, rejection.message), "Pending" if not proxies.available else "Degraded"
    # Also what is nobody's: the volume and the registry outlive it.
    own = {"", str(resource["metadata"]["uid"])}
    problems = [
        (REPLACED, scene.replacement),
        ("ApplyFailed", scene.refusals_of(own)),
        ("NameConflict", scene.conflicts_of(own)),
        ("RolloutStuck", proxies.stuck or workers.stuck),
        # While a rollout is under way, those that leave may well refuse what only their successors can take.
        ("ConfigRefused", scene.sync.refusal() if proxies.settled else ""),
    ]
    for reason, message in problems:
        if message:
            return Verdict(ready=False, reason=reason, message=message, stalled=True), "Degraded"
    if proxies.wanted == 0 and proxies.settled:
        # As wanted, and so ready, as a Deployment of none is: nothing is under way, and nobody need act.
        return Verdict(ready=True, reason="ScaledToZero", message="no proxy is wanted, and none runs"), "Ready"
    if proxies.available < proxies.wanted or not proxies.wanted:
        return waiting("ProxiesNotReady", f"{proxies.summary} proxies are available"), "Degraded" if proxies.available else "Deploying"
    if workers.available < workers.wanted:
        return waiting("WorkersNotReady", f"{workers.summary} workers are available"), "Degraded"
    message = f"{proxies.summary} proxies are available"
    return Verdict(ready=True, reason="ProxiesReady", message=message), "Ready" if proxies.settled else "Deploying"


def _count(ready: Iterable[bool]) -> Object:
    each = list(ready)
    return {"total": len(each), "ready": sum(each), "summary": f"{sum(each)}/{len(each)}"}
