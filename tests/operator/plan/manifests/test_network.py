"""What a NetworkPolicy lets through: whoever forgets the operator or a backend's port stops the fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support import resources
from tests.support.blueprints import blueprint_of
from tests.support.operator_fields import SMALL

from s3o_crds.compiled import BackendConfig
from s3o_operator.plan.manifests.network import build_network_policy

ON = {"networkPolicy": {"enabled": True}}


def policy(spec: dict[str, Any], *endpoints: str, secrets: Any = None) -> Any:
    blueprint = blueprint_of(spec, secrets)
    backends = tuple(
        BackendConfig(name=f"b{number}", endpoint=url, region="r", bucket="b", access_key_id="", secret_access_key="")
        for number, url in enumerate(endpoints)
    )
    manifest = build_network_policy(replace(blueprint, config=blueprint.config.model_copy(update={"backends": backends})))
    assert manifest is not None
    return manifest["spec"]


def test_names_the_database_and_every_backend_can_be_called() -> None:
    dns, dns_over_tcp, called = policy(SMALL | ON, "https://a.example.com", "http://b:8333", "http://c")["egress"]
    assert [dns["ports"], dns_over_tcp["ports"]] == [[{"port": 53, "protocol": name}] for name in ("UDP", "TCP")]
    assert [one["port"] for one in called["ports"]] == [80, 443, 5432, 8333]
    by_uri = {"database": {"driver": "Postgres", "uriSecretRef": {"name": "db", "key": "uri"}}}
    *_, called = policy(by_uri | ON, secrets=[resources.secret("db", uri="postgresql://u@h:6543/d")])["egress"]
    assert [one["port"] for one in called["ports"]] == [6543]


def test_everybody_may_come_until_somebody_is_named_and_the_operator_always() -> None:
    (open_to_all,) = policy(SMALL | ON)["ingress"]
    assert open_to_all == {"ports": [{"port": 9000, "protocol": "TCP"}]}
    clients = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    (closed,) = policy(SMALL | {"networkPolicy": {"enabled": True, "ingressFrom": [clients]}})["ingress"]
    operator, given = closed["from"]
    assert operator == {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "s3orchestrator-operator"}}}
    assert given == clients


def test_an_embedded_database_is_not_called() -> None:
    assert [rule["ports"][0]["port"] for rule in policy(ON)["egress"]] == [53, 53]
