"""Micro-batched lookups: all that are asked for in one tick, or while a round trip runs, share the next round trip."""

from __future__ import annotations

import asyncio
from itertools import chain, islice

from s3o_proxy.domain.model import StoredObject
from s3o_proxy.metadata.engine import Engine
from s3o_proxy.metadata.objects import Address, find_objects

MOST_ADDRESSES = 500
MOST_READERS = 2


class Finder:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: dict[Address, list[asyncio.Future[StoredObject | None]]] = {}
        self._readers: set[asyncio.Task[None] | None] = set()

    async def find(self, address: Address) -> StoredObject | None:
        future: asyncio.Future[StoredObject | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, []).append(future)
        if not self._readers or (len(self._waiting) == 1 and len(self._readers) < MOST_READERS):
            # The first of a tick starts a reader; the others of the tick have joined before it runs.
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
        try:
            found = await self._engine.read(find_objects([*batch]))
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
