"""What the garbage collector of a real cluster does, for an API server that runs without controllers."""

from __future__ import annotations

from tests.support.operators import BASES, Namespace


def collect_garbage(namespace: Namespace) -> None:
    """Delete what is owned by nobody any more, until all that is left has an owner, or never had one."""
    while orphans := _orphans(namespace):
        for kind, name, uid in orphans:
            # Of exactly this one: a new object may have its name by now.
            response = namespace.cluster.api.request("DELETE", namespace.path(kind, name), json={"preconditions": {"uid": uid}})
            if response.status_code not in (404, 409):
                response.raise_for_status()


def _orphans(namespace: Namespace) -> list[tuple[str, str, str]]:
    # Children first: an owner that comes after its children is found; one that goes in between is found the next time.
    listed = [(kind, one["metadata"]) for kind in reversed(BASES) for one in namespace.list(kind)]
    alive = {metadata["uid"] for _, metadata in listed}
    owned = [(kind, one) for kind, one in listed if one.get("ownerReferences") and "deletionTimestamp" not in one]
    return [(kind, one["name"], one["uid"]) for kind, one in owned if not alive & {ref["uid"] for ref in one["ownerReferences"]}]
