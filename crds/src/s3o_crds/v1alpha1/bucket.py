"""VirtualBucket: a bucket that applications see, and who may use it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from s3o_crds.meta import (
    GROUP,
    ConfigStatus,
    KeyPairRef,
    Observation,
    OrchestratorRef,
    Resource,
    Rule,
    Section,
    Status,
    Usage,
    immutable,
    list_map,
)
from s3o_crds.v1alpha1.operations import OperationPlan, Operations, Progress
from s3o_crds.values import (
    BUCKET_PATTERN,
    Annotations,
    BucketName,
    Duration,
    Label,
    Labels,
    ObjectName,
    SecretKey,
    bucket_name_cel,
    bucket_name_problem,
)


class CredentialSecretRef(KeyPairRef):
    token_key: SecretKey = "token"  # noqa: S105  the name of a key, not its value
    """Key in the Secret that holds the token, for a credential of type Token."""


class Generate(Section):
    """There is nothing to choose: the operator makes what the credential's type needs."""


_OWN_PREFIXES = (GROUP + "/", "app.kubernetes.io/")


def _leaves_ours_alone(template: SecretTemplate) -> bool:
    return not any(key.startswith(_OWN_PREFIXES) for key in (*(template.labels or {}), *(template.annotations or {})))


def _leaves_ours_alone_cel(field: str) -> str:
    ours = " || ".join(f"key.startsWith('{prefix}')" for prefix in _OWN_PREFIXES)
    return f"!has(self.{field}) || !self.{field}.exists(key, {ours})"


class SecretTemplate(Section):
    rules = (
        Rule(
            f"({_leaves_ours_alone_cel('labels')}) && ({_leaves_ours_alone_cel('annotations')})",
            f"labels and annotations below {' and '.join(_OWN_PREFIXES)} are the operator's own",
            holds=_leaves_ours_alone,
        ),
    )

    name: ObjectName | None = None
    """Name of the Secret; by default that of this object for the credential `default`, and <this object>-<credential> for any other."""
    labels: Labels | None = None
    """Labels of the Secret, beside the operator's own."""
    annotations: Annotations | None = None
    """Annotations of the Secret, beside the operator's own."""
    keys: Literal["AWS", "COSI", "Both"] = "AWS"
    """Names in the Secret. AWS: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the file credentials. COSI: COSI_S3_ACCESS_KEY_ID and the
    others of its v1alpha2, with endpoint and bucket."""


class Rotation(Section):
    grace_period: Duration = Duration("1h")
    """How long the old key works beside the new one after a rotation; 0s ends it at once."""


def _only_generated(field: str) -> Rule:
    return Rule(
        f"has(self.generate) || !has(self.{to_camel(field)})",
        f"{to_camel(field)} goes with generate only",
        to_camel(field),
        holds=lambda credential: credential.generate is not None or getattr(credential, field) is None,
    )


class Credential(Section):
    """One credential."""

    rules = (
        Rule(
            "has(self.generate) != has(self.secretRef)",
            "exactly one of generate and secretRef is needed",
            holds=lambda credential: (credential.generate is None) != (credential.secret_ref is None),
        ),
        _only_generated("secret_template"),
        _only_generated("rotation"),
        Rule(
            "self.type != 'Token' || !has(self.secretTemplate) || self.secretTemplate.keys == 'AWS'",
            "secretTemplate.keys goes with type SigV4 only",
            "secretTemplate",
            holds=lambda credential: (
                credential.type != "Token" or credential.secret_template is None or credential.secret_template.keys == "AWS"
            ),
        ),
    )

    name: Label
    """Name of the credential, unique in the bucket."""
    type: Literal["SigV4", "Token"] = "SigV4"
    """SigV4 is a key pair that signs requests, as S3 clients do. Token is a value sent in the header X-Proxy-Token."""
    generate: Generate | None = None
    """The operator makes the key pair or token, and a Secret with it in this namespace. Works on a cluster only."""
    secret_template: SecretTemplate | None = None
    """What that Secret looks like."""
    rotation: Rotation | None = None
    """How a generated key is replaced when the annotation s3orchestrator.io/rotate-credentials asks for it."""
    secret_ref: CredentialSecretRef | None = None
    """Secret in this namespace that holds the key pair or the token; instead of generate."""


