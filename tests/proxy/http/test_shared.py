"""Who asks at once hears the same, and who asks without end has a fifth of the time at most."""

from __future__ import annotations

import asyncio

import pytest

from s3o_proxy.http.shared import Pace, Shared


class Source:
    """Answers how often it was asked, or raises `fault`; that takes `takes_s` of its clock, and waits for `opened`."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.now_s, self.takes_s, self.asked = 100.0, takes_s, 0
        self.opened, self.entered = asyncio.Event(), asyncio.Event()
        self.opened.set()
        self.fault: OSError | None = None
        self.pace = Pace(4, lambda: self.now_s)
        self.shared = Shared(self, self.pace)

    async def __call__(self) -> int:
        self.asked += 1
        self.entered.set()
        self.now_s += self.takes_s
        await self.opened.wait()
        if self.fault is not None:
            raise self.fault
        return self.asked


async def test_all_who_ask_until_one_is_found_share_it_and_who_asks_then_has_another() -> None:
    source = Source()
    source.opened.clear()
    first = asyncio.create_task(source.shared())
    await source.entered.wait()
    others = [asyncio.create_task(source.shared()) for _ in range(50)]
    await asyncio.sleep(0)
    source.opened.set()
    assert await first == 1
    assert [await each for each in others] == [1] * 50
    assert await source.shared() == 2


@pytest.mark.parametrize(("takes_s", "rest_s"), [(0.01, 0.04), (0.1, 0.4), (3.0, 1.0)])
async def test_it_rests_for_four_times_as_long_as_it_took_and_a_second_at_most(
    takes_s: float, rest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, rests = Source(takes_s), []

    async def sleep(seconds: float) -> None:
        rests.append(round(seconds, 6))
        source.now_s += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert [await source.shared() for _ in range(3)] == [1, 2, 3]
    assert rests == [0, rest_s, rest_s]


async def test_two_who_ask_in_two_ways_wait_for_each_other_and_for_each_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    source, rests = Source(0.1), []
    another = Shared(source, source.pace)
    source.opened.clear()
    asking = [asyncio.create_task(each()) for each in (source.shared, another)]
    await source.entered.wait()

    async def sleep(seconds: float) -> None:
        rests.append(round(seconds, 6))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert source.asked == 1
    source.opened.set()
    assert [await each for each in asking] == [1, 2]
    assert rests == [0.4]


async def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    source = Source()
    source.opened.clear()
    first, second = asyncio.create_task(source.shared()), asyncio.create_task(source.shared())
    await source.entered.wait()
    first.cancel()
    await asyncio.wait({first})
    source.opened.set()
    assert await second == 1


async def test_a_failure_is_told_to_those_who_waited_and_the_next_asks_anew() -> None:
    source = Source()
    source.fault = OSError("away")
    asking = [asyncio.create_task(source.shared()) for _ in range(2)]
    await asyncio.wait(asking)
    assert [str(each.exception()) for each in asking] == ["away", "away"]
    assert source.asked == 1
    source.fault = None
    assert await source.shared() == 2
