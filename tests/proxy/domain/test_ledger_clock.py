"""The database's time, as a process knows it between two answers."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.domain.ledger_clock import STEP_MS, LedgerClock

EPOCH_MS = 1_800_000_000_000


class Distant:
    """A database whose clock is `ahead_ms` of our ticks, and answers on their way: `there_ms` to it and `back_ms` from it."""

    def __init__(self) -> None:
        self.ticks, self.ahead_ms = 5_000, EPOCH_MS
        self.there_ms = self.back_ms = 0
        self.clock = LedgerClock(self._ask, lambda: self.ticks)

    @property
    def right(self) -> int:
        return self.ticks + self.ahead_ms

    async def _ask(self) -> int:
        self.ticks += self.there_ms
        said = self.right
        self.ticks += self.back_ms
        return said

    async def set(self, there_ms: int = 0, back_ms: int = 0) -> int:
        self.there_ms, self.back_ms = there_ms, back_ms
        return await self.clock.set()


@pytest.fixture
def distant() -> Distant:
    return Distant()


async def test_before_it_was_set_there_is_no_time(distant: Distant) -> None:
    assert distant.clock.steady_ms() == 0
    with pytest.raises(MetadataUnavailable):
        distant.clock.now_ms()


async def test_it_goes_on_by_our_own_ticks(distant: Distant) -> None:
    assert await distant.set() == distant.right
    distant.ticks += 12_345
    assert distant.clock.now_ms() == distant.right


async def test_it_is_never_ahead_and_behind_by_the_way_of_the_best_answer_at_most(distant: Distant) -> None:
    said = await distant.set(there_ms=20, back_ms=70)
    assert (said, distant.clock.now_ms()) == (distant.right - 70, distant.right - 70)
    await distant.set(there_ms=900, back_ms=1_900)
    assert distant.clock.now_ms() == distant.right - 70, "a slow answer proves nothing"
    await distant.set(there_ms=20, back_ms=5)
    assert distant.clock.now_ms() == distant.right - 5
    assert distant.clock.steady_ms() == 20 + 70 + 900 + 1_900 + 20 + 5


@pytest.mark.parametrize("by_ms", [-60_000, -STEP_MS - 100, STEP_MS + 100, 60_000])
async def test_it_follows_a_database_whose_clock_is_set_and_begins_anew_to_be_steady(distant: Distant, by_ms: int) -> None:
    await distant.set()
    distant.ticks += 100_000
    distant.ahead_ms += by_ms
    await distant.set(there_ms=10, back_ms=10)
    assert abs(distant.clock.now_ms() - distant.right) <= 11
    assert distant.clock.steady_ms() == 20
    distant.ticks += 30_000
    await distant.set(there_ms=10, back_ms=10)
    assert distant.clock.steady_ms() == 30_040


async def test_what_is_put_right_a_little_at_a_time_is_steady(distant: Distant) -> None:
    """As by NTP; and our own ticks are not exact."""
    await distant.set()
    for by_ms in (3, -3) * 5:
        distant.ticks += 5_000
        distant.ahead_ms += by_ms
        await distant.set()
        assert abs(distant.clock.now_ms() - distant.right) <= 1
    assert distant.clock.steady_ms() == 50_000


async def test_while_the_database_is_away_it_goes_on(distant: Distant) -> None:
    async def away() -> int:
        raise MetadataUnavailable("away")

    clock = LedgerClock(away, lambda: distant.ticks)
    with pytest.raises(MetadataUnavailable):
        await clock.set()
    with pytest.raises(MetadataUnavailable):
        clock.now_ms()
    await distant.set()
    distant.clock._ask = away
    distant.ticks += 1_000
    with pytest.raises(MetadataUnavailable):
        await distant.clock.set()
    assert (distant.clock.now_ms(), distant.clock.steady_ms()) == (distant.right, 1_000)
