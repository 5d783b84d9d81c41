"""A directory of custom resources as a user would write it, to start from and to break."""

from __future__ import annotations

from pathlib import Path

ORCHESTRATOR = """
apiVersion: s3orchestrator.io/v1alpha1
kind: S3Orchestrator
metadata: {name: main}
spec:
  server: {region: eu-central-1, logLevel: info}
"""

BACKEND = """
apiVersion: s3orchestrator.io/v1alpha1
kind: StorageBackend
metadata: {name: NAME}
spec:
  orchestratorRef: {name: main}
  order: ORDER
  endpoint: http://127.0.0.1:8333
  bucket: bucket-of-NAME
  credentialsSecretRef: {name: backend-keys}
  quota: {bytes: 10Mi}
"""

BUCKET = """
apiVersion: s3orchestrator.io/v1alpha1
kind: VirtualBucket
metadata: {name: NAME}
spec:
  orchestratorRef: {name: main}
  credentials:
    - {name: writer, secretRef: {name: NAME-keys}}
"""

SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: NAME}
stringData:
  AWS_ACCESS_KEY_ID: ID
  AWS_SECRET_ACCESS_KEY: VALUE
"""


def backend(name: str, order: int = 100) -> str:
    return BACKEND.replace("NAME", name).replace("ORDER", str(order))


def bucket(name: str) -> str:
    return BUCKET.replace("NAME", name)


def secret(name: str, key_id: str, value: str) -> str:
    return SECRET.replace("NAME", name).replace(": ID", f": {key_id}").replace("VALUE", value)


def write(directory: Path, name: str, *documents: str) -> Path:
    path = directory / name
    path.write_text("---\n".join(documents))
    return path


def write_sample(directory: Path) -> None:
    """Two backends (b before a in Pack order), one bucket, one Secret of each kind, in four files."""
    write(directory, "orchestrator.yaml", ORCHESTRATOR)
    write(directory, "backends.yaml", backend("a", 20), backend("b", 10))
    write(directory, "buckets.yaml", bucket("photos"))
    write(
        directory, "secrets.yml", secret("backend-keys", "backend-id", "backend-value"), secret("photos-keys", "photos-id", "photos-value")
    )
