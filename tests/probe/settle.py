"""Waiting for the workers: a bounded number of their rounds settles whatever a crash left."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.fleet import Fleet

_LIMIT_S = 200.0
"""An instance's lease (30 s) and the reaper's period (15 s), or a dead cleanup's claim (60 s) and its period (30 s); and a busy machine."""

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


def abort_uploads(fleet: Fleet, proxy: int = 0) -> None:
    client = fleet.client(proxy)
    for upload in client.list_multipart_uploads(Bucket=fleet.bucket).get("Uploads", []):
        # Its writer may have sent the end of it just before he was stopped.
        with suppress(client.exceptions.NoSuchUpload):
            client.abort_multipart_upload(Bucket=fleet.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
