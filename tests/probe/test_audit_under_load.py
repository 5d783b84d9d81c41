"""The audit beside a fleet that is busy: what changes while it looks is no difference."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fleet import Fleet, Launch
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "photos"
_WRITERS = 6


@pytest.fixture(params=["sqlite", "postgres"])
def fleet(request: pytest.FixtureRequest, launch: Launch, postgres: PostgresServer) -> Fleet:
    if request.param == "sqlite":
        return launch(strategy="Spread")
    return launch(strategy="Spread", proxies=2, database_uri=postgres.uri(postgres.create_database()))


def test_a_busy_fleet_has_no_differences(fleet: Fleet) -> None:
    with busy(fleet):
        assert [fleet.audit() for _ in range(3)] == [[], [], []]


@contextmanager
def busy(fleet: Fleet) -> Iterator[None]:
    """Writers on few keys, so that they meet; every one of them must have done something, without an error."""
    over = threading.Event()
    done = [0] * _WRITERS

    def write(number: int) -> None:
        client, chance = fleet.client(number % len(fleet.proxies)), random.Random(number)
        while not over.is_set():
            _one_write(client, chance)
            done[number] += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(_WRITERS)]
    for writer in writers:
        writer.start()
    try:
        yield
        assert all(writer.is_alive() for writer in writers), "a writer failed"
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert min(done) > 0


def _one_write(client: S3Client, chance: random.Random) -> None:
    key, other = f"k{chance.randrange(20)}", f"k{chance.randrange(20)}"
    what = chance.choice(("put", "put", "delete", "copy", "complete", "abort"))
    if what == "put":
        client.put_object(Bucket=BUCKET, Key=key, Body=bytes(chance.randrange(5000)))
    elif what == "delete":
        client.delete_object(Bucket=BUCKET, Key=key)
    elif what == "copy":
        with suppress(client.exceptions.NoSuchKey):  # Somebody may have deleted it.
            client.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": other}, MetadataDirective="REPLACE")
    else:
        upload_id = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        part = client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=1, Body=bytes(chance.randrange(9000)))
        if what == "abort":
            client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id)
            return
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload=parts)
