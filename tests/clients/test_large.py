"""One GiB through one proxy: every byte arrives, and the proxy never holds more than a little of it."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from boto3.s3.transfer import TransferConfig
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.proxy import Proxy
from tests.support.trees import random_bytes

MIB = 1024**2
SIZE = 1024 * MIB
BLOCK = random_bytes(MIB)


class Blocks(io.BytesIO):
    """A file of `SIZE` bytes that nobody stores: every MiB is the same noise behind its own number."""

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self.sha256 = hashlib.sha256()

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        end = SIZE if size < 0 else min(SIZE, self._position + size)
        content = piece(self._position, end)
        self._position = end
        self.sha256.update(content)
        return content


def piece(first: int, end: int) -> bytes:
    blocks = range(first // MIB, -(-end // MIB))
    content = b"".join(number.to_bytes(8, "big") + BLOCK[8:] for number in blocks)
    skipped = first - blocks.start * MIB
    return content[skipped : skipped + end - first]


@contextmanager
def most_memory(proxy: Proxy) -> Iterator[list[int]]:
    """Resident bytes of the proxy, seen again and again until the block ends."""
    seen = [proxy.resident_bytes]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            seen.append(proxy.resident_bytes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.fixture(scope="module")
def fleet(launch: Launch) -> Fleet:
    # Pack names the first backend that has room for it: the other is too small for so large an object.
    return launch(backends=[BackendShape("small", 1, spec={"quota": {"bytes": "4Mi"}}), BackendShape("large", 2)])


def test_a_gib_up_and_down(fleet: Fleet) -> None:
    s3, proxy = fleet.client(), fleet.proxies[0]
    source = Blocks()
    with most_memory(proxy) as resident:
        config = TransferConfig(multipart_chunksize=16 * MIB, max_concurrency=4)
        s3.upload_fileobj(source, fleet.bucket, "gib", Config=config)
        down = hashlib.sha256()
        for chunk in s3.get_object(Bucket=fleet.bucket, Key="gib")["Body"].iter_chunks(MIB):
            down.update(chunk)
    assert down.hexdigest() == source.sha256.hexdigest()
    assert max(resident) < 300 * MIB

    first, last = 700 * MIB - 3, 716 * MIB + 4
    ranged = s3.get_object(Bucket=fleet.bucket, Key="gib", Range=f"bytes={first}-{last}")
    assert ranged["Body"].read() == piece(first, last + 1)
    assert list(fleet.stored("large", "gib").values()) == [SIZE]
    assert fleet.stored("small") == {}
    assert fleet.audit() == []
    s3.delete_object(Bucket=fleet.bucket, Key="gib")
