"""The Service in front of the proxies, and the address that it gives the endpoint."""

from __future__ import annotations

from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.labels import child, selector
from s3o_operator.plan.observed import Key, Object


def build_proxy_service(blueprint: Blueprint) -> Object:
    key, service = blueprint.key, blueprint.orchestrator.spec.service
    spec: Object = {
        "type": service.type,
        "selector": selector(key, "proxy"),
        "ports": [{"name": "s3", "port": service.port, "protocol": "TCP", "targetPort": "s3"}],
    }
    if service.load_balancer_class:
        spec["loadBalancerClass"] = service.load_balancer_class
    if service.traffic_distribution:
        spec["trafficDistribution"] = service.traffic_distribution
    return child(key, "v1", "Service", key.name, blueprint.owner, annotations=service.annotations, spec=spec)


def host_of(key: Key) -> str:
    return f"{key.name}.{key.namespace}.svc"


def endpoint_of(key: Key, orchestrator: S3Orchestrator) -> str:
    spec = orchestrator.spec
    return f"{'https' if spec.server.tls else 'http'}://{host_of(key)}:{spec.service.port}"
