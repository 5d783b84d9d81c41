"""A status, written to exactly one object: not to a namesake, whatever a cache shows.

The uid is no help here: of a custom resource's status the API server ignores the one that is sent. The version that was read is one: no two
objects have the same.
"""

from __future__ import annotations

from contextlib import suppress

from s3o_operator.apply.protection import read_live
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict, Gone
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.observed import Object, Ref


async def report(ref: Ref, uid: str, status: Object, kube: Kube, cache: Cache) -> None:
    """Gone, or another object of that name by now: its event is on the way, and what was meant for the old one is void.
    Raises Conflict when it changed just now."""
    seen = cache.get(ref)
    if seen is not None and seen["metadata"]["uid"] == uid:
        with suppress(Conflict, Gone):  # then the cache was behind
            cache.put(await kube.apply_status(seen, status))
            return
    live = await read_live(ref, uid, kube, cache)
    if live is not None:
        with suppress(Gone):
            cache.put(await kube.apply_status(live, status))
