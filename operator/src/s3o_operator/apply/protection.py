"""Our finalizers, put on and taken off: always on what was read just now, since a cache may show a namesake that is long gone."""

from __future__ import annotations

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Gone
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import Protect, Release
from s3o_operator.plan.observed import Object, Ref
from s3o_operator.plan.removal import FINALIZERS, is_leaving, is_protected


async def protect(action: Protect, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when it changed meanwhile."""
    live = await read_live(action.ref, action.uid, kube, cache)
    # What is being deleted takes no new finalizer: it was never served, and may go.
    if live is not None and not is_leaving(live) and not is_protected(live):
        cache.put(await kube.set_finalizers(live, [*_finalizers(live), FINALIZERS[action.ref.kind]]))


async def release(action: Release, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when it changed meanwhile."""
    live = await read_live(action.ref, action.uid, kube, cache)
    if live is None or not is_leaving(live) or not is_protected(live):
        return
    if action.unless is not None and await _is_there(action.unless, kube, cache):
        return
    rest = [name for name in _finalizers(live) if name != FINALIZERS[action.ref.kind]]
    try:
        released = await kube.set_finalizers(live, rest)
    except Gone:
        cache.forget(action.ref)
        return
    if rest:
        cache.put(released)
    else:
        cache.forget(action.ref)


async def read_live(ref: Ref, uid: str, kube: Kube, cache: Cache) -> Object | None:
    """None when it is gone, or another one has its name by now: what was meant for it is void, and the cache knows better from here on."""
    try:
        live = await kube.get(ref)
    except Gone:
        cache.forget(ref)
        return None
    cache.put(live)
    return live if live["metadata"]["uid"] == uid else None


async def _is_there(ref: Ref, kube: Kube, cache: Cache) -> bool:
    try:
        live = await kube.get(ref)
    except Gone:
        return False
    cache.put(live)
    return not is_leaving(live)


def _finalizers(live: Object) -> list[str]:
    return list(live["metadata"].get("finalizers") or [])
