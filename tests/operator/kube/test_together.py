"""Calls go a few at a time, and their results come in order."""

from __future__ import annotations

import asyncio

import pytest

from s3o_operator.kube.errors import Gone
from s3o_operator.kube.together import together


async def test_results_are_in_the_order_of_the_calls_and_only_a_few_are_under_way() -> None:
    under_way, most = 0, 0

    async def call(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(40 - number):
            await asyncio.sleep(0)
        under_way -= 1
        return number

    assert await together(call(number) for number in range(40)) == list(range(40))
    assert 1 < most <= 8


async def test_what_fails_is_raised_as_it_is_and_the_others_are_ended() -> None:
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Gone("no such thing")

    with pytest.raises(Gone, match="no such thing"):
        await together([hangs(), fails(), hangs()])
    assert ended == ["ended", "ended"]


async def test_whoever_goes_on_after_a_failure_is_not_being_cancelled() -> None:
    """To a Python before 3.11.4 it would be, and its next time-out would end it."""

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Gone("no such thing")

    with pytest.raises(Gone):
        await together([fails()])
    caller = asyncio.current_task()
    assert caller is not None
    assert not caller.cancelling()
