"""Ways to the Service from outside of the cluster: Ingress, HTTPRoute, and the certificate of the endpoint itself."""

from __future__ import annotations

from s3o_crds.resolve import certificate_secret
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_operator.plan.manifests.blueprint import Blueprint, as_written
from s3o_operator.plan.manifests.labels import child
from s3o_operator.plan.manifests.service import host_of
from s3o_operator.plan.observed import Key, Object


def build_ingress(blueprint: Blueprint) -> Object | None:
    key, ingress = blueprint.key, blueprint.orchestrator.spec.ingress
    if not ingress.enabled:
        return None
    backend = {"service": {"name": key.name, "port": {"name": "s3"}}}
    spec: Object = {"rules": [{"host": ingress.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret_name:
        spec["tls"] = [{"hosts": [ingress.host], "secretName": ingress.tls_secret_name}]
    return child(key, "networking.k8s.io/v1", "Ingress", key.name, blueprint.owner, annotations=ingress.annotations, spec=spec)


def build_http_route(blueprint: Blueprint) -> Object | None:
    key, gateway = blueprint.key, blueprint.orchestrator.spec.gateway
    if not gateway.enabled:
        return None
    spec: Object = {
        "parentRefs": [as_written(ref) for ref in gateway.parent_refs],
        "rules": [{"backendRefs": [{"name": key.name, "port": blueprint.orchestrator.spec.service.port}]}],
    }
    if gateway.hostnames:
        spec["hostnames"] = list(gateway.hostnames)
    return child(key, "gateway.networking.k8s.io/v1", "HTTPRoute", key.name, blueprint.owner, spec=spec)


def build_certificate(key: Key, owner: Object, orchestrator: S3Orchestrator) -> Object | None:
    """Without a Blueprint: nothing can be compiled before the Secret is there that it makes."""
    spec = orchestrator.spec
    manager = spec.server.tls.cert_manager if spec.server.tls else None
    if spec.server.tls is None or manager is None:
        return None
    virtual = spec.server.virtual_host_domain
    names = [key.name, f"{key.name}.{key.namespace}", host_of(key), *([virtual, f"*.{virtual}"] if virtual else [])]
    names += [spec.ingress.host] if spec.ingress.enabled and spec.ingress.host else []
    names += [*(spec.gateway.hostnames if spec.gateway.enabled else ()), *manager.dns_names]
    wanted = {
        "secretName": certificate_secret(key.name, spec.server.tls),
        "dnsNames": sorted(set(names)),
        "duration": _hours(manager.duration.ms),
        "renewBefore": _hours(manager.renew_before.ms),
        "issuerRef": as_written(manager.issuer_ref),
        "usages": ["server auth"],
    }
    return child(key, "cert-manager.io/v1", "Certificate", key.name, owner, spec=wanted)


def _hours(length_ms: int) -> str:
    """As Go writes durations, which knows no days."""
    minutes, seconds = divmod(-(-length_ms // 1000), 60)
    return f"{minutes // 60}h{minutes % 60}m{seconds}s"
