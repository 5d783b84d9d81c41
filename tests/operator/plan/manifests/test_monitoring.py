"""Alerts ask for metrics that exist, and the scrape reaches proxies and workers."""

from __future__ import annotations

import re

import pytest
from tests.support import resources
from tests.support.blueprints import made, one
from tests.support.operator_fields import SMALL
from tests.support.repository import ROOT

ON = {"monitoring": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True, "labels": {"release": "p"}}}}


def test_every_metric_of_an_alert_is_one_that_proxies_have() -> None:
    rule = one(made(SMALL | ON), "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    documented = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    for alert in group["rules"]:
        named = set(re.findall(r"s3o_[a-z0-9_]+", alert["expr"]))
        assert named, alert
        assert not [name for name in named if f"`{name}`" not in documented], alert
        assert 'namespace="default",pod=~"main-(proxy|worker)-[^-]+(-[^-]+)?"' in alert["expr"]
        assert "PODS" not in alert["expr"]
    assert rule["metadata"]["labels"]["release"] == "p"


def test_an_alert_says_whose_it_is() -> None:
    """Alertmanager knows alerts by their labels, and a sum leaves none: two fleets would have one, which ends when one ends."""
    (group,) = one(made(SMALL | ON), "PrometheusRule")["spec"]["groups"]
    for alert in group["rules"]:
        assert (alert["labels"]["namespace"], alert["labels"]["orchestrator"]) == ("default", "main"), alert


@pytest.mark.parametrize(
    ("pod", "ours"),
    [
        ("main-proxy-6d4cf56db9-x2x7k", True),
        ("main-worker-6d4cfx2x7k", True),  # As Kubernetes shortens what is too long.
        ("main-proxy-proxy-6d4cf56db9-x2x7k", False),
        ("main-worker-worker-6d4cf56db9-x2x7k", False),
    ],
)
def test_a_fleet_whose_name_begins_as_a_deployment_of_another_has_alerts_of_its_own(pod: str, *, ours: bool) -> None:
    (group,) = one(made(SMALL | ON), "PrometheusRule")["spec"]["groups"]
    for alert in group["rules"]:
        assert {re.fullmatch(pods, pod) is not None for pods in re.findall(r'pod=~"([^"]*)"', alert["expr"])} == {ours}, alert


def test_where_no_pod_repairs_anything_somebody_is_told() -> None:
    """A comparison with what nobody exposes is true of nothing."""
    (group,) = one(made(SMALL | ON), "PrometheusRule")["spec"]["groups"]
    (stands,) = [alert["expr"] for alert in group["rules"] if alert["alert"] == "S3OrchestratorWorkerStands"]
    named = 's3o_worker_last_success_timestamp_seconds{namespace="default",pod=~"main-(proxy|worker)-[^-]+(-[^-]+)?",worker="clean_up"}'
    assert stands.endswith(f" or absent({named})")


def test_a_drain_of_hours_is_no_worker_that_stands() -> None:
    """The run of the worker that carries out operations lasts for as long as they do, and succeeds at its end."""
    (group,) = one(made(SMALL | ON), "PrometheusRule")["spec"]["groups"]
    (stands,) = [alert["expr"] for alert in group["rules"] if alert["alert"] == "S3OrchestratorWorkerStands"]
    named = 's3o_worker_last_success_timestamp_seconds{namespace="default",pod=~"main-(proxy|worker)-[^-]+(-[^-]+)?",worker!="operate"}'
    assert stands.startswith(f"time() - max by (worker) ({named}) > 600 or ")


def test_no_alert_waits_for_what_happens_once() -> None:
    """As the refusal of a change: who waits for as long as the expression looks back waits for ever."""
    (group,) = one(made(SMALL | ON), "PrometheusRule")["spec"]["groups"]
    for alert in group["rules"]:
        assert "increase(" not in alert["expr"], alert


def test_each_pod_of_the_orchestrator_is_scraped() -> None:
    spec = one(made(SMALL | ON), "PodMonitor")["spec"]
    assert spec["selector"]["matchLabels"] == {"app.kubernetes.io/name": "s3-orchestrator", "app.kubernetes.io/instance": "main"}
    assert spec["podMetricsEndpoints"] == [{"port": "s3", "path": "/metrics", "interval": "30s"}]
    secret = resources.secret("cert", **{"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"})
    tls = one(made(SMALL | ON | {"server": {"tls": {"secretName": "cert"}}}, secrets=[secret]), "PodMonitor")
    assert tls["spec"]["podMetricsEndpoints"][0]["scheme"] == "https"
