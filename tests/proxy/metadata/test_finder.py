"""Which lookups share a round trip, and which do not wait for one another."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from s3o_proxy.domain.model import StoredObject
from s3o_proxy.metadata import finder
from s3o_proxy.metadata.finder import MOST_READERS, Finder, Found
from s3o_proxy.metadata.story import Statement, Steps


class Questions:
    """An engine that answers when it is told to, that there is nothing. `asked`: the keys of each round trip."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def read(self, steps: Steps[Found]) -> Found:
        statement = next(steps)
        assert isinstance(statement, Statement)
        self.asked.append([one["key"] for one in orjson.loads(str(statement.params["batch"]))])
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        try:
            steps.send([])
        except StopIteration as done:
            return dict(done.value)
        raise AssertionError("one question, one answer")


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def questions() -> Questions:
    return Questions()


@pytest.fixture
def lookups(questions: Questions) -> Finder:
    return Finder(questions.read)


def ask(lookups: Finder, *keys: str) -> list[asyncio.Task[StoredObject | None]]:
    return [asyncio.create_task(lookups.find(("photos", key))) for key in keys]


async def test_what_is_asked_while_a_round_trip_runs_shares_the_next(
    questions: Questions, lookups: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "PATIENCE_S", 60.0)
    waiting = ask(lookups, "a", "b")
    await turns()
    waiting += ask(lookups, "c") + ask(lookups, "d", "c")
    await turns()
    assert questions.asked == [["a", "b"]]
    questions.answers[0].set_result(None)
    await turns()
    assert questions.asked == [["a", "b"], ["c", "d"]]
    questions.answers[1].set_result(None)
    assert [await one for one in waiting] == [None] * 5


async def test_nobody_waits_behind_one_that_is_slow(questions: Questions, lookups: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "PATIENCE_S", -1.0)
    keys = [str(number) for number in range(MOST_READERS + 2)]
    waiting = []
    for key in keys:
        waiting += ask(lookups, key)
        await turns()
    assert questions.asked == [[key] for key in keys[:MOST_READERS]], "there is an end to it"
    questions.answers[-1].set_result(None)
    await turns()
    assert questions.asked[-1] == keys[MOST_READERS:]
    for answer in questions.answers:
        if not answer.done():
            answer.set_result(None)
    await asyncio.wait(waiting)
