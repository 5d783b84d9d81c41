"""VirtualBucket: a bucket that applications see, and who may use it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s3o_crds.meta import KeyPairRef, OrchestratorRef, Resource, Rule, Section, Status, Usage, immutable, list_map
from s3o_crds.values import BUCKET_PATTERN, BucketName, Label, SecretKey, bucket_name_cel, bucket_name_problem


class CredentialSecretRef(KeyPairRef):
    token_key: SecretKey = "token"  # noqa: S105  the name of a key, not its value
    """Key in the Secret that holds the token, for a credential of type Token."""


class Credential(Section):
    """One credential."""

    name: Label
    """Name of the credential, unique in the bucket."""
    type: Literal["SigV4", "Token"] = "SigV4"
    """SigV4 is a key pair that signs requests, as S3 clients do. Token is a value sent in the header X-Proxy-Token."""
    secret_ref: CredentialSecretRef
    """Secret that holds the key pair or the token."""


class VirtualBucketSpec(Section):
    rules = (immutable("bucketName"),)

    orchestrator_ref: OrchestratorRef
    """The S3Orchestrator that serves this bucket; immutable."""
    bucket_name: BucketName | None = None
    """Name of the bucket, as S3 allows it; immutable; by default metadata.name. The oldest claim to a name wins."""
    max_multipart_uploads: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Most multipart uploads under way at once; absent or 0 means no limit."""
    credentials: Annotated[tuple[Credential, ...], *list_map("name", 64)] = ()
    """Who may use the bucket. Empty: on a cluster the operator makes a key pair. The same key pair may open several buckets; an access key
    id has one secret."""


class VirtualBucketStatus(Status):
    phase: Literal["Pending", "Bound", "Failed"] | None = None
    """The state in one word."""
    bucket_name: Annotated[str, Field(max_length=63)] | None = None
    """Name of the bucket that is served."""
    endpoint: Annotated[str, Field(max_length=512)] | None = None
    """Where it is served."""
    secret_name: Annotated[str, Field(max_length=253)] | None = None
    """Secret with the generated key pair, for the application; absent when spec.credentials names its own."""
    config_map_name: Annotated[str, Field(max_length=253)] | None = None
    """ConfigMap that tells the application where the bucket is."""
    usage: Usage | None = None
    """What is stored in this bucket."""


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
