"""Micro-batched lookups: all that are asked for in one tick, or while a round trip runs, share the next round trip."""

from __future__ import annotations

import asyncio
from itertools import chain, islice
from typing import Protocol

from s3o_proxy.domain.model import StoredObject
from s3o_proxy.metadata.objects import Address, find_objects
from s3o_proxy.metadata.story import Steps

MOST_ADDRESSES = 500
MOST_READERS = 2

Found = dict[Address, StoredObject]


class Reader(Protocol):
    async def read(self, steps: Steps[Found]) -> Found: ...


class Finder:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: dict[Address, list[asyncio.Future[StoredObject | None]]] = {}
        self._readers: set[asyncio.Task[None] | None] = set()

    async def find(self, address: Address) -> StoredObject | None:
        future: asyncio.Future[StoredObject | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, []).append(future)
        if len(self._readers) < MOST_READERS and len(self._waiting) == 1:
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
            found = await self._reader.read(find_objects([*batch]))
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
