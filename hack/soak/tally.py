"""What came of a soak: operations by kind and outcome, and everything that must not happen."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

_FINDINGS_KEPT = 100


class Outcome(StrEnum):
    DONE = "done"
    DECLINED = "declined"
    """What was asked does not hold: a condition, as it should be."""
    REFUSED = "refused"
    """No space is left: 507."""
    FAILED = "failed"
    """Any other 5xx: of a write nobody knows whether it was done."""
    UNANSWERED = "unanswered"


class Finding(StrEnum):
    LOST = "lost"
    """An acknowledged object is not there."""
    WRONG = "wrong"
    """There is something else than what was acknowledged, or asked for since: other bytes, or what was deleted."""
    UNEXPECTED = "unexpected"
    """An answer that nothing explains."""
    EXCESS = "excess"
    """A backend held more than its quota."""


@dataclass
class Tally:
    """Operations are taken before they are asked, and counted when it is known what came of them."""

    operations: int
    """How many there are to do, at least: they go on for as long as `killing`."""
    killing: bool = False
    """Whether somebody is still to be killed."""
    taken: int = 0
    done: int = 0
    """Those whose outcome was counted."""
    outcomes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    findings: Counter[Finding] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    """The first findings, in words."""
    bytes_written: int = 0
    bytes_read: int = 0
    longest_silence_s: float = 0.0
    """Between two answers, to anybody."""
    _answered_s: float = field(default_factory=time.monotonic)
    _awaited: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, kind: str, outcome: Outcome) -> None:
        self.outcomes[kind, outcome] += 1
        self.done += 1
        if self.done == self._awaited:
            self._reached.set()
        if outcome is not Outcome.UNANSWERED and outcome is not Outcome.FAILED:
            now_s = time.monotonic()
            self.longest_silence_s = max(self.longest_silence_s, now_s - self._answered_s)
            self._answered_s = now_s

    def begin(self) -> None:
        """From here on silence is counted."""
        self._answered_s = time.monotonic()

    def find(self, finding: Finding, what: str) -> None:
        self.findings[finding] += 1
        if len(self.told) < _FINDINGS_KEPT:
            self.told.append(f"{finding}: {what}")

    @property
    def goes_on(self) -> bool:
        return self.killing or self.taken < self.operations

    def stop(self) -> None:
        """What was taken is the last."""
        self.operations, self.killing = self.taken, False
        self._reached.set()

    async def reached(self, operations: int) -> None:
        """Returns when so many are done, or no more are taken. One can wait at a time."""
        if self.done < operations:
            self._awaited = operations
            self._reached.clear()
            await self._reached.wait()

    def total(self, outcome: Outcome) -> int:
        return sum(number for (_, each), number in self.outcomes.items() if each is outcome)
