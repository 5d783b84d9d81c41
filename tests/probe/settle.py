"""Waiting for the workers: a bounded number of their rounds settles whatever a crash left."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from tests.support import admin
from tests.support.proxy import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from tests.support.fleet import Fleet
    from tests.support.proxy import Proxy

_LIMIT_S = 300.0
"""An instance's lease (30 s), the time until a reaper is sure of it (30 s) and its period (15 s), that in which a dead proxy's copy or
Complete settles (130 s), and the cleanup's period (30 s); and a busy machine."""

_BUSY_S = 90.0
"""An instance's lease, and a busy machine."""

_GAUGES_S = 7.0
"""The gauges are read from the ledger every 5 s, give or take a fifth."""


def settle(fleet: Fleet, proxy: int = 0) -> None:
    """Returns when no write is pending and no byte waits to be deleted. Uploads that nobody will complete are aborted: they would stay
    for a day."""
    abort_uploads(fleet, proxy)
    time.sleep(_GAUGES_S)  # What the gauges say is that old.
    deadline = time.monotonic() + _LIMIT_S
    names = ("s3o_pending_intents", "s3o_cleanup_queue_depth")
    while True:
        depths = {name: fleet.proxies[proxy].metric(name) for name in names}
        if all(depth == 0 for depth in depths.values()):
            return
        assert time.monotonic() < deadline, f"not settled after {_LIMIT_S} s: {depths}"
        time.sleep(1)


def until_the_database_is_back(fleet: Fleet) -> None:
    """For every proxy: each connects again by itself."""
    for proxy in fleet.proxies:
        wait_until(partial(_reaches_the_database, proxy), "the database is not back")


def _reaches_the_database(proxy: Proxy) -> bool:
    return admin.ask(proxy, "GET", "operations").status_code == 200


def abort_uploads(fleet: Fleet, proxy: int = 0) -> None:
    client = fleet.client(proxy)
    deadline = time.monotonic() + _BUSY_S
    for upload in client.list_multipart_uploads(Bucket=fleet.bucket).get("Uploads", []):
        while not _is_aborted(client, fleet.bucket, upload["Key"], upload["UploadId"]):
            assert time.monotonic() < deadline, f"{upload} is still being completed"
            time.sleep(1)


def _is_aborted(client: S3Client, bucket: str, key: str, upload_id: str) -> bool:
    """Its writer may have sent the end of it just before he was stopped. One that a killed process was completing is busy until its lease
    has ended."""
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except client.exceptions.NoSuchUpload:
        return True
    except ClientError as error:
        if error.response["Error"]["Code"] != "SlowDown":
            raise
        return False
    return True
