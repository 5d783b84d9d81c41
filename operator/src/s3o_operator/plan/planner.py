"""`Observed` → `Plan`: all choices of the operator are made here and in what this calls.

Key pairs and the admin token first, and alone: nothing is built on a key that is not yet in the registry. Then children, in the order in
which they need each other. Then what is no longer wanted goes. Statuses last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3o_crds.compile import Compilation, Rejection, compile  # noqa: A004  the name that the design gives it
from s3o_crds.compiled import SecretRef
from s3o_crds.parse import Secret
from s3o_crds.v1alpha1 import S3Orchestrator, VirtualBucket
from s3o_crds.v1alpha1.bucket import Credential, CredentialSecretRef
from s3o_operator.plan.actions import Action, Delete, Ensure, MintKeys, MintToken, NewKey, Plan
from s3o_operator.plan.drift import difference
from s3o_operator.plan.manifests.admin import admin_token_in, build_admin_secret
from s3o_operator.plan.manifests.application import build_application_config, build_application_secret
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
    is_ours,
    registry_name,
)
from s3o_operator.plan.manifests.service import build_proxy_service
from s3o_operator.plan.observed import Key, Object, Observed, Ref, ref_of
from s3o_operator.plan.reading import Reading, read
from s3o_operator.plan.registry import KeyPair, build_registry, key_pair_in, read_registry
from s3o_operator.plan.reports import Findings, statuses

_GENERATED = "default"
"""Name of a generated credential."""


def plan(observed: Observed) -> Plan:
    reading = read(observed)
    if reading.orchestrator is None or observed.orchestrator is None or "deletionTimestamp" in observed.orchestrator["metadata"]:
        # Its children go with it, by their owner references. Nothing is made for what is going.
        return Plan(tuple(statuses(observed, reading, Findings())))
    secrets_first: list[Action] = [*_missing_token(observed, reading)]
    pairs = read_registry(observed.live.get(_registry_ref(observed)))
    generated = _with_generated_keys(reading.buckets, observed)
    foreign = _foreign_secrets(generated, observed, reading)
    if new := [_new_key(bucket, observed) for bucket in generated if _ref(bucket) not in foreign and _ref(bucket) not in pairs]:
        registry = build_registry(observed.key)
        if not _is_foreign(registry, observed):
            secrets_first.append(MintKeys(registry, tuple(sorted(new, key=lambda key: key.bucket))))
    if secrets_first:
        return Plan(tuple(secrets_first))
    compilation = _compile(observed, reading, reading.orchestrator, generated, pairs, foreign)
    wanted = _wanted(observed, reading, reading.orchestrator, compilation, pairs)
    return _towards(observed, reading, compilation, wanted)


def _missing_token(observed: Observed, reading: Reading) -> list[MintToken]:
    """None where a foreign object has its name: that is a conflict, reported with the others."""
    ref = Ref("Secret", observed.key.namespace, admin_name(observed.key))
    live, owner = observed.live.get(ref), reading.raw[Ref("S3Orchestrator", *observed.key)]
    if admin_token_in(live) or _is_foreign(build_admin_secret(observed.key, owner, ""), observed):
        return []
    return [MintToken(owner, ref, "missing" if live is None else "damaged")]


def _with_generated_keys(buckets: list[VirtualBucket], observed: Observed) -> list[VirtualBucket]:
    return [bucket for bucket in buckets if not bucket.spec.credentials and bucket.namespace == observed.key.namespace]


def _foreign_secrets(generated: list[VirtualBucket], observed: Observed, reading: Reading) -> dict[Ref, Rejection]:
    """Buckets whose Secret would have the name of one that is not ours. It is never overwritten."""
    rejections = {}
    for bucket in generated:
        secret = observed.live.get(Ref("Secret", bucket.namespace, bucket.name))
        if secret is not None and controller_of(secret) != reading.raw[_ref(bucket)]["metadata"]["uid"]:
            message = f"Secret {bucket.namespace}/{bucket.name} exists and is not ours: remove it, or name one in spec.credentials"
            rejections[_ref(bucket)] = Rejection(*_ref(bucket), "SecretConflict", message)
    return rejections


def _new_key(bucket: VirtualBucket, observed: Observed) -> NewKey:
    secret_ref = Ref("Secret", bucket.namespace, bucket.name)
    secret = observed.live.get(secret_ref)
    return NewKey(_ref(bucket), secret_ref if secret is not None and key_pair_in(secret) else None)


def _compile(
    observed: Observed,
    reading: Reading,
    orchestrator: S3Orchestrator,
    generated: list[VirtualBucket],
    pairs: Mapping[Ref, KeyPair],
    foreign: Mapping[Ref, Rejection],
) -> Compilation:
    """A generated key pair is compiled as what it will be: a Secret of the bucket's name. What really stands there is not asked."""
    ready = {_ref(bucket): bucket for bucket in generated if _ref(bucket) in pairs and _ref(bucket) not in foreign}
    made = {(bucket.namespace, bucket.name): _secret_of(bucket, pairs[ref]) for ref, bucket in ready.items()}
    others = [secret for secret in reading.secrets if (secret.namespace, secret.name) not in made]
    live = observed.live.get(Ref("Secret", observed.key.namespace, config_name(observed.key)))
    reported = (observed.orchestrator or {}).get("status", {}).get("config", {})
    return compile(
        orchestrator,
        reading.backends,
        [_naming_its_secret(bucket) if _ref(bucket) in ready else bucket for bucket in reading.buckets],
        [*others, *made.values()],
        refused=foreign.values(),
        previous=previous_config(observed.key.name, live, reported),
    )


