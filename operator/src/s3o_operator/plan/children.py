"""All children of one orchestrator, in the order in which they need each other, and why some that are wanted cannot be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3o_operator.plan.conditions import Fact
from s3o_operator.plan.handover import is_handed_over
from s3o_operator.plan.manifests.admin import build_admin_secret
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.config import build_config_secrets, build_static_secret
from s3o_operator.plan.manifests.deployment import (
    build_proxy_deployment,
    build_service_account,
    build_volume_claim,
    build_worker_deployment,
)
from s3o_operator.plan.manifests.disruption import build_autoscaler, build_disruption_budget
from s3o_operator.plan.manifests.labels import proxy_name
from s3o_operator.plan.manifests.monitoring import build_pod_monitor, build_prometheus_rule
from s3o_operator.plan.manifests.network import build_network_policy
from s3o_operator.plan.manifests.pods import RESTARTED
from s3o_operator.plan.manifests.routes import build_http_route, build_ingress
from s3o_operator.plan.manifests.service import build_proxy_service
from s3o_operator.plan.observed import Key, Object, Observed, Ref


@dataclass(frozen=True)
class Children:
    """`missing`: what is wanted and is of a kind that cannot be used here, one sentence each."""

    manifests: tuple[Object, ...]
    missing: tuple[str, ...] = ()


def children_of(blueprint: Blueprint, observed: Observed) -> Children:
    """Raises TooLarge: the configuration does not fit into the Secrets that proxies mount."""
    wanted = [
        build_service_account(blueprint),
        build_admin_secret(blueprint.key, blueprint.owner, blueprint.token),
        build_static_secret(blueprint),
        *build_config_secrets(blueprint),
        build_volume_claim(blueprint.key, blueprint.orchestrator),
        build_proxy_deployment(blueprint, _replicas(blueprint, observed)),
        build_worker_deployment(blueprint),
        build_proxy_service(blueprint),
        build_disruption_budget(blueprint),
        build_autoscaler(blueprint),
        build_network_policy(blueprint),
        build_ingress(blueprint),
        build_http_route(blueprint),
        build_pod_monitor(blueprint),
        build_prometheus_rule(blueprint),
    ]
    return usable([manifest for manifest in wanted if manifest is not None], observed.unusable)


def usable(wanted: list[Object], unusable: Mapping[str, str]) -> Children:
    """`unusable`: kind → why. Nothing else waits for those: a fleet serves without them."""
    made = [manifest for manifest in wanted if manifest["kind"] not in unusable]
    missing = [unusable[manifest["kind"]] for manifest in wanted if manifest["kind"] in unusable]
    return Children(tuple(made), tuple(missing))


def extras_fact(missing: tuple[str, ...]) -> Fact:
    """The condition that tells of what is wanted and cannot be made."""
    return Fact("ExtrasReady", not missing, "KindsUnusable" if missing else "AsWanted", "; ".join(missing))


def restart_stamp(observed: Observed) -> str:
    """The last token of the trigger `restart`; where a status was lost, the one that the pods have: losing it must not restart them."""
    latched = str(((observed.orchestrator or {}).get("status") or {}).get("lastHandled", {}).get("restart", ""))
    if latched:
        return latched
    template = ((_live(observed) or {}).get("spec") or {}).get("template") or {}
    return str(((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED, ""))


def _replicas(blueprint: Blueprint, observed: Observed) -> int | None:
    proxy = blueprint.orchestrator.spec.proxy
    if not proxy.autoscaling.enabled:
        return proxy.replicas
    # Without the autoscaler we decide; but never again once it has: that would be a sudden drop.
    decided_by_us = "HorizontalPodAutoscaler" in observed.unusable and not is_handed_over(_live(observed))
    return max(proxy.replicas, proxy.autoscaling.min_replicas) if decided_by_us else None


def _live(observed: Observed) -> Object | None:
    return observed.live.get(deployment_ref(observed.key))


def deployment_ref(key: Key) -> Ref:
    return Ref("Deployment", key.namespace, proxy_name(key))
