"""Whether what is there is what is wanted: every wanted field stands in the live object, which may hold more (defaults, other writers)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3o_operator.plan.manifests.labels import APPLIED
from s3o_operator.plan.observed import Object

_TOLD_APART_BY = ("uid", "name", "type", "mountPath", "port")
"""How the API server merges lists of objects; the first that all members have."""


def difference(wanted: Object, live: Object | None) -> str:
    """Why it must be applied, or nothing."""
    if live is None:
        return "missing"
    applied = (live["metadata"].get("annotations") or {}).get(APPLIED)
    if applied != wanted["metadata"]["annotations"][APPLIED]:
        return "changed"
    return "" if holds(wanted, live) else "drifted"


def holds(wanted: Any, live: Any) -> bool:
    """An absent field, an empty one and none at all are the same."""
    if wanted == live:  # as most of what is compared: told at the speed of C
        return True
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping | None) and all(holds(value, (live or {}).get(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list | None) and _list_holds(wanted, live or [])
    return False


def _list_holds(wanted: Sequence[Any], live: Sequence[Any]) -> bool:
    name = next((name for name in _TOLD_APART_BY if wanted and _tells_apart(name, wanted)), None)
    if name is None:
        return len(wanted) == len(live) and all(map(holds, wanted, live))
    by_name = {one.get(name): one for one in live if isinstance(one, Mapping)}
    return all(holds(one, by_name.get(one[name])) for one in wanted)


def _tells_apart(name: str, members: Sequence[Any]) -> bool:
    """Two ports of one number, of TCP and of UDP, are not told apart by it."""
    return all(isinstance(one, Mapping) and isinstance(one.get(name), str | int) for one in members) and len(
        {one[name] for one in members}
    ) == len(members)
