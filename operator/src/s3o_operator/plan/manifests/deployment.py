"""The Deployment of the proxies, their ServiceAccount, and the volume of an embedded database.

Restricted Pod Security. A pod restarts only for what a running proxy cannot take over (its database, https on or off, the admin token):
that is in the annotation of its template; all else reaches it through the mounted Secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_crds.v1alpha1.orchestrator import Volume
from s3o_operator.plan.manifests.admin import admin_environment
from s3o_operator.plan.manifests.labels import child, config_name, data_name, digest, proxy_name, selector
from s3o_operator.plan.observed import Key, Object

PORT = 9000
CONFIG_PATH = "/etc/s3o/config"
DATA_PATH = "/var/lib/s3o"
NEEDS_RESTART = "s3orchestrator.io/needs-restart"
_USER = 65532
_EXIT_S = 30
"""What a proxy may need to end after its last request."""


def build_service_account(key: Key, owner: Object) -> Object:
    """The proxies ask nothing of the API server."""
    return child(key, "v1", "ServiceAccount", proxy_name(key), owner, automountServiceAccountToken=False)


def build_volume_claim(key: Key, orchestrator: S3Orchestrator) -> Object | None:
    """Unowned: with its last database, every object would be lost."""
    database = orchestrator.spec.database
    if database is not None and database.driver != "SQLite":
        return None
    volume = (database.volume if database else None) or Volume()
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _quantity(volume.size.bytes)}}}
    if volume.storage_class_name:
        spec["storageClassName"] = volume.storage_class_name
    return child(key, "v1", "PersistentVolumeClaim", data_name(key), None, spec=spec)


def build_proxy_deployment(
    key: Key, owner: Object, orchestrator: S3Orchestrator, config: FleetConfig, values: Mapping[SecretRef, str], token: str, image: str
) -> Object:
    embedded = config.database.driver == "SQLite"
    # Two processes must never have the same SQLite file open; the old one ends first.
    strategy = {"type": "Recreate"} if embedded else {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    template = {
        "metadata": {"labels": selector(key), "annotations": {NEEDS_RESTART: _restart_digest(config, values, token)}},
        "spec": _pod(key, config, image, embedded),
    }
    spec = {
        "replicas": orchestrator.spec.proxy.replicas,
        "selector": {"matchLabels": selector(key)},
        "strategy": strategy,
        "template": template,
    }
    return child(key, "apps/v1", "Deployment", proxy_name(key), owner, spec=spec)


def _pod(key: Key, config: FleetConfig, image: str, embedded: bool) -> Object:
    server = config.server
    data: dict[str, Any] = {"persistentVolumeClaim": {"claimName": data_name(key)}} if embedded else {"emptyDir": {}}
    return {
        "serviceAccountName": proxy_name(key),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": (server.shutdown_delay_ms + server.shutdown_grace_ms + 999) // 1000 + _EXIT_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(key, image, "HTTPS" if server.tls else "HTTP")],
        "volumes": [
            {"name": "config", "secret": {"secretName": config_name(key)}},
            {"name": "data", **data},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(key: Key, image: str, scheme: str) -> Object:
    return {
        "name": "proxy",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", CONFIG_PATH, "--listen", f"0.0.0.0:{PORT}"],
        "workingDir": DATA_PATH,
        "env": admin_environment(key),
        "ports": [{"name": "s3", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/health", scheme, period_s=1, failures=60),
        "livenessProbe": _probe("/health", scheme, period_s=10, failures=6),
        "readinessProbe": _probe("/health/ready", scheme, period_s=2, failures=2),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Directories, never subPath: only so does a changed Secret reach a running pod.
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_PATH, "readOnly": True},
            {"name": "data", "mountPath": DATA_PATH},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a volume of the pod's own
        ],
    }


def _probe(path: str, scheme: str, *, period_s: int, failures: int) -> Object:
    ask = {"path": path, "port": "s3", "scheme": scheme}
    return {"httpGet": ask, "periodSeconds": period_s, "timeoutSeconds": 5, "failureThreshold": failures}


def _restart_digest(config: FleetConfig, values: Mapping[SecretRef, str], token: str) -> str:
    database = config.database
    secret = [digest(values[ref]) for ref in (database.uri, database.password, database.ca) if ref]
    return digest([database.model_dump(mode="json"), secret, config.server.tls is not None, digest(token)])


def _quantity(size_bytes: int) -> str:
    """In whole Mi or Gi, rounded up: the form in which the API server keeps it."""
    mebibytes = -(-size_bytes // 2**20)
    return f"{mebibytes}Mi" if mebibytes % 1024 else f"{mebibytes // 1024}Gi"
