"""What an application mounts to use its bucket: a ConfigMap named like the VirtualBucket, and a Secret for each generated credential, with
the names that ObjectBucketClaims, COSI and the SDKs of AWS know.

https://rook.io/docs/rook/latest/Storage-Configuration/Object-Storage-RGW/ceph-object-bucket-claim/
https://github.com/kubernetes-sigs/container-object-storage-interface (v1alpha2: COSI_...)
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from s3o_crds.parse import Secret
from s3o_crds.resolve import certificate_secret
from s3o_crds.v1alpha1 import S3Orchestrator, VirtualBucket
from s3o_operator.plan.credentials import Generated
from s3o_operator.plan.manifests.labels import CREDENTIAL, child
from s3o_operator.plan.manifests.service import endpoint_of, host_of
from s3o_operator.plan.observed import Key, Object
from s3o_operator.plan.registry import AWS_KEYS, COSI_KEYS, TOKEN_KEY, KeyPair


def authority_of(orchestrator: S3Orchestrator, secrets: Iterable[Secret]) -> str:
    """The authority of the endpoint's certificate, in PEM, where its Secret holds it, as those of cert-manager do; else nothing."""
    tls = orchestrator.spec.server.tls
    named = [
        one for one in secrets if tls and (one.namespace, one.name) == (orchestrator.namespace, certificate_secret(orchestrator.name, tls))
    ]
    authority = named[0].values.get("ca.crt", b"") if named else b""
    return authority.decode() if authority.isascii() else ""


def build_application_secret(
    key: Key, owner: Object, bucket: VirtualBucket, generated: Generated, pair: KeyPair, orchestrator: S3Orchestrator, ca: str
) -> Object:
    """`ca`: the authority of the endpoint's certificate."""
    template = generated.template
    values: dict[str, str] = {}
    if generated.ref.type == "Token":
        values[TOKEN_KEY] = pair.secret_access_key
    else:
        values |= _aws(pair) if template.keys in ("AWS", "Both") else {}
        values |= _cosi(key, bucket, pair, orchestrator, ca) if template.keys in ("COSI", "Both") else {}
    return child(
        key,
        "v1",
        "Secret",
        generated.secret.name,
        owner,
        namespace=bucket.namespace,
        labels={**(template.labels or {}), CREDENTIAL: generated.ref.name},
        annotations=template.annotations,
        type="Opaque",
        data={name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    )


def _aws(pair: KeyPair) -> dict[str, str]:
    shared = f"[default]\naws_access_key_id = {pair.access_key_id}\naws_secret_access_key = {pair.secret_access_key}\n"
    return dict(zip(AWS_KEYS, (pair.access_key_id, pair.secret_access_key), strict=True)) | {"credentials": shared}


def _cosi(key: Key, bucket: VirtualBucket, pair: KeyPair, orchestrator: S3Orchestrator, ca: str) -> dict[str, str]:
    return dict(zip(COSI_KEYS, (pair.access_key_id, pair.secret_access_key), strict=True)) | {
        "COSI_PROTOCOL": "S3",
        "COSI_S3_BUCKET_ID": bucket.bucket_name,
        "COSI_S3_ENDPOINT": endpoint_of(key, orchestrator),
        "COSI_S3_REGION": orchestrator.spec.server.region,
        "COSI_S3_ADDRESSING_STYLE": "path",
        **({"COSI_CERTIFICATE_AUTHORITY": ca} if ca else {}),
    }


def build_application_config(key: Key, owner: Object, bucket: VirtualBucket, orchestrator: S3Orchestrator, ca: str) -> Object:
    """`ca`: as in the Secret. As CA_CERTIFICATE, since each key must be the name of a variable, too."""
    data = {
        "BUCKET_HOST": host_of(key),
        "BUCKET_PORT": str(orchestrator.spec.service.port),
        "BUCKET_NAME": bucket.bucket_name,
        "BUCKET_REGION": orchestrator.spec.server.region,
        "BUCKET_SUBREGION": "",
        "AWS_ENDPOINT_URL_S3": endpoint_of(key, orchestrator),
        "AWS_REGION": orchestrator.spec.server.region,
        "AWS_DEFAULT_REGION": orchestrator.spec.server.region,
        "S3_FORCE_PATH_STYLE": "true",
        **({"CA_CERTIFICATE": ca} if ca else {}),
    }
    return child(key, "v1", "ConfigMap", bucket.name, owner, namespace=bucket.namespace, data=data)
