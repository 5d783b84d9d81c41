"""Many writers fill small backends through two proxies: no backend ever holds a byte more than its quota (I3), and nothing drifts (I6)."""

from __future__ import annotations

import asyncio
import random

import pytest
from botocore.exceptions import ClientError
from tests.probe.settle import settle
from tests.probe.workload import PART_BYTES, s3_client
from tests.support.fleet import BackendShape, Fleet, Launch
from types_aiobotocore_s3 import S3Client

QUOTA = 10_000_000
NAMES = ("first", "second", "third")
WRITERS = 64


class Filler:
    """Writes objects of mixed sizes under new keys until a small one finds no space any more."""

    def __init__(self, number: int, bucket: str) -> None:
        self.stored: dict[str, int] = {}
        self.other_answers: list[str] = []
        self._number, self._bucket = number, bucket
        self._random = random.Random(number)

    async def run(self, client: S3Client) -> None:
        count = 0
        while True:
            count += 1
            key = f"filler-{self._number}/{count}"
            size = self._random.choice([0, 1, 1000, 70_000, 400_000])
            try:
                await (self._multipart(client, key) if count % 9 == 5 else self._put(client, key, size))
            except ClientError as error:
                if error.response["Error"]["Code"] != "InsufficientStorage":
                    self.other_answers.append(str(error))
                    return
                if size <= 1:
                    return

    async def _put(self, client: S3Client, key: str, size: int) -> None:
        await client.put_object(Bucket=self._bucket, Key=key, Body=b"x" * size)
        self.stored[key] = size

    async def _multipart(self, client: S3Client, key: str) -> None:
        upload = await client.create_multipart_upload(Bucket=self._bucket, Key=key)
        try:
            parts = []
            for number, size in ((1, PART_BYTES), (2, 10)):
                sent = await client.upload_part(
                    Bucket=self._bucket, Key=key, UploadId=upload["UploadId"], PartNumber=number, Body=b"y" * size
                )
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            await client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload["UploadId"],
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]  # ETag and PartNumber are all that a part needs
            )
        except ClientError:
            await client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload["UploadId"])
            raise
        self.stored[key] = PART_BYTES + 10


async def _watch(fleet: Fleet, highest: dict[str, int]) -> None:
    """Look at the backends themselves, all the while."""
    while True:
        for name in NAMES:
            held = sum((await asyncio.to_thread(fleet.stored, name)).values())
            highest[name] = max(highest[name], held)
        await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["Pack", "Spread"])
async def test_no_backend_ever_holds_more_than_its_quota(launch: Launch, database_uri: str, strategy: str) -> None:
    backends = [BackendShape(name, order, spec={"quota": {"bytes": QUOTA}}) for order, name in enumerate(NAMES)]
    fleet = launch(backends=backends, proxies=2, database_uri=database_uri, strategy=strategy)
    fillers = [Filler(number, fleet.bucket) for number in range(WRITERS)]
    highest = dict.fromkeys(NAMES, 0)
    async with s3_client(fleet, 0) as one, s3_client(fleet, 1) as two:
        watch = asyncio.create_task(_watch(fleet, highest))
        async with asyncio.TaskGroup() as group:
            for filler in fillers:
                group.create_task(filler.run((one, two)[filler._number % 2]))
        watch.cancel()
    assert [answer for filler in fillers for answer in filler.other_answers] == []
    assert all(held <= QUOTA for held in highest.values()), highest
    await asyncio.to_thread(settle, fleet)
    held = {name: sum(fleet.stored(name).values()) for name in NAMES}
    assert all(size <= QUOTA for size in held.values()), held
    assert sum(held.values()) == sum(size for filler in fillers for size in filler.stored.values())
    assert sum(held.values()) > 0.8 * QUOTA * len(NAMES), "else nothing was proved"
    assert fleet.audit() == []
