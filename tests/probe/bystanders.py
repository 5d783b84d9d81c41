"""Clients that have nothing to do with the trouble: they go on with their small objects, one call after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from tests.probe.workload import s3_client

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from types_aiobotocore_s3 import S3Client

T = TypeVar("T")

_COUNT = 4
_PAUSE_S = 0.05
CONTENT = b"undisturbed " * 100


class Bystander:
    """Any failure ends it, and `over` when its round is done. `slowest_s`: of its calls so far."""

    def __init__(self, number: int, bucket: str) -> None:
        self.rounds, self.slowest_s = 0, 0.0
        self.over = False
        self._bucket, self._key = bucket, f"bystander-{number}"

    async def run(self, client: S3Client) -> None:
        bucket, key = self._bucket, self._key
        while not self.over:
            await self._timed(client.put_object(Bucket=bucket, Key=key, Body=CONTENT))
            found = await self._timed(client.get_object(Bucket=bucket, Key=key))
            assert await found["Body"].read() == CONTENT
            await self._timed(client.delete_object(Bucket=bucket, Key=key))
            self.rounds += 1
            await asyncio.sleep(_PAUSE_S)

    async def _timed(self, call: Awaitable[T]) -> T:
        started = time.monotonic()
        answer = await call
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        return answer


@asynccontextmanager
async def undisturbed(fleet: Fleet, *, slower_than_s: float) -> AsyncIterator[None]:
    """Bystanders work while the block runs; none of their calls may fail, or take as long as `slower_than_s`."""
    bystanders = [Bystander(number, fleet.bucket) for number in range(_COUNT)]
    async with s3_client(fleet) as client, asyncio.TaskGroup() as group:
        for each in bystanders:
            group.create_task(each.run(client))
        yield
        for each in bystanders:
            each.over = True
    for each in bystanders:
        assert each.rounds > 1
        assert each.slowest_s < slower_than_s
