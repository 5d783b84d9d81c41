"""The Deployments of proxies and workers, their ServiceAccount, and the volume of an embedded database."""

from __future__ import annotations

from s3o_crds.quantities import canonical_size
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_crds.v1alpha1.orchestrator import Volume
from s3o_crds.v1alpha1.pods import Strategy, Worker
from s3o_operator.plan.handover import mark
from s3o_operator.plan.manifests.blueprint import Blueprint
from s3o_operator.plan.manifests.labels import Component, child, data_name, proxy_name, selector, worker_name
from s3o_operator.plan.manifests.pods import pod_template
from s3o_operator.plan.observed import Key, Object

_MIN_READY_S = 5
"""A proxy that is ready and dies at once must not be taken for one that works, while the old ones end."""
_HISTORY = 3
"""ReplicaSets to roll back to; each keeps its static Secret alive."""


def build_service_account(blueprint: Blueprint) -> Object | None:
    """The pods ask nothing of the API server. None when all of them have another one."""
    spec = blueprint.orchestrator.spec
    templates = [spec.proxy.pod_template] + ([(spec.worker or Worker()).pod_template] if blueprint.is_split else [])
    if all(template.spec.service_account_name for template in templates):
        return None
    return child(blueprint.key, "v1", "ServiceAccount", proxy_name(blueprint.key), blueprint.owner, automountServiceAccountToken=False)


def build_volume_claim(key: Key, orchestrator: S3Orchestrator) -> Object | None:
    """Unowned: with its last database, every object would be lost."""
    database = orchestrator.spec.database
    if database is not None and database.driver != "SQLite":
        return None
    volume = (database.volume if database else None) or Volume()
    # In whole Mi, rounded up: storage is not given out in smaller pieces.
    mebibytes = -(-volume.size.bytes // 2**20)
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": canonical_size(mebibytes * 2**20)}}}
    if volume.storage_class_name:
        spec["storageClassName"] = volume.storage_class_name
    return child(key, "v1", "PersistentVolumeClaim", data_name(key), None, spec=spec)


def build_proxy_deployment(blueprint: Blueprint, replicas: int | None) -> Object:
    """`replicas` None: they are an autoscaler's to decide."""
    proxy, key = blueprint.orchestrator.spec.proxy, blueprint.key
    # Two processes must never have the same SQLite file open; the old one ends first.
    spec = {"strategy": {"type": "Recreate"}} if blueprint.is_embedded else _rolling(proxy.strategy)
    template = pod_template(blueprint, "proxy", "api" if blueprint.is_split else "", proxy.pod_template, proxy.resources)
    spec |= {"template": template} | ({} if replicas is None else {"replicas": replicas})
    deployment = _deployment(blueprint, proxy_name(key), "proxy", spec)
    return deployment if replicas is not None else mark(deployment)


def build_worker_deployment(blueprint: Blueprint) -> Object | None:
    if not blueprint.is_split:
        return None
    worker = blueprint.orchestrator.spec.worker or Worker()
    template = pod_template(blueprint, "worker", "worker", worker.pod_template, worker.resources)
    return _deployment(
        blueprint, worker_name(blueprint.key), "worker", {"replicas": worker.replicas} | _rolling(Strategy()) | {"template": template}
    )


def _rolling(strategy: Strategy) -> Object:
    limits = {"maxSurge": strategy.max_surge.canonical, "maxUnavailable": strategy.max_unavailable.canonical}
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": limits}, "minReadySeconds": _MIN_READY_S}


def _deployment(blueprint: Blueprint, name: str, component: Component, spec: Object) -> Object:
    common = {"selector": {"matchLabels": selector(blueprint.key, component)}, "revisionHistoryLimit": _HISTORY}
    return child(blueprint.key, "apps/v1", "Deployment", name, blueprint.owner, spec=common | spec)
