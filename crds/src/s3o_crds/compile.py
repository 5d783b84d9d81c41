"""Custom resources and Secrets → one FleetConfig, and a rejection for each resource that cannot be served.

Pure: the operator calls it with what the API server holds, `s3o run` with what files hold. A bad backend or bucket is left out by name
and the rest is served; a bad orchestrator is fatal, since nothing can be served without it.

What two resources both want, the older one has, whatever else may be wrong with it: if a fault in the older one promoted the younger,
the data of one would appear under the name of the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from s3o_crds.compiled import BackendConfig, BucketConfig, CredentialConfig, FleetConfig, SecretRef
from s3o_crds.digest import digest_of
from s3o_crds.parse import Secret
from s3o_crds.resolve import (
    Refused,
    SecretBook,
    SecretReader,
    physical_location,
    resolve_backend,
    resolve_cleanup,
    resolve_credential,
    resolve_database,
    resolve_server,
)
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket


@dataclass(frozen=True, order=True)
class Rejection:
    """Why one resource is not served. `reason`: CamelCase, as in a condition; `message`: a sentence that holds no secret."""

    kind: str
    namespace: str
    name: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}: {self.reason}: {self.message}"


@dataclass(frozen=True)
class Compilation:
    """`config` is None when the orchestrator itself is refused. `secret_values` holds exactly the secrets that the config names."""

    config: FleetConfig | None
    secret_values: Mapping[SecretRef, str] = field(repr=False)
    rejections: tuple[Rejection, ...] = ()


def compile(  # noqa: A001  the name that the design gives it; the builtin is not used here
    orchestrator: S3Orchestrator,
    backends: Iterable[StorageBackend],
    buckets: Iterable[VirtualBucket],
    secrets: Iterable[Secret],
    *,
    refused: Iterable[Rejection] = (),
    generation: int = 1,
    previous: FleetConfig | None = None,
) -> Compilation:
    """Resources that refer to another orchestrator are ignored. What the caller `refused` for reasons of its own keeps what it claims.

    With `previous`, an unchanged config keeps its generation and a changed one gets a higher one; never less than `generation` then.
    """
    book = SecretBook(secrets)
    own = SecretReader(book, orchestrator.namespace)
    try:
        server, database = resolve_server(orchestrator, own), resolve_database(orchestrator, own)
    except Refused as fatal:
        return Compilation(None, {}, (_rejection(orchestrator, fatal),))
    refusals = {(one.kind, one.namespace, one.name): Refused(one.reason, one.message) for one in refused}
    served_backends, backend_values, backend_rejections = _compile_backends(orchestrator, backends, book, refusals)
    served_buckets, bucket_values, bucket_rejections = _compile_buckets(orchestrator, buckets, book, refusals)
    values = own.values | backend_values | bucket_values
    config = FleetConfig(
        name=orchestrator.name,
        generation=generation,
        server=server,
        database=database,
        routing_strategy=orchestrator.spec.routing.strategy,
        cleanup=resolve_cleanup(orchestrator),
        backends=tuple(sorted(served_backends, key=lambda backend: (backend.order, backend.name))),
        buckets=tuple(sorted(served_buckets, key=lambda bucket: bucket.name)),
    )
    return Compilation(_numbered(config, values, previous), values, tuple(sorted(backend_rejections + bucket_rejections)))


_Refusals = Mapping[tuple[str, str, str], Refused]
"""By kind, namespace and name."""


def _compile_backends(
    orchestrator: S3Orchestrator, backends: Iterable[StorageBackend], book: SecretBook, refusals: _Refusals
) -> tuple[list[BackendConfig], dict[SecretRef, str], list[Rejection]]:
    served: list[BackendConfig] = []
    values: dict[SecretRef, str] = {}
    rejections: list[Rejection] = []
    names, places = _Claims("BackendNameConflict"), _Claims("SameBucketTwice")
    for backend in sorted((one for one in backends if _belongs(one, orchestrator)), key=_age):
        secrets = SecretReader(book, backend.namespace)
        try:
            _refuse_foreign_namespace(backend, orchestrator)
            names.claim(backend.backend_name, backend, f"the name {backend.backend_name} is already taken by")
            places.claim(physical_location(backend), backend, "its bytes would be counted twice: endpoint and bucket are those of")
            _refuse_as_told(backend, refusals)
            served.append(resolve_backend(backend, secrets))
            values |= secrets.values
        except Refused as refused:
            rejections.append(_rejection(backend, refused))
    return served, values, rejections


def _compile_buckets(
    orchestrator: S3Orchestrator, buckets: Iterable[VirtualBucket], book: SecretBook, refusals: _Refusals
) -> tuple[list[BucketConfig], dict[SecretRef, str], list[Rejection]]:
    served: list[BucketConfig] = []
    values: dict[SecretRef, str] = {}
    rejections: list[Rejection] = []
    names, keys = _Claims("BucketNameConflict"), _KeyClaims()
    for bucket in sorted((one for one in buckets if _belongs(one, orchestrator)), key=_age):
        secrets = SecretReader(book, bucket.namespace)
        try:
            _refuse_foreign_namespace(bucket, orchestrator)
            names.claim(bucket.bucket_name, bucket, f"the name {bucket.bucket_name} is already taken by")
            _refuse_as_told(bucket, refusals)
            credentials = _resolve_credentials(bucket, secrets, keys)
        except Refused as refused:
            rejections.append(_rejection(bucket, refused))
            continue
        most_uploads = bucket.spec.max_multipart_uploads or None
        served.append(BucketConfig(name=bucket.bucket_name, max_multipart_uploads=most_uploads, credentials=credentials))
        values |= secrets.values
    return served, values, rejections


def _resolve_credentials(bucket: VirtualBucket, secrets: SecretReader, keys: _KeyClaims) -> tuple[CredentialConfig, ...]:
    if not bucket.spec.credentials:
        raise Refused("NoCredentials", "spec.credentials is empty: nobody could use the bucket")
    resolved: list[CredentialConfig] = []
    problems: list[Refused] = []
    for credential in bucket.spec.credentials:
        try:
            config = resolve_credential(credential, secrets)
            resolved.append(config)
            keys.claim(config, secrets.values, bucket)
        except Refused as refused:
            problems.append(refused)  # not raised yet: the keys of the other credentials are claimed all the same
    if problems:
        raise Refused(problems[0].reason, "; ".join(problem.message for problem in problems))
    return tuple(sorted(resolved, key=lambda credential: credential.name))


class _Claims:
    """Who has what. Asked in the order of age, so that the oldest wins."""

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._owners: dict[object, StorageBackend | VirtualBucket] = {}

    def claim(self, thing: object, claimant: StorageBackend | VirtualBucket, refusal: str) -> None:
        owner = self._owners.get(thing)
        if owner is not None:
            who = "this object itself" if owner is claimant else f"the older {owner.kind} {owner.namespace}/{owner.name}"
            raise Refused(self._reason, f"{refusal} {who}")
        self._owners[thing] = claimant


class _KeyClaims:
    """Who may use which key pair or token. The same one may open several buckets (so that objects can be copied between them); an access
    key id with two secrets would make its meaning depend on who is asked first."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[str, VirtualBucket]] = {}
        self._listed: set[tuple[str, str, str, str]] = set()

    def claim(self, credential: CredentialConfig, values: Mapping[SecretRef, str], bucket: VirtualBucket) -> None:
        identity = (credential.type, values[credential.token or credential.access_key_id])
        what = f"the {'token' if credential.type == 'Token' else 'access key id'} of credential {credential.name}"
        place = (*identity, bucket.namespace, bucket.name)
        if place in self._listed:
            raise Refused("AccessKeyConflict", f"{what} is already in use by this object itself")
        secret = values[credential.secret_access_key] if credential.secret_access_key else ""
        known, owner = self._first.setdefault(identity, (secret, bucket))
        if known != secret:
            raise Refused("AccessKeyConflict", f"{what} has another secret in the older {owner.kind} {owner.namespace}/{owner.name}")
        self._listed.add(place)


