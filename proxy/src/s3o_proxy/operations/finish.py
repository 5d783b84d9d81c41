"""Finish recording what happened, even when cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def finish(recording: Awaitable[T]) -> T:
    """Run `recording` to its end although we may be cancelled meanwhile; the cancellation continues afterwards.

    A client that hangs up must not leave a reservation, nor a commit whose outcome nobody looked at.
    """
    future = asyncio.ensure_future(recording)  # What is a future already costs no task.
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await _done(future)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # Seen: the cancellation is what the caller hears of.
        raise cancelled
    return future.result()


def _done(future: asyncio.Future[T]) -> asyncio.Future[None]:
    """Done when `future` is; to be cancelled in its place. (`asyncio.wait` does the same for any number, at three times the cost.)"""
    done = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: None if done.done() else done.set_result(None))
    return done
