"""The Service in front of the proxies, and the address that it gives the endpoint."""

from __future__ import annotations

from s3o_crds.compiled import FleetConfig
from s3o_operator.plan.manifests.deployment import PORT
from s3o_operator.plan.manifests.labels import child, selector
from s3o_operator.plan.observed import Key, Object


def build_proxy_service(key: Key, owner: Object) -> Object:
    port = {"name": "s3", "port": PORT, "protocol": "TCP", "targetPort": "s3"}
    return child(key, "v1", "Service", key.name, owner, spec={"type": "ClusterIP", "selector": selector(key), "ports": [port]})


def host_of(key: Key) -> str:
    return f"{key.name}.{key.namespace}.svc"


def endpoint_of(key: Key, config: FleetConfig) -> str:
    return f"{'https' if config.server.tls else 'http'}://{host_of(key)}:{PORT}"
