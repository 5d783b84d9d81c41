"""A seeded mixed load that remembers what it was promised, and checks the promises afterwards.

Every writer owns its keys, so after any crash there are at most two truths for a key: what was last acknowledged, and what was being
asked when the answer failed to come. Anything else is a lost or an invented byte.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from hack.soak.model import GONE, Key, digest

from s3o_proxy.backends.transport import HTTPSession

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from types_aiobotocore_s3 import S3Client

PART_BYTES = 5 * 1024**2

Unanswered = (BotoCoreError, HTTPClientError, ClientError, aiohttp.ClientError, OSError, asyncio.TimeoutError)


@functools.cache
def _session() -> AioSession:
    """botocore reads the description of S3 from its files once, not for each client."""
    return AioSession()


@asynccontextmanager
async def s3_client(fleet: Fleet, proxy: int = 0, *, read_timeout_s: float = 60) -> AsyncIterator[S3Client]:
    """One try for each call: what fails is for the caller to see.

    By the proxy's own transport, since aiohttp would send a PUT or DELETE again by itself when its connection breaks, and a call that
    happens twice is two calls. Its errors are aiohttp's: a ClientConnectorError when nobody was asked.
    """
    async with _session().create_client(
        "s3",
        endpoint_url=fleet.proxies[proxy].endpoint,
        region_name="us-east-1",
        aws_access_key_id=fleet.keys.access_key_id,
        aws_secret_access_key=fleet.keys.secret_access_key,
        config=AioConfig(
            max_pool_connections=100,
            connect_timeout=5,
            read_timeout=read_timeout_s,
            retries={"total_max_attempts": 1},
            http_session_cls=cast("Any", HTTPSession),
            s3={"addressing_style": "path"},
        ),
    ) as client:
        yield client


class Writer:
    """Writes, overwrites, copies and deletes its own keys, one call at a time, until cancelled or unanswered."""

    def __init__(self, number: int, seed: int, bucket: str) -> None:
        self.keys = {f"writer-{number}/{index} ä+%~": Key() for index in range(6)}
        self.refused: list[str] = []
        self.done = 0
        self._random = random.Random(f"{seed}/{number}")
        self._bucket = bucket

    async def run(self, client: S3Client) -> None:
        while True:
            try:
                await self._act(client)
            except Unanswered as error:
                if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    self.refused.append(str(error))
                await asyncio.sleep(0.02)

    async def _act(self, client: S3Client) -> None:
        actions: list[tuple[Callable[[S3Client, str], Awaitable[None]], int]] = [
            (self._put_small, 60),
            (self._put_large, 10),
            (self._delete, 12),
            (self._copy, 8),
            (self._multipart, 3),
        ]
        (action,) = self._random.choices([action for action, _ in actions], [weight for _, weight in actions])
        await action(client, self._random.choice(list(self.keys)))
        self.done += 1

    async def _put_small(self, client: S3Client, name: str) -> None:
        await self._put(client, name, self._random.randbytes(self._random.randrange(64 * 1024)))

    async def _put_large(self, client: S3Client, name: str) -> None:
        await self._put(client, name, self._random.randbytes(self._random.randrange(3 * 1024**2)))

    async def _put(self, client: S3Client, name: str, data: bytes) -> None:
        key = self.keys[name]
        key.asked(digest(data))
        await client.put_object(Bucket=self._bucket, Key=name, Body=data)
        key.answered(digest(data))

    async def _delete(self, client: S3Client, name: str) -> None:
        self.keys[name].asked(GONE)
        await client.delete_object(Bucket=self._bucket, Key=name)
        self.keys[name].answered(GONE)

    async def _copy(self, client: S3Client, name: str) -> None:
        certain = [other for other, key in self.keys.items() if other != name and not key.unanswered and key.acknowledged != GONE]
        if not certain:
            return
        source = self._random.choice(certain)
        outcome = self.keys[source].acknowledged
        self.keys[name].asked(outcome)
        await client.copy_object(Bucket=self._bucket, Key=name, CopySource={"Bucket": self._bucket, "Key": source})
        self.keys[name].answered(outcome)

    async def _multipart(self, client: S3Client, name: str) -> None:
        data = self._random.randbytes(PART_BYTES + self._random.randrange(100_000))
        upload = await client.create_multipart_upload(Bucket=self._bucket, Key=name)
        parts = []
        for number, piece in enumerate((data[:PART_BYTES], data[PART_BYTES:]), start=1):
            sent = await client.upload_part(Bucket=self._bucket, Key=name, UploadId=upload["UploadId"], PartNumber=number, Body=piece)
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self.keys[name].asked(digest(data))
        await client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=name,
            UploadId=upload["UploadId"],
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]  # ETag and PartNumber are all that a part needs
        )
        self.keys[name].answered(digest(data))

    async def check(self, client: S3Client) -> list[str]:
        """Read every key back; returns what is not as promised."""
        wrong = []
        for name, key in self.keys.items():
            found = await self._read(client, name)
            if found not in key.possible:
                wrong.append(f"{name}: found {found or 'nothing'}, possible were {sorted(key.possible)}")
            key.seen(found)
        return wrong

    async def _read(self, client: S3Client, name: str) -> str:
        try:
            answer = await client.get_object(Bucket=self._bucket, Key=name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return GONE
            raise
        async with answer["Body"] as body:
            return digest(await body.read())


async def check_all(client: S3Client, writers: list[Writer]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        checks = [group.create_task(writer.check(client)) for writer in writers]
    return [line for check in checks for line in check.result()]
