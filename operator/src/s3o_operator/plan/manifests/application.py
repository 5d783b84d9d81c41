"""What an application mounts to use its bucket: a Secret and a ConfigMap named like the VirtualBucket, with the keys that
ObjectBucketClaims and the SDKs of AWS know. https://rook.io/docs/rook/latest/Storage-Configuration/Object-Storage-RGW/ceph-object-bucket-claim/
"""

from __future__ import annotations

import base64

from s3o_crds.compiled import FleetConfig
from s3o_crds.v1alpha1 import VirtualBucket
from s3o_operator.plan.manifests.deployment import PORT
from s3o_operator.plan.manifests.labels import child
from s3o_operator.plan.manifests.service import endpoint_of, host_of
from s3o_operator.plan.observed import Key, Object
from s3o_operator.plan.registry import KeyPair


def build_application_secret(key: Key, owner: Object, pair: KeyPair) -> Object:
    shared = f"[default]\naws_access_key_id = {pair.access_key_id}\naws_secret_access_key = {pair.secret_access_key}\n"
    values = {"AWS_ACCESS_KEY_ID": pair.access_key_id, "AWS_SECRET_ACCESS_KEY": pair.secret_access_key, "credentials": shared}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return child(key, "v1", "Secret", owner["metadata"]["name"], owner, type="Opaque", data=data)


def build_application_config(key: Key, owner: Object, bucket: VirtualBucket, config: FleetConfig) -> Object:
    data = {
        "BUCKET_HOST": host_of(key),
        "BUCKET_PORT": str(PORT),
        "BUCKET_NAME": bucket.bucket_name,
        "BUCKET_REGION": config.server.region,
        "AWS_ENDPOINT_URL_S3": endpoint_of(key, config),
        "AWS_REGION": config.server.region,
        "S3_FORCE_PATH_STYLE": "true",
    }
    return child(key, "v1", "ConfigMap", bucket.name, owner, data=data)
