"""Carry out a plan. What the API server answers goes into the cache at once, so that the next plan does not repeat what was just done.

Actions are carried out one by one, in their order, but for those that nothing else waits for: what belongs to single buckets, and the
statuses of single backends and buckets. Of these, neighbours go together, a few at a time.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from s3o_operator.apply.mint import drop_keys, mint_token, write_keys
from s3o_operator.apply.protection import protect, read_live, release
from s3o_operator.apply.report import report
from s3o_operator.fleet.errors import FleetError
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Conflict, Forbidden, Gone, Invalid, KubeError
from s3o_operator.observe.cache import Cache
from s3o_operator.plan.actions import (
    Action,
    Delete,
    DropKeys,
    Ensure,
    FleetAction,
    ForgetBackend,
    HandOver,
    Latch,
    MintToken,
    Plan,
    Protect,
    Release,
    SetStatus,
    StartOperation,
    WriteKeys,
    step_of,
)
from s3o_operator.plan.manifests.labels import controller_of, is_ours
from s3o_operator.plan.observed import Failure, Object, Ref, ref_of
from s3o_operator.plan.removal import is_leaving

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """`again`: the cluster is not what the plan took it for; plan anew. `failures`: what the API server refuses for good."""

    again: bool = False
    failures: tuple[Failure, ...] = ()


Progress = Callable[[Action], None]
AtTheProxies = Callable[[FleetAction], Awaitable[None]]
"""Raises FleetError."""
HasNews = Callable[[], Awaitable[bool]]
"""Asked when something was done, before it is reported."""
_IN_FLIGHT = 16
"""Measured: the API server is the limit from here on."""


async def apply(plan: Plan, kube: Kube, cache: Cache, progress: Progress, proxies: AtTheProxies, has_news: HasNews) -> Outcome:
    """Raises KubeError for what may pass by itself. Statuses are written only when all before them was carried out, and is not by now
    outdated."""
    run, done_any = _Run(kube, cache, progress, proxies), False
    for reports, actions in itertools.groupby(plan.actions, lambda action: isinstance(action, SetStatus)):
        if reports and done_any and not run.failures:
            run.again = await has_news() or run.again
        if reports and (run.again or run.failures):
            break
        done_any = True
        for _, together in itertools.groupby(enumerate(actions), lambda numbered: _group(*numbered)):
            await run.all_of(action for _, action in together)
    return Outcome(run.again, tuple(run.failures))


def _group(number: int, action: Action) -> int | str:
    """Neighbours of one group go together; a number is a group of one."""
    match action:
        case SetStatus(ref):
            # An orchestrator sums up what is said of its parts, and comes after them.
            return "statuses" if ref.kind != "S3Orchestrator" else number
        case Ensure(manifest):
            owners = manifest["metadata"].get("ownerReferences", [])
            return "of buckets" if owners and owners[0]["kind"] == "VirtualBucket" else number
        case Protect() | Release():
            return "finalizers"
    return number


@dataclass
class _Run:
    kube: Kube
    cache: Cache
    progress: Progress
    proxies: AtTheProxies
    again: bool = False
    failures: list[Failure] = field(default_factory=list)
    undone: set[Ref] = field(default_factory=set)
    """Whom the proxies could not forget now."""

    async def all_of(self, actions: Iterable[Action]) -> None:
        """When one may not have taken effect, no other is begun; those that are under way are ended first. Raises KubeError."""
        waiting, broken = iter(actions), list[KubeError]()
        async with asyncio.TaskGroup() as lanes:
            for action in itertools.islice(waiting, _IN_FLIGHT):
                lanes.create_task(self._lane(itertools.chain([action], waiting), broken))
        if broken:
            raise broken[0]

    async def _lane(self, waiting: Iterator[Action], broken: list[KubeError]) -> None:
        for action in waiting:
            try:
                if isinstance(action, FleetAction):
                    self.again |= await self._ask_the_proxies(action)
                elif not (isinstance(action, Release) and action.ref in self.undone):
                    self.again |= await _carry_out(action, self.kube, self.cache)
                self.progress(action)
            except (Forbidden, Invalid) as error:
                self.failures.append(_failure(action, str(error)))
            except KubeError as error:
                broken.append(error)
            if broken:
                return

    async def _ask_the_proxies(self, action: FleetAction) -> bool:
        """Whether to plan anew. What the proxies cannot do now holds up nobody: it is asked again when progress is looked at."""
        # Not by the cache alone: what was meant for one that is long gone must not be done to a namesake, nor what that one asked undone.
        live = await read_live(action.ref, action.uid, self.kube, self.cache)
        if live is None or (_ends_it(action) and not is_leaving(live)):
            return True
        try:
            await self.proxies(action)
        except FleetError as error:
            _LOG.warning("%s: %s", action.ref, error)
            if isinstance(action, ForgetBackend):
                # Nobody would ask again, once it is gone.
                self.undone.add(action.ref)
            return False
        return isinstance(action, StartOperation)


def _ends_it(action: FleetAction) -> bool:
    """Only for what is being deleted."""
    return isinstance(action, ForgetBackend) or (isinstance(action, StartOperation) and action.kind == "Purge")


def _failure(action: Action, message: str) -> Failure:
    """That a status is refused cannot be said in that status: it is told of the orchestrator then."""
    match action:
        case Ensure(manifest):
            return Failure(message, controller_of(manifest))
        case Protect(_, uid):
            return Failure(message, uid, step_of(action))
    return Failure(message, step=step_of(action))


async def _carry_out(action: Action, kube: Kube, cache: Cache) -> bool:
    """Whether to plan anew."""
    match action:
        case WriteKeys():
            await write_keys(action, kube, cache)
            return True
        case Latch(ref, uid, status):
            # What follows must not begin unless this stands there: plan anew, also where it is another one's by now.
            await report(ref, uid, status, kube, cache)
            return True
        case MintToken():
            await mint_token(action, kube, cache)
            return True
        case DropKeys():
            await drop_keys(action, kube, cache)
        case Protect():
            await protect(action, kube, cache)
            return True
        case Release():
            await release(action, kube, cache)
        case Ensure(manifest):
            return await _ensure(manifest, kube, cache)
        case HandOver(ref, replicas):
            cache.put(await kube.hand_over_replicas(ref, replicas))
        case Delete(ref, uid):
            with suppress(Gone, Conflict):  # or another object of that name by now: what was meant for the old one is void
                await kube.delete(ref, uid)
            cache.forget(ref)
        case SetStatus(ref, uid, status):
            with suppress(Conflict):  # news of it are on the way, and a report that takes them in follows
                await report(ref, uid, status, kube, cache)
    return False


async def _ensure(manifest: Object, kube: Kube, cache: Cache) -> bool:
    """A watch shows only what bears our label. So what the cache does not know is made only where nothing is: a foreign object is never
    taken. Whether to plan anew."""
    ref = ref_of(manifest)
    known = cache.get(ref)
    if known is None:
        with suppress(Conflict):
            # Where a foreign object was found, that would be a write that is refused again and again.
            if ref not in cache.once_foreign:
                return _has_begun(known, await kube.apply_new(manifest), cache)
        if (found := await _find(ref, kube)) is not None and not is_ours(found, manifest):
            cache.once_foreign.add(ref)
            cache.put(found)
            return True
    return _has_begun(known, await kube.apply(manifest), cache)


def _has_begun(known: Object | None, applied: Object, cache: Cache) -> bool:
    """Whether a controller has work of it now. The plan was made while it had none, and would report it as done. What we write is no news
    when a watch brings it: nobody else would look."""
    cache.put(applied)
    generation = applied["metadata"].get("generation")
    return generation is not None and (known is None or known["metadata"].get("generation") != generation)


async def _find(ref: Ref, kube: Kube) -> dict[str, object] | None:
    try:
        return await kube.get(ref)
    except Gone:
        return None
