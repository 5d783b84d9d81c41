"""What Prometheus is told: where the pods' metrics are, and what a person must be woken for.

An alert stands for something that does not pass by itself, and says what to look at; its numbers are those of docs/reference/metrics.md.
"""

from __future__ import annotations

from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.labels import APPLICATION, INSTANCE, NAME, child
from s3o_operator.plan.observed import Object

_API = "monitoring.coreos.com/v1"


def build_pod_monitor(blueprint: Blueprint) -> Object | None:
    key, monitor = blueprint.key, blueprint.orchestrator.spec.monitoring.pod_monitor
    if not monitor.enabled:
        return None
    scrape: Object = {"port": "s3", "path": "/metrics", "interval": _seconds(monitor.interval.ms)}
    if blueprint.config.server.tls:
        # Pods are called by their addresses, which no certificate has.
        scrape |= {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}}
    spec = {"selector": {"matchLabels": {NAME: APPLICATION, INSTANCE: key.name}}, "podMetricsEndpoints": [scrape]}
    return child(key, _API, "PodMonitor", key.name, blueprint.owner, labels=monitor.labels, spec=spec)


def build_prometheus_rule(blueprint: Blueprint) -> Object | None:
    key, rule = blueprint.key, blueprint.orchestrator.spec.monitoring.prometheus_rule
    if not rule.enabled:
        return None
    # Behind the name of their Deployment pods have two words, one where that is long: a fleet called `main-proxy` is not part of `main`.
    pods = f'namespace="{key.namespace}",pod=~"{key.name}-(proxy|worker)-[^-]+(-[^-]+)?"'
    # Most expressions leave no label that says whose they are: Alertmanager would take the alerts of two fleets for one.
    whose = {"namespace": key.namespace, "orchestrator": key.name}
    rules = [_alert(*alert, pods, whose) for alert in _ALERTS]
    spec = {"groups": [{"name": f"{key.namespace}-{key.name}", "rules": rules}]}
    return child(key, _API, "PrometheusRule", key.name, blueprint.owner, labels=rule.labels, spec=spec)


# The ledger's figures are the same on all pods: one of them is enough.
_FREE = "sum(max by (backend) (s3o_quota_bytes_available{PODS})) / sum(max by (backend) (s3o_quota_bytes_limit{PODS}))"
_FAILED = 'sum(rate(s3o_requests_total{PODS,status_code=~"5.."}[5m])) / sum(rate(s3o_requests_total{PODS}[5m]))'
_BACKEND_FAILED = (
    'sum by (backend) (rate(s3o_backend_requests_total{PODS,status=~"unavailable|timeout|rejected"}[5m]))'
    " / sum by (backend) (rate(s3o_backend_requests_total{PODS}[5m]))"
)
# But of the one that carries out drains: it succeeds when they are done, hours later.
_LAST_SUCCESS = 'max by (worker) (s3o_worker_last_success_timestamp_seconds{PODS,worker!="operate"})'
# Where no pod repairs at all, there is no last success to be too old.
_NOBODY = 'absent(s3o_worker_last_success_timestamp_seconds{PODS,worker="clean_up"})'

_ALERTS = (
    ("Errors", f"{_FAILED} > 0.05", "10m", "critical", "more than 5% of all requests fail"),
    ("BackendFails", f"{_BACKEND_FAILED} > 0.2", "10m", "critical", "more than a fifth of the calls to {{ $labels.backend }} fail"),
    ("Full", f"{_FREE} < 0.02", "5m", "critical", "next to nothing of all quotas is free: writes will be refused"),
    ("NearlyFull", f"{_FREE} < 0.1", "15m", "warning", "less than a tenth of all quotas is free"),
    (
        "AtItsLimit",
        "sum(rate(s3o_admission_rejections_total{PODS}[5m])) > 0",
        "10m",
        "warning",
        "requests are answered SlowDown: more come at once than server.maxConcurrentRequests",
    ),
    (
        "ConfigRefused",
        "max by (pod) (s3o_config_refused{PODS}) > 0",
        "5m",
        "warning",
        "{{ $labels.pod }} refuses its configuration, and serves the one before; its log says why",
    ),
    (
        "WorkerFails",
        "max by (worker, pod) (s3o_worker_consecutive_failures{PODS}) >= 5",
        "10m",
        "warning",
        "{{ $labels.worker }} fails again and again; the log of {{ $labels.pod }} says why",
    ),
    (
        "WorkerStands",
        f"time() - {_LAST_SUCCESS} > 600 or {_NOBODY}",
        "5m",
        "warning",
        "{{ $labels.worker }} succeeded in no pod for ten minutes, or no pod has it",
    ),
    (
        "DeletionsGivenUp",
        "max(s3o_cleanup_dlq_depth{PODS}) > 0",
        "5m",
        "warning",
        "bytes that nobody needs stay on a backend: deleting them failed ten times",
    ),
)
"""Name, expression, how long it must hold, severity, summary."""


def _alert(name: str, expression: str, lasting: str, severity: str, summary: str, pods: str, whose: dict[str, str]) -> Object:
    return {
        "alert": f"S3Orchestrator{name}",
        "expr": expression.replace("{PODS", "{" + pods),
        "for": lasting,
        "labels": {"severity": severity} | whose,
        "annotations": {"summary": summary},
    }


def _seconds(length_ms: int) -> str:
    return f"{max(1, length_ms // 1000)}s"
