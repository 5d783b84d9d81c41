"""Custom resources and Secrets as a user writes them, made of the few values that tests vary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from tests.support import programs

Manifest = dict[str, object]

ORCHESTRATOR = "main"
_API_VERSION = "s3orchestrator.io/v1alpha1"


def orchestrator(*, database: Mapping[str, object], strategy: str, server: Mapping[str, object]) -> Manifest:
    spec = {"server": dict(server), "database": dict(database), "routing": {"strategy": strategy}}
    return _resource("S3Orchestrator", ORCHESTRATOR, spec)


def backend(name: str, *, endpoint: str, bucket: str, region: str, secret_name: str, **spec: object) -> Manifest:
    """`spec`: any further field of a StorageBackend."""
    fields = {"endpoint": endpoint, "bucket": bucket, "region": region, "credentialsSecretRef": {"name": secret_name}} | spec
    return _resource("StorageBackend", name, {"orchestratorRef": {"name": ORCHESTRATOR}} | fields)


def bucket(name: str, *, secret_name: str, **spec: object) -> Manifest:
    """Opened by the key pair in the Secret `secret_name`; `spec`: any field of a VirtualBucket, `credentials` included."""
    credentials = [{"name": "owner", "secretRef": {"name": secret_name}}]
    return _resource("VirtualBucket", name, {"orchestratorRef": {"name": ORCHESTRATOR}, "credentials": credentials} | spec)


def key_pair(name: str, access_key_id: str, secret_access_key: str) -> Manifest:
    return secret(name, {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key})


def secret(name: str, values: Mapping[str, str], kind: str = "Opaque") -> Manifest:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": dict(values)}


def write(path: Path, *manifests: Manifest) -> None:
    """All of `manifests` into one file, which appears or changes as a whole."""
    write_whole(path, yaml.safe_dump_all(manifests, sort_keys=False))


def write_whole(path: Path, text: str) -> None:
    """At once: a proxy that looks at the directory meanwhile would take half a file for a change."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)


def self_signed_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and localhost, and its private key, both PEM."""
    certificate, key = directory / "tls.crt", directory / "tls.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7"]
    programs.run(["openssl", "req", "-x509", *new_key, *subject, "-keyout", key, "-out", certificate])
    return certificate, key


def _resource(kind: str, name: str, spec: Mapping[str, object]) -> Manifest:
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
