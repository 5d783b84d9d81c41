"""With `spec.server.locationCache`, what another proxy changed is seen late: never later than it allows, and never as a mixture.

Each key has one writer, so its versions have an order, and from the times alone it is told how far a reader was behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from math import inf

import pytest
from botocore.exceptions import ClientError
from tests.probe.workload import s3_client
from tests.support.fleet import Launch
from types_aiobotocore_s3 import S3Client

MAX_AGE_S = 1.5
VERSIONS, LASTS_S = 12, 0.4
"""Of each key, and how long each of them is the latest: well below the age, so an old one is still remembered when the next is there."""


@dataclass
class Key:
    """`written_by`, `read_whole`: by which proxy, and whether by GET; else by HEAD, which goes on telling of bytes that are gone."""

    written_by: int
    read_whole: bool
    replaced_s: dict[str, float] = field(default_factory=dict)
    """When the next version was acknowledged, by ETag."""
    behind_s: dict[int, list[float]] = field(default_factory=lambda: {0: [], 1: []})
    """By how much each answer was out of date, by proxy; below 0 where it was not."""

    @property
    def name(self) -> str:
        return f"written-by-{self.written_by}/read-by-{'GET' if self.read_whole else 'HEAD'}"


async def put(client: S3Client, bucket: str, key: Key, number: int) -> None:
    body = f"{key.name} {number}\n".encode() * (1 + number * 100)
    before = list(key.replaced_s)
    key.replaced_s[hashlib.md5(body).hexdigest()] = inf
    await client.put_object(Bucket=bucket, Key=key.name, Body=body)
    key.replaced_s.update(dict.fromkeys(before[-1:], time.monotonic()))


async def write(client: S3Client, bucket: str, key: Key) -> None:
    for number in range(1, VERSIONS):
        await asyncio.sleep(LASTS_S)
        await put(client, bucket, key, number)


async def read(client: S3Client, proxy: int, bucket: str, key: Key) -> None:
    """Until it is cancelled."""
    while True:
        began_s = time.monotonic()
        if key.read_whole:
            answer = await client.get_object(Bucket=bucket, Key=key.name)
            async with answer["Body"] as body:
                found = hashlib.md5(await body.read()).hexdigest()
            assert answer["ETag"] == f'"{found}"', "the bytes are not those of the ETag"
        else:
            found = (await client.head_object(Bucket=bucket, Key=key.name))["ETag"].strip('"')
        key.behind_s[proxy].append(began_s - key.replaced_s[found])
        await asyncio.sleep(0.01)


async def status_of_head(client: S3Client, bucket: str, key: str) -> int:
    try:
        answer = await client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.slow
async def test_readers_are_never_further_behind_than_the_location_cache_allows(launch: Launch, database_uri: str) -> None:
    fleet = launch(proxies=2, database_uri=database_uri, server={"locationCache": {"maxAge": f"{int(MAX_AGE_S * 1000)}ms"}})
    keys = [Key(written_by, read_whole) for written_by in (0, 1) for read_whole in (True, False)]
    async with s3_client(fleet, 0) as first, s3_client(fleet, 1) as second:
        clients = (first, second)
        for key in keys:
            await put(clients[key.written_by], fleet.bucket, key, 0)
        readers = [asyncio.create_task(read(client, proxy, fleet.bucket, key)) for proxy, client in enumerate(clients) for key in keys]
        async with asyncio.TaskGroup() as writing:
            for key in keys:
                writing.create_task(write(clients[key.written_by], fleet.bucket, key))
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
        for reader in readers:
            assert reader.cancelled(), reader.exception()

        for key in keys:
            own, others = key.behind_s[key.written_by], key.behind_s[1 - key.written_by]
            late_s = [behind_s for behind_s in others if behind_s > 0]
            print(f"{key.name}: of {len(others)} answers of the other proxy {len(late_s)} were late, by {max([0, *late_s]):.2f} s at most")
            assert max(own) <= 0, "a proxy did not know at once what it had written itself"
            assert max(others) <= MAX_AGE_S
            assert late_s or key.read_whole, "nothing was remembered"

        gone = keys[1].name
        assert await status_of_head(second, fleet.bucket, gone) == 200
        await first.delete_object(Bucket=fleet.bucket, Key=gone)
        assert await status_of_head(first, fleet.bucket, gone) == 404
        await asyncio.sleep(MAX_AGE_S)
        assert await status_of_head(second, fleet.bucket, gone) == 404
