"""The line: each end asks, the other answers; who is gone is silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from s3o_proxy.processes.line import Line, Silent


async def echo(question: str) -> Any:
    return {"asked": question}


async def never(_: str) -> Any:
    await asyncio.Event().wait()


async def fails(_: str) -> Any:
    raise ValueError("nobody is told more than the kind")


@asynccontextmanager
async def lines(answer: Callable[[str], Awaitable[Any]]) -> AsyncIterator[tuple[Line, Line]]:
    """Two ends; the second answers by `answer`."""
    one, two = socket.socketpair()
    first, second = await Line.over(one, echo), await Line.over(two, answer)
    yield first, second
    await first.close()
    await second.close()


async def test_both_ends_ask_at_once_and_each_gets_its_answer() -> None:
    async with lines(echo) as (first, second), asyncio.TaskGroup() as group:
        asked = [(f"{n}", group.create_task(end.ask(f"{n}", 5))) for n in range(20) for end in (first, second)]
    assert [(question, answer.result()) for question, answer in asked] == [(question, {"asked": question}) for question, _ in asked]


async def test_a_long_answer_arrives_whole() -> None:
    async def long(_: str) -> Any:
        return "x" * 70_000_000

    async with lines(long) as (first, _):
        assert len(await first.ask("all", 60)) == 70_000_000


async def test_who_does_not_answer_in_time_is_silent() -> None:
    async with lines(never) as (first, _):
        with pytest.raises(Silent, match=r"no answer within 0\.01 s"):
            await first.ask("when", 0.01)


async def test_who_cannot_answer_is_silent_and_answers_the_next_question(caplog: pytest.LogCaptureFixture) -> None:
    async with lines(fails) as (first, second):
        with pytest.raises(Silent, match=r"^ValueError$"):
            await first.ask("what", 5)
        assert await second.ask("still there", 5) == {"asked": "still there"}
    assert "the question what was not answered" in caplog.text


async def test_who_is_gone_is_silent_now_and_later() -> None:
    gone = asyncio.Event()
    one, two = socket.socketpair()
    first = await Line.over(one, echo, gone.set)
    second = await Line.over(two, never)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(refused(first))
        await asyncio.sleep(0)
        await second.close()
    assert asked.result() == "the other end is gone"
    await asyncio.wait_for(gone.wait(), 5)
    await first.until_gone()
    assert await refused(first) == "the other end is gone"


async def refused(line: Line) -> str:
    with pytest.raises(Silent) as silence:
        await line.ask("anything", 5)
    return str(silence.value)
