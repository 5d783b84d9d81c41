"""Many writers race to create one key through two proxies: exactly one wins, and its bytes are what everybody reads (I4)."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import ClientError
from tests.probe.workload import s3_client
from tests.support.fleet import Launch
from types_aiobotocore_s3 import S3Client

RACERS = 64
ROUNDS = 5


async def _create(client: S3Client, bucket: str, key: str, body: bytes) -> int:
    try:
        await client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


@pytest.mark.slow
async def test_exactly_one_of_many_creates_wins(launch: Launch, database_uri: str) -> None:
    fleet = launch(proxies=2, database_uri=database_uri)
    async with s3_client(fleet, 0) as one, s3_client(fleet, 1) as two:
        for turn in range(ROUNDS):
            key = f"lock-{turn}"
            async with asyncio.TaskGroup() as group:
                racers = [
                    group.create_task(_create((one, two)[number % 2], fleet.bucket, key, f"racer {number}".encode() * 100))
                    for number in range(RACERS)
                ]
            answers = [racer.result() for racer in racers]
            assert sorted(set(answers)) == [200, 412]
            assert answers.count(200) == 1
            for client in (one, two):
                found = await client.get_object(Bucket=fleet.bucket, Key=key)
                async with found["Body"] as body:
                    assert await body.read() == f"racer {answers.index(200)}".encode() * 100