def _naming_its_secret(bucket: VirtualBucket) -> VirtualBucket:
    credential = Credential(name=_GENERATED, secret_ref=CredentialSecretRef(name=bucket.name))
    return bucket.model_copy(update={"spec": bucket.spec.model_copy(update={"credentials": (credential,)})})


def _secret_of(bucket: VirtualBucket, pair: KeyPair) -> Secret:
    values = {"AWS_ACCESS_KEY_ID": pair.access_key_id, "AWS_SECRET_ACCESS_KEY": pair.secret_access_key}
    return Secret(api_version="v1", kind="Secret", metadata=bucket.metadata, string_data=values)


@dataclass
class _Wanted:
    """Manifests in the order in which they are applied."""

    manifests: list[Object] = field(default_factory=list)

    def add(self, manifest: Object | None) -> None:
        if manifest is not None:
            self.manifests.append(manifest)


def _wanted(
    observed: Observed, reading: Reading, orchestrator: S3Orchestrator, compilation: Compilation, pairs: Mapping[Ref, KeyPair]
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
    for bucket in sorted(reading.buckets, key=lambda bucket: bucket.name):
        if _ref(bucket) not in rejected:
            bucket_owner = reading.raw[_ref(bucket)]
            if not bucket.spec.credentials:
                wanted.add(build_application_secret(key, bucket_owner, pairs[_ref(bucket)]))
            wanted.add(build_application_config(key, bucket_owner, bucket, config))
    return wanted


def _towards(observed: Observed, reading: Reading, compilation: Compilation, wanted: _Wanted | None) -> Plan:
    actions: list[Action] = []
    manifests = wanted.manifests if wanted else []
    conflicts = {ref_of(manifest): controller_of(manifest) for manifest in manifests if _is_foreign(manifest, observed)}
    for manifest in manifests:
        ref = ref_of(manifest)
        if ref in conflicts or (ref.kind == "Deployment" and _mounted_names(observed.key) & conflicts.keys()):
            continue
        if why := difference(manifest, observed.live.get(ref)):
            actions.append(Ensure(manifest, why))
    if wanted is not None:
        actions += _no_longer_wanted(observed, reading, {ref_of(manifest) for manifest in wanted.manifests}, compilation)
    return Plan((*actions, *statuses(observed, reading, Findings(compilation, conflicts))))


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


def _is_foreign(manifest: Object, observed: Observed) -> bool:
    live = observed.live.get(ref_of(manifest))
    return live is not None and not is_ours(live, manifest)


def _registry_ref(observed: Observed) -> Ref:
    return Ref("Secret", observed.key.namespace, registry_name(observed.key))


def _ref(resource: S3Orchestrator | VirtualBucket) -> Ref:
    return Ref(resource.kind, resource.namespace, resource.name)
