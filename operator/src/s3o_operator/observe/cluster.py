"""The cache → the `Observed` of one key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from s3o_operator.kube.kinds import OPTIONAL
from s3o_operator.observe.cache import Cache
from s3o_operator.observe.intake import key_of
from s3o_operator.plan.contacts import Contact
from s3o_operator.plan.manifests.labels import INSTANCE
from s3o_operator.plan.observed import Failure, Key, Object, Observed, Ref, ref_of

_CHILDREN = (
    *("ServiceAccount", "Secret", "PersistentVolumeClaim", "Deployment", "ReplicaSet", "Service", "PodDisruptionBudget", "ConfigMap"),
    *(kind.name for kind in OPTIONAL),
)
_NONE: Mapping[str, str] = {}


def observe(
    cache: Cache,
    key: Key,
    image: str,
    contacts: Mapping[str, Contact],
    *,
    unusable: Mapping[str, str] = _NONE,
    operations: tuple[Object, ...] | None = None,
    failures: tuple[Failure, ...] = (),
    now: datetime | None = None,
) -> Observed:
    """All that stands in the namespace counts as live: a foreign object under a child's name must be seen. So do Secrets and ConfigMaps in
    the namespaces of its backends and buckets."""
    seconds = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    backends, buckets = _belonging(cache, "StorageBackend", key), _belonging(cache, "VirtualBucket", key)
    elsewhere = sorted({one["metadata"]["namespace"] for one in (*backends, *buckets)} - {key.namespace})
    live = [one for kind in _CHILDREN for one in cache.of(kind, key.namespace)]
    live += [one for kind in ("Secret", "ConfigMap") for namespace in elsewhere for one in cache.of(kind, namespace)]
    return Observed(
        key=key,
        now=seconds,
        image=image,
        orchestrator=cache.get(Ref("S3Orchestrator", *key)),
        backends=backends,
        buckets=buckets,
        secrets=tuple(sorted((one for one in live if one["kind"] == "Secret"), key=ref_of)),
        live={ref_of(one): one for one in live},
        unusable=dict(unusable),
        # Whoever can list any knows all. With a single namespace there is none in the cache.
        namespaces={one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in cache.all("Namespace")} or None,
        pods=pods_of(cache, key),
        contacts=contacts,
        operations=operations,
        failures=failures,
    )


def pods_of(cache: Cache, key: Key) -> tuple[Object, ...]:
    """By their labels. Whoever makes pods with such labels in this namespace could as well mount what ours are given."""
    there = cache.of("Pod", key.namespace)
    return tuple(sorted((pod for pod in there if (pod["metadata"].get("labels") or {}).get(INSTANCE) == key.name), key=ref_of))


def _belonging(cache: Cache, kind: str, key: Key) -> tuple[Object, ...]:
    return tuple(sorted((one for one in cache.all(kind) if key_of(one) == key), key=ref_of))
