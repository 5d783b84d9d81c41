"""Micro-batched lookups: all that are asked for in one tick, or while a round trip runs, share the next round trip.

One at a time, for a question that many share costs less than two that few share. But nobody waits for long behind one that is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, islice

from s3o_proxy.domain.model import StoredObject
from s3o_proxy.metadata.objects import Address, find_objects
from s3o_proxy.metadata.story import Steps

MOST_ADDRESSES = 500
MOST_READERS = 3
"""Of the four connections that read: one is always left to listings."""
PATIENCE_S = 0.005
"""An answer that takes longer is waited for no more: who asks next begins another round trip beside it."""


Found = dict[Address, StoredObject]


class Finder:
    """`read`: an engine's."""

    def __init__(self, read: Callable[[Steps[Found]], Awaitable[Found]]) -> None:
        self._read = read
        self._waiting: dict[Address, list[asyncio.Future[StoredObject | None]]] = {}
        self._readers: set[asyncio.Task[None] | None] = set()
        self._asked_s = 0.0
        """When the latest round trip began."""

    async def find(self, address: Address) -> StoredObject | None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[StoredObject | None] = loop.create_future()
        self._waiting.setdefault(address, []).append(future)
        if not self._readers or (len(self._readers) < MOST_READERS and loop.time() - self._asked_s > PATIENCE_S):
            # The first of a tick starts a reader; the others of the tick have joined before it runs.
            self._asked_s = loop.time()
            reader = asyncio.create_task(self._read_all(), name="metadata-finder")
            self._readers.add(reader)
        return await future

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                await self._read_some()
        finally:
            # No await between the last look and this line: who asks later starts a reader of its own.
            self._readers.discard(asyncio.current_task())

    async def _read_some(self) -> None:
        batch = dict(islice(self._waiting.items(), MOST_ADDRESSES))
        for address in batch:
            del self._waiting[address]
        self._asked_s = asyncio.get_running_loop().time()
        try:
            found = await self._read(find_objects([*batch]))
        except (Exception, asyncio.CancelledError) as error:
            for future in chain.from_iterable(batch.values()):
                if not future.done():
                    future.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        for address, futures in batch.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(address))
