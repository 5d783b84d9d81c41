"""How many proxies Kubernetes may take away at once."""

from __future__ import annotations

from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_operator.plan.manifests.labels import child, proxy_name, selector
from s3o_operator.plan.observed import Key, Object


def build_disruption_budget(key: Key, owner: Object, orchestrator: S3Orchestrator) -> Object | None:
    """None with a single proxy: a budget would only keep its node from being drained."""
    if orchestrator.spec.proxy.replicas <= 1:
        return None
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(key)}}
    return child(key, "policy/v1", "PodDisruptionBudget", proxy_name(key), owner, spec=spec)
