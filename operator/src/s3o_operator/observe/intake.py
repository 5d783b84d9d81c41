"""News about an object → the cache, and the keys that it is work for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from s3o_operator.observe.cache import Cache
from s3o_operator.plan.manifests.labels import INSTANCE, key_of_child
from s3o_operator.plan.observed import Key, Object
from s3o_operator.queue import WorkQueue


class Intake:
    def __init__(self, cache: Cache, queue: WorkQueue) -> None:
        self._cache = cache
        self._queue = queue

    def seen(self, document: Object, *, deleted: bool = False) -> None:
        if self._cache.remove(document) if deleted else self._cache.put(document):
            self._enqueue([document])

    def listed(self, kind: str, documents: Iterable[Object], version: str) -> None:
        self._enqueue(self._cache.replace(kind, documents, version))

    def everything(self) -> None:
        """Every key there is work for."""
        self._enqueue([one for kind in ("S3Orchestrator", "StorageBackend", "VirtualBucket") for one in self._cache.all(kind)])

    def _enqueue(self, documents: Iterable[Object]) -> None:
        in_namespace: dict[str, set[Key]] = {}
        for key in {key for document in documents for key in self._keys(document, in_namespace)}:
            self._queue.add(key)

    def _keys(self, document: Object, in_namespace: dict[str, set[Key]]) -> Iterator[Key]:
        metadata, kind = document["metadata"], document["kind"]
        namespace = metadata.get("namespace", "")
        match kind:
            case "S3Orchestrator":
                yield Key(namespace, metadata["name"])
            case "StorageBackend" | "VirtualBucket":
                if key := key_of(document):
                    yield key
            case "Pod" | "ReplicaSet":
                if name := (metadata.get("labels") or {}).get(INSTANCE):
                    yield Key(namespace, name)
            case "Namespace":
                yield from self._all_in(metadata["name"])
            case _:
                if key := key_of_child(document):
                    yield key
                if kind == "Secret":
                    # Resources name Secrets of their own namespace only.
                    if namespace not in in_namespace:
                        in_namespace[namespace] = set(self._all_in(namespace))
                    yield from in_namespace[namespace]

    def _all_in(self, namespace: str) -> Iterator[Key]:
        """The orchestrators in a namespace, and those that its backends and buckets refer to."""
        yield from (Key(namespace, one["metadata"]["name"]) for one in self._cache.of("S3Orchestrator", namespace))
        for kind in ("StorageBackend", "VirtualBucket"):
            yield from (key for one in self._cache.of(kind, namespace) if (key := key_of(one)))


def key_of(resource: Object) -> Key | None:
    """The orchestrator that a backend or a bucket refers to."""
    ref = (resource.get("spec") or {}).get("orchestratorRef") or {}
    return Key(ref.get("namespace") or resource["metadata"]["namespace"], ref["name"]) if ref.get("name") else None
