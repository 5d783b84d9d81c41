"""The credentials that the operator makes: which there are, in which Secret each stands for its application, and what the proxies are told.

A key goes from the registry into the configuration and into the application's Secret, never the other way (but when the registry was lost:
`apply.mint`). So both are copies, and what becomes of them can be mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from s3o_crds.access import Standing
from s3o_crds.claims import standing_of
from s3o_crds.compile import Rejection
from s3o_crds.meta import Metadata
from s3o_crds.parse import Secret
from s3o_crds.v1alpha1 import VirtualBucket
from s3o_crds.v1alpha1.bucket import Credential, CredentialSecretRef, Generate, Rotation, SecretTemplate
from s3o_operator.plan.manifests.labels import controller_of, is_left_over
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.registry import AWS_KEYS, COSI_KEYS, TOKEN_KEY, CredentialRef, Entry, KeyPair, Retired, read_registry, shards_of

KEYS_PENDING = "KeysPending"
"""Reason of a bucket that will be served as soon as its keys are in the registry: it passes everything else."""

_BY_DEFAULT = Credential(name="default", generate=Generate())
_MOST_NAME = 253


@dataclass(frozen=True)
class Generated:
    """One credential that the operator makes. `secret`: for the application. `entry`: None until it is in the registry."""

    ref: CredentialRef
    secret: Ref
    template: SecretTemplate
    grace_ms: int
    entry: Entry | None = None


@dataclass
class Credentials:
    """Those of all buckets of an orchestrator. `refused`: buckets whose Secret cannot be made, or whose keys are not there yet."""

    generated: dict[Ref, tuple[Generated, ...]] = field(default_factory=dict)
    refused: dict[Ref, Rejection] = field(default_factory=dict)


def credentials_in(observed: Observed, reading: Reading, standing: Standing) -> Credentials:
    """Of two that want one Secret, the one with the better standing gets it."""
    entries = read_registry(shards_of(observed.key, observed.live.values()))
    found, claimed = Credentials(), dict[Ref, CredentialRef]()
    for bucket in sorted(reading.buckets, key=lambda one: standing_of(one, standing.attached)):
        here = Ref(bucket.kind, bucket.namespace, bucket.name)
        generated = [_generated(bucket, one, entries) for one in bucket.spec.credentials or (_BY_DEFAULT,) if one.generate is not None]
        attached = here in standing.attached
        problems = [text for one in generated if (text := _problem(one, here, reading.raw[here], observed, claimed, attached))]
        if problems:
            found.refused[here] = Rejection(*here, "SecretConflict", "; ".join(problems))
        elif any(one.entry is None for one in generated):
            found.refused[here] = Rejection(*here, KEYS_PENDING, "its keys are being made")
        found.generated[here] = tuple(generated)
    return found


def _generated(bucket: VirtualBucket, credential: Credential, entries: Mapping[CredentialRef, Entry]) -> Generated:
    ref = CredentialRef(bucket.namespace, bucket.name, credential.name, credential.type)
    template = credential.secret_template or SecretTemplate()
    # By its own name and not by its place in a list: two writers may order a list anew.
    default = bucket.name if credential.name == _BY_DEFAULT.name else f"{bucket.name}-{credential.name}"
    secret = Ref("Secret", bucket.namespace, template.name or default)
    return Generated(ref, secret, template, (credential.rotation or Rotation()).grace_period.ms, entries.get(ref))


def _problem(one: Generated, bucket: Ref, raw: Object, observed: Observed, claimed: dict[Ref, CredentialRef], attached: bool) -> str:
    secret = one.secret
    which = f"{secret} for credential {one.ref.name}"
    if len(secret.name) > _MOST_NAME:
        return f"{which}: the name is too long; set secretTemplate.name"
    if _is_childs_name(secret, observed):
        return f"{which}: the orchestrator itself needs that name; set secretTemplate.name"
    if (first := claimed.setdefault(secret, one.ref)) != one.ref:
        return f"{which}: {first} has it; set secretTemplate.name"
    live = observed.live.get(secret)
    foreign = live is not None and controller_of(live) != raw["metadata"]["uid"] and not is_left_over(live, bucket)
    # A bucket in use is not torn down for it: that is a conflict about one child, and reported so.
    return f"{which}: exists and is not ours; remove it, or set secretTemplate.name or secretRef" if foreign and not attached else ""


def _is_childs_name(secret: Ref, observed: Observed) -> bool:
    own = rf"{re.escape(observed.key.name)}-(admin|config|registry|static|tls)(-[0-9a-f]+)?"
    return secret.namespace == observed.key.namespace and re.fullmatch(own, secret.name) is not None


def as_given(credentials: Credentials, reading: Reading, now: str) -> tuple[list[VirtualBucket], list[Secret]]:
    """What `compile` is given: each generated credential as a reference to the Secret that it will be, each retired one likewise.

    What really stands there is not asked: it may be edited, or a moment late.
    """
    served = [all_ for bucket, all_ in credentials.generated.items() if bucket not in credentials.refused]
    entries = {one.secret: one.entry for all_ in served for one in all_ if one.entry is not None}
    retired = {secret: entry.working(now) for secret, entry in entries.items()}
    made = [_secret(secret, entry.pair) for secret, entry in entries.items()]
    old = [_secret(_old_name(secret, number), one.pair) for secret, all_ in retired.items() for number, one in enumerate(all_)]
    others = [secret for secret in reading.secrets if Ref("Secret", secret.namespace, secret.name) not in entries]
    return [_naming_secrets(bucket, credentials, retired) for bucket in reading.buckets], [*others, *made, *old]


_RetiredOf = Mapping[Ref, tuple[Retired, ...]]
"""By the Secret that the credential has."""


def _naming_secrets(bucket: VirtualBucket, credentials: Credentials, retired: _RetiredOf) -> VirtualBucket:
    here = Ref(bucket.kind, bucket.namespace, bucket.name)
    if here in credentials.refused:
        return bucket
    secrets = {one.ref.name: one.secret for one in credentials.generated[here]}
    named = [with_ref for one in bucket.spec.credentials or (_BY_DEFAULT,) for with_ref in _each(one, bucket.namespace, secrets, retired)]
    return bucket.model_copy(update={"spec": bucket.spec.model_copy(update={"credentials": tuple(named)})})


def _each(one: Credential, namespace: str, generated: Mapping[str, Ref], retired: _RetiredOf) -> Iterator[Credential]:
    secret = generated.get(one.name) or Ref("Secret", namespace, one.secret_ref.name if one.secret_ref else "")
    ref = one.secret_ref or CredentialSecretRef.model_construct(name=secret.name)
    yield one.model_copy(update={"secret_ref": ref})
    # A bucket that names the generated Secret of another by secretRef keeps up with its rotation, too.
    for number, _ in enumerate(retired.get(secret, ())):
        old = ref.model_copy(update={"name": _old_name(secret, number).name})
        yield one.model_copy(update={"name": f"{one.name}.previous-{number}", "secret_ref": old})


def _old_name(secret: Ref, number: int) -> Ref:
    """No Secret can have this name: a tilde is not allowed."""
    return secret._replace(name=f"{secret.name}~previous-{number}")


def _secret(ref: Ref, pair: KeyPair) -> Secret:
    metadata = Metadata.model_construct(name=ref.name, namespace=ref.namespace)
    return Secret.model_construct(api_version="v1", kind="Secret", metadata=metadata, string_data=names_of(pair))


def names_of(pair: KeyPair) -> dict[str, str]:
    """Under every name that a reference may use."""
    if not pair.access_key_id:
        return {TOKEN_KEY: pair.secret_access_key}
    return {name: value for names in (AWS_KEYS, COSI_KEYS) for name, value in zip(names, _halves(pair), strict=True)}


def _halves(pair: KeyPair) -> tuple[str, str]:
    return pair.access_key_id, pair.secret_access_key
