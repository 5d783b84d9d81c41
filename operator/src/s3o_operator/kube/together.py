"""Several calls at a time, where their order does not matter."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
_AT_ONCE = 8
"""Each has a connection of its own, and making one costs more than a short call."""


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What they return, in their order. Raises what the first that failed has raised; the others are cancelled then."""
    try:
        # In a task of its own: to a Python before 3.11.4, one in which a TaskGroup failed stays one that is being cancelled, and the
        # caller's next time-out would end it.
        return await asyncio.create_task(_all(calls))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await call

    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(one(call)) for call in calls]
    return [task.result() for task in made]
