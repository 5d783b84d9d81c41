"""Finish recording what happened, even when cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(recording: Coroutine[Any, Any, T]) -> T:
    """Run `recording` to its end although we may be cancelled meanwhile; the cancellation continues afterwards.

    A client that hangs up must not leave a reservation, nor a commit whose outcome nobody looked at.
    """
    task = asyncio.ensure_future(recording)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # Seen: the cancellation is what the caller hears of.
        raise cancelled
    return task.result()
