"""Custom resources and Secrets → one FleetConfig, and a rejection for each resource that cannot be served.

Pure: the operator calls it with what the API server holds, `s3o run` with what files hold. A bad backend or bucket is left out by name
and the rest is served; a bad orchestrator is fatal, since nothing can be served without it.

What two resources both want, one of them has, whatever else may be wrong with it (`claims`): if a fault in the older one promoted the
younger, the data of one would appear under the name of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from s3o_crds.access import NOBODY, Admission, Standing
from s3o_crds.claims import Claimant, Claims, Identity, KeyClaims, Unreadable, identity_of, standing_of
from s3o_crds.compiled import BackendConfig, BucketConfig, CredentialConfig, FleetConfig, SecretRef
from s3o_crds.digest import digest_of, texts_in
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
    """`config` is None when the orchestrator itself is refused. `secret_values` holds exactly the secrets that the config names.

    `held`: those of them that come from no Secret that there is.
    """

    config: FleetConfig | None
    secret_values: Mapping[SecretRef, str] = field(repr=False)
    rejections: tuple[Rejection, ...] = ()
    held: frozenset[SecretRef] = frozenset()


@dataclass(frozen=True)
class Kept:
    """What stays in the configuration as it is there, whatever its resource says by now: that of resources that are not given.

    It has its names before all others. `values`: of the secrets that it names, and may be of others.
    """

    backends: Mapping[Identity, BackendConfig] = field(default_factory=dict)
    buckets: Mapping[Identity, BucketConfig] = field(default_factory=dict)
    values: Mapping[SecretRef, str] = field(default_factory=dict, repr=False)

    def named_by(self, part: BackendConfig | BucketConfig) -> dict[SecretRef, str]:
        return {ref: self.values[ref] for ref in sorted(texts_in(part.model_dump(mode="json")) & self.values.keys())}


_NOTHING = Kept()


def compile(  # noqa: A001  the name that the design gives it; the builtin is not used here
    orchestrator: S3Orchestrator,
    backends: Iterable[StorageBackend],
    buckets: Iterable[VirtualBucket],
    secrets: Iterable[Secret],
    *,
    refused: Iterable[Rejection] = (),
    standing: Standing = NOBODY,
    held: Mapping[SecretRef, str] | None = None,
    kept: Kept = _NOTHING,
    database_id: str = "",
    generation: int = 1,
    previous: FleetConfig | None = None,
) -> Compilation:
    """Resources that refer to another orchestrator are ignored. What the caller `refused` for reasons of its own keeps what it claims.
    `held`: what was read of Secrets before; a backend whose Secret is no more is served by it, since what lies there must stay readable.
    `kept`: parts of the config that stay as they are. `database_id`: that which the metadata database must have.

    With `previous`, an unchanged config keeps its generation and a changed one gets a higher one; never less than `generation` then.
    """
    book = SecretBook(secrets)
    own = SecretReader(book, orchestrator.namespace)
    try:
        server, database = resolve_server(orchestrator, own), resolve_database(orchestrator, own)
    except Refused as fatal:
        return Compilation(None, {}, (_rejection(orchestrator, fatal),))
    refusals = {(one.kind, one.namespace, one.name): Refused(one.reason, one.message) for one in refused}
    served_backends, backend_values, backend_rejections = _compile_backends(
        orchestrator, backends, book, refusals, standing, held or {}, kept
    )
    served_buckets, bucket_values, bucket_rejections = _compile_buckets(orchestrator, buckets, book, refusals, standing, kept)
    values = own.values | backend_values | bucket_values
    config = FleetConfig(
        name=orchestrator.name,
        generation=generation,
        server=server,
        database=database,
        database_id=database_id,
        routing_strategy=orchestrator.spec.routing.strategy,
        cleanup=resolve_cleanup(orchestrator),
        backends=tuple(sorted(served_backends, key=lambda backend: (backend.order, backend.name))),
        buckets=tuple(sorted(served_buckets, key=lambda bucket: bucket.name)),
    )
    borrowed = frozenset(ref for ref in backend_values if book.find(*_secret_of(ref)) is None)
    return Compilation(_numbered(config, values, previous), values, tuple(sorted(backend_rejections + bucket_rejections)), borrowed)


_Refusals = Mapping[Identity, Refused]


def _compile_backends(
    orchestrator: S3Orchestrator,
    backends: Iterable[StorageBackend],
    book: SecretBook,
    refusals: _Refusals,
    standing: Standing,
    held: Mapping[SecretRef, str],
    kept: Kept,
) -> tuple[list[BackendConfig], dict[SecretRef, str], list[Rejection]]:
    served: list[BackendConfig] = []
    values: dict[SecretRef, str] = {}
    rejections: list[Rejection] = []
    admission, names, places = Admission(orchestrator, standing), Claims("BackendNameConflict"), Claims("SameBucketTwice")
    for identity, backend_part in sorted(kept.backends.items()):
        holder = Unreadable(*identity, None, backend_part.name)
        names.claim(backend_part.name, holder, "")
        places.claim(physical_location(backend_part.endpoint, backend_part.bucket), holder, "")
        served.append(backend_part)
        values |= kept.named_by(backend_part)
    for backend in _in_order(orchestrator, backends, "StorageBackend", standing):
        try:
            admission.refuse_foreign_namespace(backend)
            wanted, place = _wanted_by(backend)
            names.claim(wanted, backend, f"the name {wanted} is already taken by")
            if place is not None:
                places.claim(physical_location(*place), backend, "its bytes would be counted twice: endpoint and bucket are those of")
            if isinstance(backend, StorageBackend):
                secrets = SecretReader(book, backend.namespace, held)
                _refuse_as_told(backend, refusals)
                served.append(resolve_backend(backend, secrets))
                values |= secrets.values
        except Refused as refused:
            rejections += _rejections(backend, refused)
    return served, values, rejections


def _compile_buckets(
    orchestrator: S3Orchestrator,
    buckets: Iterable[VirtualBucket],
    book: SecretBook,
    refusals: _Refusals,
    standing: Standing,
    kept: Kept,
) -> tuple[list[BucketConfig], dict[SecretRef, str], list[Rejection]]:
    served: list[BucketConfig] = []
    values: dict[SecretRef, str] = {}
    rejections: list[Rejection] = []
    admission, names, keys = Admission(orchestrator, standing), Claims("BucketNameConflict"), KeyClaims()
    for identity, part in sorted(kept.buckets.items()):
        holder = Unreadable(*identity, None, part.name)
        names.claim(part.name, holder, "")
        for credential in part.credentials:
            keys.claim(credential, kept.values, holder)
        admission.count_bucket()
        served.append(part)
        values |= kept.named_by(part)
    for bucket in _in_order(orchestrator, buckets, "VirtualBucket", standing):
        try:
            admission.refuse_foreign_namespace(bucket)
            wanted, _ = _wanted_by(bucket)
            names.claim(wanted, bucket, f"the name {wanted} is already taken by")
            if not isinstance(bucket, VirtualBucket):
                continue
            secrets = SecretReader(book, bucket.namespace)
            # First: what is refused below keeps the keys that it claims.
            credentials, unresolved = _resolve_credentials(bucket, secrets, keys)
            admission.refuse_beyond_limits(bucket)
            _refuse_as_told(bucket, refusals)
            if unresolved is not None:
                raise unresolved
        except Refused as refused:
            rejections += _rejections(bucket, refused)
            continue
        most_uploads = bucket.spec.max_multipart_uploads or None
        served.append(BucketConfig(name=wanted, max_multipart_uploads=most_uploads, credentials=credentials))
        values |= secrets.values
    return served, values, rejections


def _in_order(
    orchestrator: S3Orchestrator, resources: Iterable[StorageBackend | VirtualBucket], kind: str, standing: Standing
) -> list[Claimant]:
    own = [one for one in resources if _belongs(one, orchestrator)]
    unreadable = [one for one in standing.unreadable if one.kind == kind]
    return sorted([*own, *unreadable], key=lambda one: standing_of(one, standing.attached))


def _wanted_by(claimant: Claimant) -> tuple[str, tuple[str, str] | None]:
    """The name, and endpoint and bucket of a backend."""
    match claimant:
        case StorageBackend():
            return claimant.backend_name, (claimant.spec.endpoint, claimant.spec.bucket)
        case VirtualBucket():
            return claimant.bucket_name, None
        case Unreadable():
            return claimant.wanted, claimant.place


def _resolve_credentials(
    bucket: VirtualBucket, secrets: SecretReader, keys: KeyClaims
) -> tuple[tuple[CredentialConfig, ...], Refused | None]:
    """The credentials, and why they cannot be used."""
    if not bucket.spec.credentials:
        return (), Refused("NoCredentials", "spec.credentials is empty: nobody could use the bucket")
    resolved: list[CredentialConfig] = []
    problems: list[Refused] = []
    for credential in bucket.spec.credentials:
        try:
            config = resolve_credential(credential, secrets)
            resolved.append(config)
            keys.claim(config, secrets.values, bucket)
        except Refused as refused:
            problems.append(refused)  # The keys of the other credentials are claimed all the same.
    if problems:
        return (), Refused(problems[0].reason, "; ".join(problem.message for problem in problems))
    return tuple(sorted(resolved, key=lambda credential: credential.name)), None


def _belongs(resource: StorageBackend | VirtualBucket, orchestrator: S3Orchestrator) -> bool:
    ref = resource.spec.orchestrator_ref
    return (ref.namespace or resource.namespace, ref.name) == (orchestrator.namespace, orchestrator.name)


def _refuse_as_told(resource: StorageBackend | VirtualBucket, refusals: _Refusals) -> None:
    told = refusals.get(identity_of(resource))
    if told is not None:
        raise told


def _numbered(config: FleetConfig, values: Mapping[SecretRef, str], previous: FleetConfig | None) -> FleetConfig:
    if previous is not None:
        unchanged = _with_digest(config.model_copy(update={"generation": previous.generation}), values)
        if unchanged.digest == previous.digest:
            return unchanged
        config = config.model_copy(update={"generation": max(config.generation, previous.generation + 1)})
    return _with_digest(config, values)


def _secret_of(ref: SecretRef) -> tuple[str, str]:
    namespace, name, _ = ref.split("/", 2)
    return namespace, name


def _with_digest(config: FleetConfig, values: Mapping[SecretRef, str]) -> FleetConfig:
    return config.model_copy(update={"digest": digest_of(config, values)})


def _rejections(claimant: Claimant, refused: Refused) -> list[Rejection]:
    """Of what cannot be read, whoever tried to knows better."""
    return [] if isinstance(claimant, Unreadable) else [_rejection(claimant, refused)]


def _rejection(resource: S3Orchestrator | StorageBackend | VirtualBucket, refused: Refused) -> Rejection:
    return Rejection(resource.kind, resource.namespace, resource.name, refused.reason, refused.message)
