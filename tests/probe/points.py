"""All points of a story on one engine, found by telling it: nobody lists them.

`S3O_POINTS=all` strikes every point with every blow that can hit there, and lets both come after it: somebody who writes the same keys at
once, and the client who asks again. Otherwise each point is struck once: one death of those that leave the same behind, one cancellation at
each suspension, one failure of each call, and both ways in which the answer of a transaction may be lost.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from tests.probe.calls import OF_TRANSACTIONS, Call
from tests.probe.databases import Database
from tests.probe.lives import lives_are_stepped
from tests.probe.tales import QUOTA_BYTES, Tale
from tests.probe.trial import Blow, Intruder, Told, Trial, look
from tests.probe.world import World, two_shelves

from s3o_proxy import proxy
from s3o_proxy.metadata.ledger import Ledger

Record = Callable[[str, object], None]

EVERYTHING = os.environ.get("S3O_POINTS") == "all"


async def strike_all(database: Database, tale: Tale, monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
    """Prints and records how many points there were; a story without one fails."""
    points = Points(database, tale)
    await points.strike_all(monkeypatch)
    assert points.hits.total()
    line = f"{database.name}: {tale.name}: {points}"
    print(line)
    record("points", line)


async def names_of_workers(database: Database) -> list[str]:
    """Of those that a process runs."""
    shelves, configs = two_shelves(QUOTA_BYTES)
    site = await World(database, shelves, configs).open()
    await site.close()
    await database.close()
    return site.workers


class Points:
    """`hits`: how often the story was struck, by the kind of blow."""

    def __init__(self, database: Database, tale: Tale) -> None:
        self.hits: Counter[str] = Counter()
        self._tale, self._stands_still = tale, database.shared
        shelves, configs = two_shelves(QUOTA_BYTES)
        if tale.shares_account:
            shelves["first"].share_account(shelves["second"])
        self._world = World(database, shelves, configs)

    async def strike_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with lives_are_stepped(), clocks_of(self._world, monkeypatch):
            trial = await prepared(self._world, self._tale)
            plain = await trial.run(None)
            for what, nth in [*self._at_suspensions(plain), *self._at_calls(plain.calls)]:
                # Two tasks may take turns in another order than the first time, and one call less be made: then nothing is hit.
                for intruder in self._intruders(what, nth):
                    self.hits[what] += (await trial.run(Blow(what, nth, intruder))).hit
        await self._world.database.close()

    def __str__(self) -> str:
        return f"{self.hits.total()} points: " + ", ".join(f"{count} {what}" for what, count in self.hits.items())

    def _intruders(self, what: str, nth: int) -> Sequence[Intruder]:
        every: tuple[Intruder, ...] = ("", "writes", "deletes")
        if not self._tale.after:
            return every[:1]
        return every if EVERYTHING or what == "stand still" else (every[nth % 3],)

    def _at_suspensions(self, plain: Told) -> Iterator[tuple[str, int]]:
        every = range(1, plain.suspensions + 1)
        yield from (("die", nth) for nth in (every if EVERYTHING else that_differ(plain.outside)))
        yield from (("cancel", nth) for nth in range(1, plain.own_suspensions + 1))
        if EVERYTHING:
            yield from (("cancel for good", nth) for nth in range(1, plain.own_suspensions + 1))
        if self._stands_still:
            yield from (("stand still", nth) for nth in (every if EVERYTHING else that_differ(plain.outside, between=True)))

    def _at_calls(self, calls: Sequence[Call]) -> Iterator[tuple[str, int]]:
        start = zlib.crc32(self._tale.name.encode())
        for nth, call in enumerate(calls, start=1):
            chosen = call.failures if EVERYTHING else call.failures[(start + nth) % len(call.failures) :][:1]
            if call.failures is OF_TRANSACTIONS and not EVERYTHING:
                chosen = ("lost", "silent")
            yield from ((failure, nth) for failure in chosen)


async def prepared(world: World, tale: Tale) -> Trial:
    """The world is as the story finds it, and can be put back to that."""
    site = await world.open(tale.max_put_bytes)
    facts = await tale.prepare(site)
    before = await look(site)
    await site.close()
    await world.keep()
    return Trial(world, tale, facts, before)


def that_differ(outside: Sequence[tuple[int, int]], *, between: bool = False) -> list[int]:
    """The first suspension of each stretch over which the outside stays the same, and the last of those in which something is just taking
    effect. `between`: those alone in which nothing is."""
    chosen = []
    for nth, (effects, under_way) in enumerate(outside, start=1):
        first = nth == 1 or outside[nth - 2] != (effects, under_way)
        last = nth == len(outside) or outside[nth] != (effects, under_way)
        if (first or (under_way and last)) and not (between and under_way):
            chosen.append(nth)
    return chosen


@contextmanager
def clocks_of(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ask = Ledger.now_ms

    async def told(ledger: Ledger) -> int:
        """The database is asked, and may be away; what its clock shows is moved here."""
        await ask(ledger)
        return world.now_ms

    with monkeypatch.context() as patch:
        patch.setattr(proxy, "wall_ms", lambda: world.now_ms)
        patch.setattr(Ledger, "now_ms", told)
        patch.setattr(proxy, "ticks_ms", lambda: world.ticks_ms)
        yield
