"""One story, struck at one point, and everything that must be true afterwards, seen from outside.

At once, before anything was repaired: rows, bytes and counters agree, and no quota is exceeded (I2, I3, I6); on an unknown outcome nothing
was deleted (I8); clients read what they were promised (I1). After a bounded number of rounds of the workers: the same, nothing is reserved
or queued any more, and nothing that somebody deleted or replaced meanwhile has come back (I4).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.probe.calls import Call
from tests.probe.tales import FILM, Content, Facts, Tale, put
from tests.probe.world import BUCKET, OTHER_BUCKET, STALE_MS, Site, World

from s3o_proxy.domain.errors import DomainError, NoSuchKey
from s3o_proxy.domain.lease import LEASE_MS
from s3o_proxy.domain.model import ListQuery
from s3o_proxy.s3.errors import S3Error, to_s3_error
from s3o_proxy.s3.operation import DeleteObject, GetObject

ROUNDS = 4
"""Of all workers, after which nothing is left to do."""
APART_MS = 10 * 60_000
"""Longer than a claim, a settling time, and the pause after a few failed deletions."""
_PATIENCE_S = 20.0
"""A story that takes so long hangs."""

BY_SUSPENSION = ("die", "cancel", "cancel for good", "stand still")
Intruder = Literal["", "writes", "deletes"]
State = dict[tuple[str, str], bytes]
"""Content by bucket and key."""


@dataclass(frozen=True, slots=True)
class Blow:
    """At the `nth` suspension, or (a Failure) at the nth call."""

    what: str
    nth: int
    intruder: Intruder = ""
    """What somebody else does to the same keys before anything was repaired; where nobody does, the same is asked for again in the end."""

    def __str__(self) -> str:
        return f"{self.what} at {self.nth}" + (f", somebody else {self.intruder}" if self.intruder else "")


@dataclass(frozen=True, slots=True)
class Told:
    """What was seen while the story was told. `hit`: the blow struck."""

    hit: bool
    suspensions: int
    own_suspensions: int
    outside: Sequence[tuple[int, int]]
    """At each suspension: what a death there leaves behind."""
    calls: Sequence[Call]


@dataclass(slots=True)
class Outcome:
    """`acknowledged`: the keys of which the client was told that it was done. `refused`: that it was certainly not."""

    acknowledged: frozenset[str] = frozenset()
    refused: bool = False
    error: BaseException | None = None


class Trial:
    """`before` and `facts`: what the world was kept with."""

    def __init__(self, world: World, tale: Tale, facts: Facts, before: State) -> None:
        self._world, self._tale, self._facts, self._before = world, tale, facts, before
        self._sites: list[Site] = []

    async def run(self, blow: Blow | None) -> Told:
        """Raises AssertionError where something is not as promised."""
        await self._world.restore()
        site = await self._open()
        try:
            return await self._run(site, blow)
        except BaseException as error:
            where = site.life.place or str(site.board.struck or "")
            error.add_note(f"{self._tale.name}: {blow}, in {where}, calls: {', '.join(map(str, site.board.made))}")
            raise
        finally:
            for each in self._sites:
                if not each.life.is_over:
                    await each.close()
            for each in self._sites:
                await each.bury()

    async def _run(self, site: Site, blow: Blow | None) -> Told:
        if self._tale.ready is not None:
            await self._tale.ready(site)
        unknown: list[set[tuple[str, str]]] = []
        site.board.on_unknown = lambda: unknown.append(self._world.stored())
        site.life.outside = lambda: site.board.outside
        by_suspension = blow is not None and blow.what in BY_SUSPENSION
        site.board.begin((blow.nth, blow.what) if blow is not None and not by_suspension else None)  # type: ignore[arg-type]  # it is a Failure
        task = site.life.begin(self._tale.act(site, self._facts), (blow.what, blow.nth) if blow is not None and by_suspension else None)
        either: set[asyncio.Future[Any]] = {task, site.life.struck}
        await asyncio.wait(either, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        other, intruded = None, dict[str, Content]()
        if site.life.is_over:
            await site.die()
        elif site.life.is_still and site.board.outside[1]:
            site.life.go_on()  # Its session with the database would end, which is another point.
        elif site.life.is_still:
            other = await self._open()
            self._world.move_clocks(LEASE_MS)
            await other.become_sure()
            await other.round()
            if blow is not None and blow.intruder:
                intruded = await self._intrude(other, blow.intruder)
            site.life.go_on()
        outcome = Outcome()
        if not site.life.is_over:
            outcome = await self._outcome(task)
        hit = site.life.struck.done() or site.board.struck is not None
        site.board.mend()
        site.life.spare()
        await self._nothing_was_deleted(site, unknown)
        if not site.life.is_over:
            await site.work("clean_up")  # The story woke it.
        await site.board.land()
        await self._agree("at once")
        if not hit:
            assert outcome.error is None, f"nothing was struck, and it failed: {outcome.error!r}"
            assert outcome.acknowledged == self._tale.after.keys() or not self._tale.settles_at_once
        allowed = self._allowed(outcome)
        for key, content in intruded.items():
            later = allowed[key] - {self._before.get((BUCKET, key))} if self._tale.takes_effect_after(content) else set()
            allowed[key] = later | {content}
        await self._go_on(site, other, allowed, blow)
        return Told(hit, site.life.suspensions, site.life.own_suspensions, site.life.seen, site.board.made)

    async def _go_on(self, site: Site, other: Site | None, allowed: dict[str, set[Content]], blow: Blow | None) -> None:
        lives = [each for each in (site, other) if each is not None and not each.life.is_over] or [await self._open()]
        seen = await look(lives[0])
        self._hold(seen, allowed, "at once")
        if blow is not None and blow.intruder and other is None and self._tale.after:
            intruded = await self._intrude(lives[0], blow.intruder)
            seen = {at: content for at, content in seen.items() if at[0] != BUCKET or at[1] not in intruded}
            seen |= {(BUCKET, key): content for key, content in intruded.items() if content is not None}
        await self._settle(lives)
        if self._tale.settles_at_once:
            assert await look(lives[0]) == seen, "what clients read changed by repair"
        if blow is None or not blow.intruder:
            await self._repeat(lives)
        await self._tale.finish(lives[0], self._facts)
        self._world.move_clocks(STALE_MS)
        await self._settle(lives)
        await self._is_clean(lives[0])

    # --- what may be ---------------------------------------------------------------------------------------------------

    def _allowed(self, outcome: Outcome) -> dict[str, set[Content]]:
        """By key of the story."""
        allowed: dict[str, set[Content]] = {}
        for key, content in self._tale.after.items():
            was = self._before.get((BUCKET, key))
            allowed[key] = {content} if key in outcome.acknowledged else {was} if outcome.refused else {was, content}
        return allowed

    def _hold(self, seen: State, allowed: Mapping[str, set[Content]], when: str) -> None:
        for key, contents in allowed.items():
            found = seen.get((BUCKET, key))
            assert found in contents, f"{when} {key} is {found!r}, possible are {contents} (I1)"
        others = {at: content for at, content in self._before.items() if at[0] != BUCKET or at[1] not in allowed}
        found_others = {at: content for at, content in seen.items() if at[0] != BUCKET or at[1] not in allowed}
        assert found_others == others, f"{when} the other keys are {found_others}, they were {others} (I1)"

    async def _intrude(self, site: Site, does: Intruder) -> dict[str, Content]:
        """It is done to the first key of the story, the opposite to the next, and so on; and somebody is told so."""
        left: dict[str, Content] = {}
        for number, key in enumerate(self._tale.after, start=does == "deletes"):
            left[key] = None if number % 2 else FILM * 2
            if number % 2:
                await site.perform(DeleteObject(BUCKET, key))
            else:
                await put(site, key, FILM * 2)
        return left

    async def _outcome(self, task: asyncio.Task[set[str] | None]) -> Outcome:
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        assert done, "the story hangs"
        if task.cancelled():
            return Outcome(error=asyncio.CancelledError())
        error = task.exception()
        if error is None:
            told = task.result()
            return Outcome(frozenset(self._tale.after if told is None else told))
        for cause in _leaves(error):
            assert isinstance(cause, (DomainError, S3Error)), f"no error of a kind that is told to clients: {error!r}"
        refused = not isinstance(error, BaseExceptionGroup) and _status(error) < 500
        return Outcome(refused=refused, error=error)

    async def _repeat(self, lives: list[Site]) -> None:
        """The client, who heard of nothing, asks again."""
        if not self._tale.repeats:
            return
        with contextlib.suppress(*self._tale.pardons):
            await self._tale.act(lives[0], self._facts)
        await self._settle(lives)
        seen = await look(lives[0])
        for key, content in self._tale.after.items():
            assert seen.get((BUCKET, key)) == content, f"{key} is {seen.get((BUCKET, key))!r} after it was asked for again"

    # --- what must be --------------------------------------------------------------------------------------------------

    async def _settle(self, lives: list[Site]) -> None:
        """A bounded number of rounds, the first when the leases of the dead have ended."""
        self._world.move_clocks(APART_MS)
        for each in lives:
            await each.become_sure()
        for number in range(ROUNDS):
            for each in lives:
                await each.round()
            if not await self._is_anything_left(lives[0]):
                break
            self._world.move_clocks(APART_MS)
            for each in lives:
                await each.work("hold_lease")
            assert number + 1 < ROUNDS, f"after {ROUNDS} rounds of the workers there is left: {await lives[0].metadata.queue_depths()}"
        await self._agree("after the workers")

    async def _is_anything_left(self, site: Site) -> bool:
        """Uploads may be left, and what they reserve: whoever sends them has a day's time. And operations that wait for them."""
        depths = await site.metadata.queue_depths()
        if depths["cleanup_queue"] or depths["cleanup_dlq"] or (depths["intents"] and not depths["uploads"]):
            return True
        active = await site.metadata.active_operations()
        return any(each.reason != "WaitingForUploads" for each in active)

    async def _nothing_was_deleted(self, site: Site, unknown: list[set[tuple[str, str]]]) -> None:
        """`unknown`: what lay on the backends when the answer of a transaction was lost (I8)."""
        if self._tale.name == "worker clean_up":
            return  # It had deleted before it asked.
        for stored in unknown:
            assert stored <= self._world.stored(), f"deleted on an unknown outcome: {stored - self._world.stored()} (I8)"
        call = site.board.struck
        if site.board.failure == "silent" and call is not None and call.what in ("commit_write", "commit_move", "commit_part"):
            depths = await (await self._world.database.observe()).queue_depths()
            assert depths["intents"], "the intent of a commit of unknown outcome is gone before the reaper looked (I8)"

    async def _agree(self, when: str) -> None:
        differences = await self._world.differences()
        assert not differences, f"{when}: {differences} (I2, I3, I6)"

    async def _is_clean(self, site: Site) -> None:
        depths = await site.metadata.queue_depths()
        assert not any(depths.values()), f"left behind: {depths}"
        usage = await site.metadata.usage()
        held = {name: (each.reserved_bytes, each.orphan_bytes) for name, each in usage.items()}
        assert all(each == (0, 0) for each in held.values()), f"reserved and orphaned: {held}"
        uploads = [upload for shelf in self._world.shelves.values() for upload in shelf.uploads]
        assert not uploads, f"the backends still have uploads: {uploads}"

    async def _open(self) -> Site:
        site = await self._world.open(self._tale.max_put_bytes)
        self._sites.append(site)
        return site


async def look(site: Site) -> State:
    """Everything that clients can read."""
    seen: dict[tuple[str, str], bytes] = {}
    for bucket in (BUCKET, OTHER_BUCKET):
        page = await site.metadata.list_objects(ListQuery(bucket, limit=1000))
        for each in page.objects:
            try:
                seen[bucket, each.key] = await site.read(GetObject(bucket, each.key))
            except NoSuchKey:
                continue
    return seen


def _status(error: BaseException) -> int:
    assert isinstance(error, (DomainError, S3Error))
    return (error if isinstance(error, S3Error) else to_s3_error(error)).status


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
