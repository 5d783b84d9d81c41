"""`Observed` → `Plan`: all choices of the operator are made here and in what this calls.

Key pairs and the admin token first, and alone: nothing is built on a key that is not yet in the registry. Then children, in the order in
which they need each other. Then what is no longer wanted goes. Statuses last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3o_crds.access import Standing
from s3o_crds.compile import Compilation, compile  # noqa: A004  the name that the design gives it
from s3o_crds.compiled import SecretRef
from s3o_crds.v1alpha1 import S3Orchestrator, VirtualBucket
from s3o_operator.plan.actions import Action, Delete, Ensure, MintToken, Plan
from s3o_operator.plan.credentials import Credentials, as_given, credentials_in
from s3o_operator.plan.drift import difference
from s3o_operator.plan.manifests.admin import admin_token_in, build_admin_secret
from s3o_operator.plan.manifests.application import authority_of, build_application_config, build_application_secret
from s3o_operator.plan.manifests.config import build_config_secret, previous_config
from s3o_operator.plan.manifests.deployment import build_proxy_deployment, build_service_account, build_volume_claim
from s3o_operator.plan.manifests.disruption import build_disruption_budget
from s3o_operator.plan.manifests.labels import (
    APPLIED,
    MANAGED_BY,
    MANAGER,
    admin_name,
    config_name,
    controller_of,
    data_name,
    is_left_over,
    is_ours,
    owner_in,
)
from s3o_operator.plan.manifests.service import build_proxy_service
from s3o_operator.plan.observed import Key, Object, Observed, Ref, ref_of
from s3o_operator.plan.reading import Reading, read
from s3o_operator.plan.reports import Findings, statuses
from s3o_operator.plan.rotation import before_all_else, due
from s3o_operator.plan.standing import standing_in


def plan(observed: Observed) -> Plan:
    reading = read(observed)
    if reading.orchestrator is None or observed.orchestrator is None or "deletionTimestamp" in observed.orchestrator["metadata"]:
        # Its children go with it, by their owner references. Nothing is made for what is going.
        return Plan(tuple(statuses(observed, reading, Findings())))
    standing = standing_in(observed, reading)
    credentials = credentials_in(observed, reading, standing)
    compilation = _compile(observed, reading, reading.orchestrator, credentials, standing)
    rejected = {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    first: list[Action] = [*_missing_token(observed, reading)]
    if compilation.config is not None:
        first += before_all_else(observed, reading, credentials, compilation.rejections)
    if first:
        return Plan(tuple(first))
    wanted = _wanted(observed, reading, reading.orchestrator, compilation, credentials)
    actions = _towards(observed, reading, compilation, credentials, wanted)
    served = [one for bucket, all_ in credentials.generated.items() if bucket not in rejected for one in all_]
    return Plan(tuple(actions), due(served, observed.now))


def _missing_token(observed: Observed, reading: Reading) -> list[MintToken]:
    """None where a foreign object has its name: that is a conflict, reported with the others."""
    ref = Ref("Secret", observed.key.namespace, admin_name(observed.key))
    live, owner = observed.live.get(ref), reading.raw[Ref("S3Orchestrator", *observed.key)]
    if admin_token_in(live) or _is_foreign(build_admin_secret(observed.key, owner, ""), observed):
        return []
    return [MintToken(owner, ref, "missing" if live is None else "damaged")]


def _compile(
    observed: Observed, reading: Reading, orchestrator: S3Orchestrator, credentials: Credentials, standing: Standing
) -> Compilation:
    live = observed.live.get(Ref("Secret", observed.key.namespace, config_name(observed.key)))
    reported = (observed.orchestrator or {}).get("status", {}).get("config", {})
    buckets, secrets = as_given(credentials, reading, observed.now)
    return compile(
        orchestrator,
        reading.backends,
        buckets,
        secrets,
        refused=credentials.refused.values(),
        standing=standing,
        previous=previous_config(observed.key.name, live, reported),
    )


@dataclass
class _Wanted:
    """Manifests in the order in which they are applied."""

    manifests: list[Object] = field(default_factory=list)

    def add(self, manifest: Object | None) -> None:
        if manifest is not None:
            self.manifests.append(manifest)


def _wanted(
    observed: Observed, reading: Reading, orchestrator: S3Orchestrator, compilation: Compilation, credentials: Credentials
) -> _Wanted | None:
    """None when the orchestrator itself is refused: then what is there stays as it is."""
    key, config, wanted = observed.key, compilation.config, _Wanted()
    owner = reading.raw[_ref(orchestrator)]
    if config is None:
        return None
    values: Mapping[SecretRef, str] = compilation.secret_values
    token = admin_token_in(observed.live.get(Ref("Secret", key.namespace, admin_name(key))))
    wanted.add(build_service_account(key, owner))
    wanted.add(build_admin_secret(key, owner, token))
    wanted.add(build_config_secret(key, owner, config, values))
    wanted.add(build_volume_claim(key, orchestrator))
    wanted.add(build_proxy_deployment(key, owner, orchestrator, config, values, token, observed.image))
    wanted.add(build_proxy_service(key, owner))
    wanted.add(build_disruption_budget(key, owner, orchestrator))
    rejected = {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    ca = authority_of(orchestrator, reading.secrets)
    for bucket in sorted(reading.buckets, key=_ref):
        if _ref(bucket) not in rejected:
            bucket_owner = reading.raw[_ref(bucket)]
            for one in credentials.generated[_ref(bucket)]:
                wanted.add(build_application_secret(key, bucket_owner, bucket, one, config, ca))
            wanted.add(build_application_config(key, bucket_owner, bucket, config, ca))
    return wanted


def _towards(
    observed: Observed, reading: Reading, compilation: Compilation, credentials: Credentials, wanted: _Wanted | None
) -> list[Action]:
    actions: list[Action] = []
    manifests = wanted.manifests if wanted else []
    left_over = {ref_of(manifest): observed.live[ref_of(manifest)] for manifest in manifests if _is_left_over(manifest, observed)}
    foreign = [manifest for manifest in manifests if ref_of(manifest) not in left_over and _is_foreign(manifest, observed)]
    conflicts = {ref_of(manifest): controller_of(manifest) for manifest in foreign}
    for manifest in manifests:
        ref = ref_of(manifest)
        if ref in conflicts or (ref.kind == "Deployment" and _mounted_names(observed.key) & conflicts.keys()):
            continue
        if ref in left_over:
            # It cannot have two owners. What was in it is in the registry by now.
            actions.append(Delete(ref, left_over[ref]["metadata"]["uid"]))
        if why := difference(manifest, None if ref in left_over else observed.live.get(ref)):
            actions.append(Ensure(manifest, why))
    if wanted is not None:
        actions += _no_longer_wanted(observed, reading, {ref_of(manifest) for manifest in wanted.manifests}, compilation)
    return [*actions, *statuses(observed, reading, Findings(compilation, conflicts, credentials.generated))]


def _mounted_names(key: Key) -> set[Ref]:
    """What pods are given, as their configuration, their token or their database: never something of somebody else."""
    secrets = {Ref("Secret", key.namespace, name) for name in (config_name(key), admin_name(key))}
    return secrets | {Ref("PersistentVolumeClaim", key.namespace, data_name(key))}


def _no_longer_wanted(observed: Observed, reading: Reading, wanted: set[Ref], compilation: Compilation) -> list[Delete]:
    """Children of what is here and served. A rejected bucket keeps what its application has mounted: it may be served again."""
    rejected = {Ref(one.kind, one.namespace, one.name) for one in compilation.rejections}
    owners = {document["metadata"]["uid"] for ref, document in reading.raw.items() if ref not in rejected}
    return [
        Delete(ref, document["metadata"]["uid"])
        for ref, document in sorted(observed.live.items())
        if ref not in wanted
        and controller_of(document) in owners
        and _was_applied(document)
        and "deletionTimestamp" not in document["metadata"]
    ]


def _was_applied(document: Object) -> bool:
    """By us: ReplicaSets and the like have the same labels and another controller; this is the last guard before something is deleted."""
    metadata = document["metadata"]
    return (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGER and APPLIED in (metadata.get("annotations") or {})


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
