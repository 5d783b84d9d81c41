"""`Observed` → `Plan`: all choices of the operator are made here and in what this calls.

Key pairs and the admin token first, and alone: nothing is built on a key that is not yet in the registry. Then children, in the order in
which they need each other. Then what is no longer wanted goes, and what the proxies are to do is asked of them. Statuses last. What becomes
of a resource because of a trigger or its deletion is decided before all this, by `lifecycle`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from s3o_crds.access import Standing
from s3o_crds.compile import Compilation, Kept, Rejection, compile  # noqa: A004  the name that the design gives it
from s3o_crds.compiled import SecretRef
from s3o_crds.layout import TooLarge
from s3o_crds.v1alpha1 import S3Orchestrator, VirtualBucket
from s3o_crds.values import Duration
from s3o_operator.plan.actions import Action, Delete, Ensure, Latch, MintToken, Plan, step_of
from s3o_operator.plan.bucket_children import children_of_buckets
from s3o_operator.plan.children import Children, children_of, deployment_ref, restart_stamp, usable
from s3o_operator.plan.credentials import Credentials, as_given, credentials_in
from s3o_operator.plan.drift import difference
from s3o_operator.plan.findings import Findings
from s3o_operator.plan.freezing import frozen_in
from s3o_operator.plan.handover import steps
from s3o_operator.plan.identity import expected_id, to_note
from s3o_operator.plan.leftovers import leftovers
from s3o_operator.plan.lifecycle import decide_fates, earliest, last_steps, not_protected, releases, still_served, unprotected
from s3o_operator.plan.manifests.admin import admin_token_in, build_admin_secret
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.config import previous_config, previous_values
from s3o_operator.plan.manifests.labels import (
    admin_name,
    config_name,
    controller_of,
    data_name,
    is_left_over,
    is_ours,
    owner_in,
)
from s3o_operator.plan.manifests.routes import build_certificate
from s3o_operator.plan.manifests.service import endpoint_of
from s3o_operator.plan.observed import Key, Object, Observed, Ref, ref_of
from s3o_operator.plan.pausing import is_paused, paused_plan
from s3o_operator.plan.reading import Reading, read
from s3o_operator.plan.removal import is_leaving
from s3o_operator.plan.reports import statuses
from s3o_operator.plan.rotation import before_all_else, due
from s3o_operator.plan.standing import standing_in
from s3o_operator.plan.strays import strays

_SHUTDOWN_DELAY = Duration("10s")
"""Within it, every node has learnt that a pod is leaving, and sends it no more new connections."""


def plan(observed: Observed) -> Plan:
    """What is refused of one resource's first steps holds up that resource. Of anything else all of it may be built on: then no more is
    done than to say so."""
    note = to_note(observed)
    says_only = any(one.step is None for one in observed.failures) or (note is not None and not _untried([note], observed))
    planned = _plan(observed, note, says_only=says_only)
    return planned.statuses() if says_only else planned


def _plan(observed: Observed, note: Latch | None, *, says_only: bool) -> Plan:
    everything = read(observed)
    fates = decide_fates(observed, everything)
    if everything.orchestrator is None or observed.orchestrator is None or is_leaving(observed.orchestrator):
        # Its children go with it, by their owner references. Nothing is made for what is going, and nothing waits for it.
        return Plan((*strays(fates, observed), *releases(fates, observed), *statuses(observed, everything, Findings(fates=fates.by_ref))))
    if is_paused(observed.orchestrator):
        return paused_plan(observed.orchestrator, observed.now)
    if note and not says_only:
        return Plan((note,))
    unmeant = strays(fates, observed)
    frozen, orchestrator = frozen_in(observed, everything), everything.orchestrator
    reading, fates = still_served(frozen.without(everything), fates), fates.without(frozen.refs)
    standing = standing_in(observed, reading, frozen.aside(everything, reading))
    credentials = credentials_in(observed, reading, standing)
    compilation = _compile(observed, reading, orchestrator, credentials, standing, frozen.kept)
    first: list[Action] = [*_missing_token(observed, reading), *fates.latches]
    if compilation.config is not None:
        first += before_all_else(observed, reading, credentials, compilation.rejections)
    protects = unprotected(reading, compilation)
    if not says_only and (first := _untried(first, observed) or _untried(protects, observed)):
        return Plan(tuple(first))
    # Who is served already stays so: what is stored there must be found.
    if new := [protect for protect in protects if protect.ref not in standing.attached]:
        credentials.refused |= not_protected(new, observed)
        compilation = _compile(observed, reading, orchestrator, credentials, standing, frozen.kept)
    try:
        wanted = _wanted(observed, reading, orchestrator, compilation, credentials)
    except TooLarge as error:
        compilation = _refused_whole(compilation, orchestrator, str(error))
        wanted = _wanted(observed, reading, orchestrator, compilation, credentials)
    conflicts = _conflicts(observed, wanted)
    # Before a resource of the same name can be served, or one that had asked for them is gone.
    actions = [*unmeant, *_towards(observed, reading, compilation, wanted, conflicts), *last_steps(fates, observed, compilation)]
    endpoint = endpoint_of(observed.key, orchestrator)
    findings = Findings(compilation, conflicts, credentials.generated, wanted.missing, endpoint, fates.by_ref, frozen.refs)
    rejected = {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    served = [one for bucket, all_ in credentials.generated.items() if bucket not in rejected for one in all_]
    return Plan((*actions, *statuses(observed, everything, findings)), earliest(due(served, observed.now), fates.due(observed.now)))


def _untried(actions: Sequence[Action], observed: Observed) -> list[Action]:
    """Without what was refused already."""
    return [one for one in actions if step_of(one) not in observed.stuck]


def _refused_whole(compilation: Compilation, orchestrator: S3Orchestrator, message: str) -> Compilation:
    refused = Rejection(*_ref(orchestrator), "ConfigTooLarge", message)
    return Compilation(None, {}, (*compilation.rejections, refused))


def _missing_token(observed: Observed, reading: Reading) -> list[MintToken]:
    """None where a foreign object has its name: that is a conflict, reported with the others."""
    ref = Ref("Secret", observed.key.namespace, admin_name(observed.key))
    live, owner = observed.live.get(ref), reading.raw[Ref("S3Orchestrator", *observed.key)]
    if admin_token_in(live) or _is_foreign(build_admin_secret(observed.key, owner, ""), observed):
        return []
    return [MintToken(owner, ref, "missing" if live is None else "damaged")]


def _compile(
    observed: Observed, reading: Reading, orchestrator: S3Orchestrator, credentials: Credentials, standing: Standing, kept: Kept
) -> Compilation:
    live = observed.live.get(Ref("Secret", observed.key.namespace, config_name(observed.key)))
    reported = (observed.orchestrator or {}).get("status", {}).get("config", {})
    buckets, secrets = as_given(credentials, reading, observed.now)
    return compile(
        _with_shutdown_delay(orchestrator),
        reading.backends,
        buckets,
        secrets,
        refused=credentials.refused.values(),
        standing=standing,
        previous=previous_config(observed.key.name, live, reported),
        held=previous_values(live),
        kept=kept,
        database_id=expected_id(observed),
    )


def _with_shutdown_delay(orchestrator: S3Orchestrator) -> S3Orchestrator:
    """The default of a cluster, where a proxy that leaves has others beside it; a single one would only be away for longer."""
    spec = orchestrator.spec
    if spec.server.shutdown_delay is not None or spec.database is None or spec.database.driver == "SQLite":
        return orchestrator
    server = spec.server.model_copy(update={"shutdown_delay": _SHUTDOWN_DELAY})
    return orchestrator.model_copy(update={"spec": spec.model_copy(update={"server": server})})


@dataclass
class _Wanted:
    """Manifests in the order in which they are applied. `is_all`: what is not among them is not wanted.

    `fewest`: proxies that a new fleet starts with, where an autoscaler decides later.
    """

    manifests: list[Object] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    is_all: bool = False
    fewest: int = 1

    def add(self, children: Children) -> None:
        self.manifests += children.manifests
        self.missing += children.missing


def _wanted(
    observed: Observed, reading: Reading, orchestrator: S3Orchestrator, compilation: Compilation, credentials: Credentials
) -> _Wanted:
    """Where the orchestrator itself is refused, what is there stays as it is. Raises TooLarge."""
    key, config, wanted = observed.key, compilation.config, _Wanted()
    owner = reading.raw[_ref(orchestrator)]
    # Even before anything can be compiled: it makes the Secret that is waited for.
    if certificate := build_certificate(key, owner, orchestrator):
        wanted.add(usable([certificate], observed.unusable))
    if config is None:
        return wanted
    token = admin_token_in(observed.live.get(Ref("Secret", key.namespace, admin_name(key))))
    values: Mapping[SecretRef, str] = compilation.secret_values
    blueprint = Blueprint(key, owner, orchestrator, config, values, token, observed.image, restart_stamp(observed))
    wanted.add(children_of(blueprint, observed))
    wanted.is_all, wanted.fewest = True, orchestrator.spec.proxy.autoscaling.min_replicas
    wanted.manifests += children_of_buckets(observed, reading, orchestrator, compilation, credentials)
    return wanted


def _conflicts(observed: Observed, wanted: _Wanted) -> dict[Ref, str]:
    foreign = [one for one in wanted.manifests if _is_foreign(one, observed) and not _is_left_over(one, observed)]
    return {ref_of(manifest): controller_of(manifest) for manifest in foreign}


def _towards(observed: Observed, reading: Reading, compilation: Compilation, wanted: _Wanted, conflicts: Mapping[Ref, str]) -> list[Action]:
    left_over = {ref_of(manifest): observed.live[ref_of(manifest)] for manifest in wanted.manifests if _is_left_over(manifest, observed)}
    gone = _no_longer_wanted(observed, reading, {ref_of(manifest) for manifest in wanted.manifests}, compilation) if wanted.is_all else []
    # First, or it would go on to decide what is ours to decide again.
    actions: list[Action] = [one for one in gone if one.ref.kind == "HorizontalPodAutoscaler"]
    for manifest in wanted.manifests:
        ref, live = ref_of(manifest), observed.live.get(ref_of(manifest))
        if ref in conflicts or (ref.kind == "Deployment" and _mounted_names(observed.key) & conflicts.keys()):
            continue
        if ref in left_over:
            # It cannot have two owners. What was in it is in the registry by now.
            actions.append(Delete(ref, left_over[ref]["metadata"]["uid"]))
            live = None
        if why := difference(manifest, live):
            actions += steps(manifest, live, why, wanted.fewest) if ref == deployment_ref(observed.key) else [Ensure(manifest, why)]
    return actions + [one for one in gone if one not in actions]


def _mounted_names(key: Key) -> set[Ref]:
    """What pods are given, as their configuration, their token or their database: never something of somebody else."""
    secrets = {Ref("Secret", key.namespace, name) for name in (config_name(key), admin_name(key))}
    return secrets | {Ref("PersistentVolumeClaim", key.namespace, data_name(key))}


def _no_longer_wanted(observed: Observed, reading: Reading, wanted: set[Ref], compilation: Compilation) -> list[Delete]:
    """Children of what is here and served. A rejected bucket keeps what its application has mounted: it may be served again."""
    rejected = {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    return leftovers(observed, {document["metadata"]["uid"] for ref, document in reading.raw.items() if ref not in rejected}, wanted)


def _is_left_over(manifest: Object, observed: Observed) -> bool:
    live, owner = observed.live.get(ref_of(manifest)), owner_in(manifest)
    if live is None or owner is None or is_ours(live, manifest):
        return False
    return owner.kind == "VirtualBucket" and is_left_over(live, owner)


def _is_foreign(manifest: Object, observed: Observed) -> bool:
    live = observed.live.get(ref_of(manifest))
    return live is not None and not is_ours(live, manifest)


def _ref(resource: S3Orchestrator | VirtualBucket) -> Ref:
    return Ref(resource.kind, resource.namespace, resource.name)
