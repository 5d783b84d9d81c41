"""How many proxies there are by their load, and how many Kubernetes may take away at once."""

from __future__ import annotations

from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.labels import child, proxy_name, selector
from s3o_operator.plan.observed import Object


def build_disruption_budget(blueprint: Blueprint) -> Object | None:
    """None with a single proxy: a budget would only keep its node from being drained."""
    proxy, key = blueprint.orchestrator.spec.proxy, blueprint.key
    fewest = proxy.autoscaling.min_replicas if proxy.autoscaling.enabled else proxy.replicas
    if not proxy.pod_disruption_budget.enabled or fewest <= 1:
        return None
    spec = {
        "maxUnavailable": proxy.pod_disruption_budget.max_unavailable.canonical,
        "selector": {"matchLabels": selector(key, "proxy")},
    }
    return child(key, "policy/v1", "PodDisruptionBudget", proxy_name(key), blueprint.owner, spec=spec)


def build_autoscaler(blueprint: Blueprint) -> Object | None:
    autoscaling, key = blueprint.orchestrator.spec.proxy.autoscaling, blueprint.key
    if not autoscaling.enabled:
        return None
    target = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization_percentage}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": proxy_name(key)},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return child(key, "autoscaling/v2", "HorizontalPodAutoscaler", proxy_name(key), blueprint.owner, spec=spec)