def _belongs(resource: StorageBackend | VirtualBucket, orchestrator: S3Orchestrator) -> bool:
    ref = resource.spec.orchestrator_ref
    return (ref.namespace or resource.namespace, ref.name) == (orchestrator.namespace, orchestrator.name)


def _refuse_foreign_namespace(resource: StorageBackend | VirtualBucket, orchestrator: S3Orchestrator) -> None:
    if resource.namespace != orchestrator.namespace:
        whose = f"S3Orchestrator {orchestrator.namespace}/{orchestrator.name}"
        raise Refused("NotAllowedByOrchestrator", f"{whose} takes only objects of its own namespace, not of {resource.namespace}")


def _refuse_as_told(resource: StorageBackend | VirtualBucket, refusals: _Refusals) -> None:
    told = refusals.get((resource.kind, resource.namespace, resource.name))
    if told is not None:
        raise told


def _age(resource: StorageBackend | VirtualBucket) -> tuple[float, str, str]:
    """Files have no age, and count as younger than what the API server holds; among equals the name decides."""
    created = resource.metadata.creation_timestamp
    seconds = math.inf if created is None else created.replace(tzinfo=created.tzinfo or UTC).timestamp()
    return seconds, resource.namespace, resource.name


def _numbered(config: FleetConfig, values: Mapping[SecretRef, str], previous: FleetConfig | None) -> FleetConfig:
    if previous is not None:
        unchanged = _with_digest(config.model_copy(update={"generation": previous.generation}), values)
        if unchanged.digest == previous.digest:
            return unchanged
        config = config.model_copy(update={"generation": max(config.generation, previous.generation + 1)})
    return _with_digest(config, values)


def _with_digest(config: FleetConfig, values: Mapping[SecretRef, str]) -> FleetConfig:
    return config.model_copy(update={"digest": digest_of(config, values)})


def _rejection(resource: S3Orchestrator | StorageBackend | VirtualBucket, refused: Refused) -> Rejection:
    return Rejection(resource.kind, resource.namespace, resource.name, refused.reason, refused.message)
