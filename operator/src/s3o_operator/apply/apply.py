"""Carry out a plan. What the API server answers goes into the cache at once, so that the next plan does not repeat what was just done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from s3o_operator.apply.mint import mint_keys, mint_token
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict, Forbidden, Gone, Invalid
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import Action, Delete, Ensure, Latch, MintKeys, MintToken, Plan, SetStatus
from s3o_operator.plan.manifests.labels import is_ours
from s3o_operator.plan.observed import Ref, ref_of


@dataclass(frozen=True)
class Outcome:
    """`again`: the cluster is not what the plan took it for; plan anew. `failures`: what the API server refuses for good, in words."""

    again: bool = False
    failures: tuple[str, ...] = ()


Progress = Callable[[Action], None]


async def apply(plan: Plan, kube: Kube, cache: Cache, progress: Progress) -> Outcome:
    """Raises KubeError for what may pass by itself. A status is written only when all before it has been."""
    again = False
    failures: list[str] = []
    for action in plan.actions:
        if isinstance(action, SetStatus) and (again or failures):
            break
        try:
            again |= await _carry_out(action, kube, cache)
            progress(action)
        except (Forbidden, Invalid) as error:
            failures.append(str(error))
    return Outcome(again, tuple(failures))


async def _carry_out(action: Action, kube: Kube, cache: Cache) -> bool:
    """Whether to plan anew."""
    match action:
        case MintKeys():
            await mint_keys(action, kube, cache)
            return True
        case Latch(ref, uid, status):
            # Not as a report: what follows must not begin unless this stands there.
            await _report(ref, uid, status, kube, cache)
            return True
        case MintToken():
            await mint_token(action, kube, cache)
            return True
        case Ensure(manifest):
            ref = ref_of(manifest)
            # A watch shows only what bears our label: before something is made, its name is looked up:
            # a foreign object is never taken.
            if cache.get(ref) is None and (found := await _find(ref, kube)) is not None and not is_ours(found, manifest):
                cache.put(found)
                return True
            cache.put(await kube.apply(manifest))
        case Delete(ref, uid):
            await _if_still_there(lambda: kube.delete(ref, uid))
            cache.forget(ref)
        case SetStatus(ref, uid, status):
            await _if_still_there(lambda: _report(ref, uid, status, kube, cache))
    return False


async def _report(ref: Ref, uid: str, status: dict[str, object], kube: Kube, cache: Cache) -> None:
    cache.put(await kube.apply_status(ref, uid, status))


async def _find(ref: Ref, kube: Kube) -> dict[str, object] | None:
    try:
        return await kube.get(ref)
    except Gone:
        return None


async def _if_still_there(write: Callable[[], Awaitable[None]]) -> None:
    """Gone, or another object of that name by now: its event is on the way, and what was meant for the old one is void."""
    try:
        await write()
    except (Gone, Conflict):
        return
