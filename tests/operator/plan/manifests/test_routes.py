"""Ways to the endpoint, and the names that its certificate has."""

from __future__ import annotations

from tests.support.blueprints import KEY, OWNER, made, one, orchestrator_of
from tests.support.operator_fields import SMALL

from s3o_operator.plan.manifests.routes import build_certificate
from s3o_operator.plan.manifests.service import endpoint_of

ISSUED = {"server": {"virtualHostDomain": "s3.example.com", "tls": {"certManager": {"issuerRef": {"name": "ca"}}}}}


def test_the_certificate_has_every_name_by_which_clients_come() -> None:
    routes = {
        "ingress": {"enabled": True, "host": "in.example.com"},
        "gateway": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["gw.example.com"]},
    }
    certificate = build_certificate(KEY, OWNER, orchestrator_of(ISSUED | routes))
    assert certificate is not None
    assert certificate["spec"]["dnsNames"] == sorted(
        ["main", "main.default", "main.default.svc", "s3.example.com", "*.s3.example.com", "in.example.com", "gw.example.com"]
    )
    assert certificate["spec"]["secretName"] == "main-tls"
    assert certificate["spec"]["duration"] == "2160h0m0s"


def test_nothing_is_issued_where_a_secret_is_named() -> None:
    assert build_certificate(KEY, OWNER, orchestrator_of({"server": {"tls": {"secretName": "mine"}}})) is None
    assert build_certificate(KEY, OWNER, orchestrator_of({})) is None


def test_routes_lead_to_the_service() -> None:
    spec = SMALL | {"service": {"port": 80}, "ingress": {"enabled": True, "host": "s3.example.com"}}
    (rule,) = one(made(spec), "Ingress")["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": "main", "port": {"name": "s3"}}}
    gateway = {"gateway": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "infra"}]}}
    route = one(made(spec | gateway), "HTTPRoute")["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "infra"}]
    assert route["rules"] == [{"backendRefs": [{"name": "main", "port": 80}]}]
    assert endpoint_of(KEY, orchestrator_of(spec)) == "http://main.default.svc:80"
