"""Our finalizers, put on and taken off of exactly one version of exactly one object: a cache may show a namesake that is long gone."""

from __future__ import annotations

from contextlib import suppress

from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict, Gone
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import Protect, Release
from s3o_operator.plan.observed import Object, Ref
from s3o_operator.plan.removal import FINALIZERS, is_leaving, is_protected


async def protect(action: Protect, kube: Kube, cache: Cache) -> None:
    """Raises Conflict when it changed meanwhile."""
    seen = cache.get(action.ref)
    if seen is not None and seen["metadata"]["uid"] == action.uid:
        with suppress(Conflict, Gone):  # then the cache was behind
            await _put_on(seen, kube, cache)
            return
    if (live := await read_live(action.ref, action.uid, kube, cache)) is not None:
        await _put_on(live, kube, cache)


async def _put_on(read: Object, kube: Kube, cache: Cache) -> None:
    # What is being deleted takes no new finalizer: it was never served, and may go.
    if not is_leaving(read) and not is_protected(read):
        cache.put(await kube.set_finalizers(read, [*_finalizers(read), FINALIZERS[read["kind"]]]))


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