class VirtualBucketSpec(Section):
    rules = (immutable("bucketName"),)

    orchestrator_ref: OrchestratorRef
    """The S3Orchestrator that serves this bucket; immutable."""
    bucket_name: BucketName | None = None
    """Name of the bucket, as S3 allows it; immutable; by default metadata.name. The oldest claim to a name wins."""
    max_multipart_uploads: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Most multipart uploads under way at once; absent or 0 means no limit."""
    credentials: Annotated[tuple[Credential, ...], *list_map("name", 64)] = ()
    """Who may use the bucket. Empty: on a cluster the operator makes a key pair, named default. The same key pair may open several buckets;
    an access key id has one secret."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the objects when this object is deleted. Retain leaves them where they are: a VirtualBucket of this name has them
    again. Delete deletes every one of them, and waits until it is done. Its credentials open nothing from then on, either way."""


class CredentialStatus(Observation):
    name: Label
    """Name of the credential."""
    access_key_id: Annotated[str, Field(max_length=128)] | None = None
    """The present access key id; absent for a token."""
    secret_name: Annotated[str, Field(max_length=253)] | None = None
    """Secret that holds it, for the application."""
    rotated_at: datetime | None = None
    """When it was last rotated."""
    previous_access_key_id: Annotated[str, Field(max_length=128)] | None = None
    """The access key id before the last rotation, as long as it works."""
    previous_expires_at: datetime | None = None
    """Until when what was there before works."""


class BucketLastHandled(Observation):
    rotate_credentials: Annotated[str, Field(max_length=253)] | None = None
    """The annotation s3orchestrator.io/rotate-credentials, as last taken notice of."""
    reconcile: Annotated[str, Field(max_length=253)] | None = None
    """Of s3orchestrator.io/reconcile: everything was looked at after it was set."""


class RotationUnderWay(Observation):
    token: Annotated[str, Field(max_length=253)]
    """The annotation that asked for it."""
    credential: Label | None = None
    """The credential that it is for; absent for all that are generated."""


class VirtualBucketStatus(Status):
    phase: Literal["Pending", "Bound", "Released", "Purging", "Paused", "Failed"] | None = None
    """The state in one word."""
    bucket_name: Annotated[str, Field(max_length=63)] | None = None
    """Name of the bucket that is served. Whoever has one stays attached, whatever spec.access of the orchestrator says later."""
    endpoint: Annotated[str, Field(max_length=512)] | None = None
    """Where it is served."""
    secret_name: Annotated[str, Field(max_length=253)] | None = None
    """Secret with the first generated key pair, for the application; absent when all of spec.credentials name their own."""
    credentials: Annotated[tuple[CredentialStatus, ...], *list_map("name", 64)] = ()
    """The generated credentials."""
    last_handled: BucketLastHandled | None = None
    """Tokens of triggers that were taken notice of. The same token never does anything twice."""
    rotation: RotationUnderWay | None = None
    """A rotation that has been begun and not been finished."""
    config_map_name: Annotated[str, Field(max_length=253)] | None = None
    """ConfigMap that tells the application where the bucket is."""
    config: ConfigStatus | None = None
    """The first configuration that has this bucket as it is now, and a digest of what it has of it. Ready when every proxy serves it."""
    usage: Usage | None = None
    """What is stored in this bucket."""
    purge: Progress | None = None
    """The deletion of every object, for a bucket that is being deleted with deletionPolicy Delete."""
    plan: OperationPlan | None = None
    """What that was going to cost."""
    operations: Operations = ()
    """The operations that were asked for last, the newest first."""


def _name_rules() -> tuple[Rule, ...]:
    """The default of bucketName keeps the rules of a bucket name, too."""
    shaped = f"size(self.metadata.name) >= 3 && size(self.metadata.name) <= 63 && self.metadata.name.matches('{BUCKET_PATTERN}')"
    texts = [shaped, *(rule["rule"] for rule in bucket_name_cel("self.metadata.name"))]
    return (
        Rule(
            f"has(self.spec.bucketName) || ({' && '.join(texts)})",
            "metadata.name is no valid bucket name (S3's rules, and none of the proxy's own pages): set spec.bucketName",
            holds=lambda bucket: bucket.spec.bucket_name is not None or not bucket_name_problem(bucket.name),
        ),
    )


class VirtualBucket(Resource):
    """A bucket that applications see at the endpoint of an S3Orchestrator, and the credentials that may use it."""

    rules = _name_rules()

    spec: VirtualBucketSpec
    """What is wanted."""
    status: VirtualBucketStatus | None = None
    """What was observed."""

    @property
    def bucket_name(self) -> str:
        return self.spec.bucket_name or self.name
