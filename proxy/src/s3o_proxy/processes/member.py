"""A member's end of its line: what it answers to the parent, and what all members answer to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.processes.line import Line
from s3o_proxy.processes.place import Place

PATIENCE_S = 3.0
"""For what another member answers, in seconds. The operator waits for five."""

_PARENT_S = 10.0
"""The parent asks, and does nothing else; only a machine that hardly moves keeps it from answering."""

JOIN = "join"
"""Said when a member serves. What is asked of all is asked of those that joined."""
METRICS = "metrics"
"""The question whose answers the parent makes one: it keeps the counts of the dead."""


@frozen
class Heard:
    """`answers`: of each member by its number, None of one that does not run or did not answer. `beside`: the metrics of all,
    where these were asked for."""

    answers: tuple[Any, ...]
    beside: Any

    @property
    def given(self) -> list[Any]:
        return [answer for answer in self.answers if answer is not None]


Questions = Mapping[str, Callable[[], Awaitable[Any]]]


class Member:
    """Made by `membership`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._questions: Questions = {}
        self._orphaned = asyncio.Event()
        self._line: Line

    async def everyone(self, question: str) -> Heard:
        """Raises Silent: the parent is gone, and so is this process in a moment."""
        heard = await self._line.ask(question, _PARENT_S)
        return Heard(tuple(heard["answers"]), heard["beside"])

    async def join(self, questions: Questions) -> None:
        """From now on this member serves, and answers these questions. Raises Silent."""
        self._questions = questions
        await self._line.ask(JOIN, _PARENT_S)

    async def until_orphaned(self) -> None:
        """Returns when the parent is gone."""
        await self._orphaned.wait()

    async def hold(self) -> None:
        self._line = await Line.over(self.place.open_line(), lambda question: self._questions[question](), self._orphaned.set)

    async def let_go(self) -> None:
        await self._line.close()


@asynccontextmanager
async def membership(place: Place) -> AsyncIterator[Member]:
    """While it lasts, the parent is answered."""
    member = Member(place)
    await member.hold()
    try:
        yield member
    finally:
        await member.let_go()
