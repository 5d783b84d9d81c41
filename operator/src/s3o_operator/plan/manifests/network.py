"""The NetworkPolicy: who may connect to the pods, and what the pods may call.

Ports, and not addresses: backends and databases are named by hosts, which a policy does not know.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from s3o_operator.plan.manifests.blueprint import Blueprint, as_written
from s3o_operator.plan.manifests.labels import APPLICATION, INSTANCE, NAME, child
from s3o_operator.plan.manifests.pods import PORT
from s3o_operator.plan.observed import Object

OPERATOR_NAME = "s3orchestrator-operator"
"""By which our own pods are known, in every namespace: config/ and the chart label them so."""
_OPERATOR = {"namespaceSelector": {}, "podSelector": {"matchLabels": {NAME: OPERATOR_NAME}}}


def build_network_policy(blueprint: Blueprint) -> Object | None:
    policy, key = blueprint.orchestrator.spec.network_policy, blueprint.key
    if not policy.enabled:
        return None
    allowed: Object = {"ports": [{"port": PORT, "protocol": "TCP"}]}
    if policy.ingress_from:
        # The operator asks pods what they serve, and tells them what to move.
        allowed["from"] = [_OPERATOR, *map(as_written, policy.ingress_from)]
    egress: list[Object] = [
        {"ports": [{"port": 53, "protocol": "UDP"}]},
        {"ports": [{"port": 53, "protocol": "TCP"}]},
        {"ports": [{"port": port, "protocol": "TCP"} for port in _called(blueprint)]},
    ]
    egress += map(as_written, policy.egress_extra)
    spec = {
        "podSelector": {"matchLabels": {NAME: APPLICATION, INSTANCE: key.name}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [allowed],
        "egress": [rule for rule in egress if rule != {"ports": []}],
    }
    return child(key, "networking.k8s.io/v1", "NetworkPolicy", key.name, blueprint.owner, spec=spec)


def _called(blueprint: Blueprint) -> list[int]:
    """Ports of the backends and of the database."""
    config = blueprint.config
    ports: set[int | None] = {_port(backend.endpoint) for backend in config.backends}
    if config.database.uri:
        ports.add(urlsplit(blueprint.values[config.database.uri]).port or 5432)
    elif not blueprint.is_embedded:
        ports.add(config.database.port)
    return sorted(port for port in ports if port)


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
