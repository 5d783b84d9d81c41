"""Objects by kind, namespace and name. An older version never replaces a newer one, whoever brings it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from s3o_operator.plan.observed import Object, Ref, ref_of


class Cache:
    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], dict[str, Object]] = {}
        self.once_foreign: set[Ref] = set()
        """Names under which something was found that is not ours. A listing by our label forgets the object, and not this."""
        self._ended: dict[Ref, int] = {}
        """Versions in which objects were deleted, until a listing knows of it: one that was made before brings nothing back."""

    def get(self, ref: Ref) -> Object | None:
        return self._objects.get((ref.kind, ref.namespace), {}).get(ref.name)

    def put(self, document: Object) -> bool:
        """Whether it was news. Managed fields are left out: half of an object's size, and nobody asks for them."""
        ref = ref_of(document)
        known = self.get(ref)
        if _version(document) < self._ended.get(ref, 0) or (known is not None and _version(known) >= _version(document)):
            return False
        metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
        self._objects.setdefault((ref.kind, ref.namespace), {})[ref.name] = {**document, "metadata": metadata}
        return True

    def remove(self, document: Object) -> bool:
        """Of what was deleted in this version, or before. Whether it was there."""
        ref = ref_of(document)
        known = self.get(ref)
        self._ended[ref] = max(_version(document), self._ended.get(ref, 0))
        if known is None or _version(known) > _version(document):
            return False
        return self.forget(ref)

    def forget(self, ref: Ref) -> bool:
        return self._objects.get((ref.kind, ref.namespace), {}).pop(ref.name, None) is not None

    def replace(self, kind: str, listed: Iterable[Object], version: str) -> list[Object]:
        """What a listing of the whole kind says. Returns what changed by it, and what vanished."""
        found = list(listed)
        changed = [document for document in found if self.put(document)]
        names = {ref_of(document) for document in found}
        # What is newer than the listing was not yet there when it was made.
        vanished = [one for one in self.all(kind) if ref_of(one) not in names and _version(one) <= int(version)]
        for document in vanished:
            self.forget(ref_of(document))
        self._ended = {ref: ended for ref, ended in self._ended.items() if ref.kind != kind or ended > int(version)}
        return changed + vanished

    def all(self, kind: str) -> Iterator[Object]:
        for (its_kind, _), objects in self._objects.items():
            if its_kind == kind:
                yield from objects.values()

    def of(self, kind: str, namespace: str) -> Iterable[Object]:
        return self._objects.get((kind, namespace), {}).values()


def _version(document: Object) -> int:
    """resourceVersions are ordered numbers: https://kep.k8s.io/5504."""
    return int(document["metadata"]["resourceVersion"])
