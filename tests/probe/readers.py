"""Readers that never stop: any GET that fails, or that returns anything but what was stored, is remembered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hack.soak.model import digest
from tests.probe.workload import Unanswered, s3_client

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from types_aiobotocore_s3 import S3Client

KIB = 1024


async def store(
    client: S3Client, bucket: str, chance: random.Random, count: int, largest_bytes: int, prefix: str = "ballast"
) -> dict[str, str]:
    """Objects that nobody writes again: digests by key."""
    slots = asyncio.Semaphore(16)
    contents = {f"{prefix}/{number}": chance.randbytes(chance.randrange(largest_bytes)) for number in range(count)}

    async def put(key: str, content: bytes) -> None:
        async with slots:
            await client.put_object(Bucket=bucket, Key=key, Body=content)

    async with asyncio.TaskGroup() as group:
        for key, content in contents.items():
            group.create_task(put(key, content))
    return {key: digest(content) for key, content in contents.items()}


async def changed(client: S3Client, bucket: str, stored: dict[str, str]) -> list[str]:
    """The keys of which the bytes are not those that were stored."""
    return [key for key, expected in stored.items() if digest(await _read(client, bucket, key)) != expected]


class Reader:
    """Reads one object after the other, now and then slowly, as a client on a thin line does."""

    def __init__(self, number: int, bucket: str, stored: dict[str, str]) -> None:
        self.done = 0
        self.failures: list[str] = []
        self._random, self._bucket, self._stored = random.Random(number), bucket, stored

    async def run(self, client: S3Client) -> None:
        while True:
            key = self._random.choice(list(self._stored))
            try:
                pause_s = 0.05 if self._random.random() < 0.1 else 0.0
                if digest(await _read(client, self._bucket, key, pause_s)) != self._stored[key]:
                    self.failures.append(f"{key}: other bytes")
            except Unanswered as error:
                self.failures.append(f"{key}: {error!r}")
            self.done += 1


@asynccontextmanager
async def reading(fleet: Fleet, stored: dict[str, str], *, readers: int = 3) -> AsyncIterator[list[Reader]]:
    """While the block runs, readers work on every proxy; afterwards none may have failed."""
    mine = [Reader(number, fleet.bucket, stored) for number in range(readers * len(fleet.proxies))]
    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        clients = [s3_client(fleet, number) for number in range(len(fleet.proxies))]
        opened = [await client.__aenter__() for client in clients]
        for number, reader in enumerate(mine):
            tasks.append(group.create_task(reader.run(opened[number % len(opened)])))
        try:
            yield mine
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for client in clients:
                await client.__aexit__(None, None, None)
    assert [failure for reader in mine for failure in reader.failures] == []
    assert all(reader.done for reader in mine)


async def _read(client: S3Client, bucket: str, key: str, pause_s: float = 0.0) -> bytes:
    answer = await client.get_object(Bucket=bucket, Key=key)
    pieces = []
    async with answer["Body"] as body:
        while piece := await body.read(64 * KIB):
            pieces.append(piece)
            await asyncio.sleep(pause_s)
    return b"".join(pieces)
