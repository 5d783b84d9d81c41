"""However large objects are, and however slow either side is, a proxy holds little of them; and every byte arrives.

`S3O_MEMORY_SCALE` says how much is moved: 1 is what the project promises (5 GiB in parts; eight at once of 2 GiB each, in and out), which
takes some ten minutes and 30 GB of disk. By default it is just more than a proxy could hold in its memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import pytest
from tests.probe.courier import Courier
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.memory import held_to_limit
from tests.support.noise import MIB, Noise
from tests.support.proxy import wait_until
from tests.support.seaweedfs import SeaweedFS
from tests.support.valve import Valve

SCALE = float(os.environ.get("S3O_MEMORY_SCALE", "0.03"))
CLIENTS = 8
PART_BYTES = 64 * MIB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240 + 1800 * SCALE)]

T = TypeVar("T")
R = TypeVar("R")


def scaled(gib: int) -> int:
    return int(gib * 1024 * SCALE) * MIB


@contextmanager
def a_fleet(launch: Launch, *, endpoint: str = "", etag_is_md5: bool = True, tls: bool = False) -> Iterator[Fleet]:
    """On one backend; in the end rows and bytes agree, and the disk gets back what the backend held."""
    fleet = launch(backends=[BackendShape("only", endpoint=endpoint, spec={"etagIsMD5": etag_is_md5})], tls=tls)
    yield fleet
    assert fleet.audit() == []
    fleet.discard("only")


@pytest.fixture(scope="module")
def plain(launch: Launch) -> Iterator[Fleet]:
    with a_fleet(launch) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def busy(launch: Launch) -> Iterator[Fleet]:
    """It has more to do: TLS, aws-chunked bodies (which boto3 sends over TLS), and an MD5 for ETags of its own."""
    with a_fleet(launch, tls=True, etag_is_md5=False) as fleet:
        yield fleet


# --- at full speed ------------------------------------------------------------------------------------------------------------------


def test_an_object_in_large_parts(plain: Fleet) -> None:
    noise, courier, client = Noise(0, scaled(5)), Courier(plain), plain.client()
    upload_id = client.create_multipart_upload(Bucket=plain.bucket, Key="parts")["UploadId"]

    def put_part(number: int) -> str:
        first = (number - 1) * PART_BYTES
        return courier.put_part(noise, first, min(first + PART_BYTES, noise.size_bytes), "parts", upload_id, number)

    numbers = range(1, -(-noise.size_bytes // PART_BYTES) + 1)
    with held_to_limit(plain.proxies[0], f"{in_mib(noise)} in parts, up and down", 2 * noise.size_bytes):
        etags = at_once(put_part, numbers, threads=4)
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in zip(numbers, etags, strict=True)]
        client.complete_multipart_upload(Bucket=plain.bucket, Key="parts", UploadId=upload_id, MultipartUpload={"Parts": listed})  # type: ignore[typeddict-item]  # ETags are all it needs
        courier.get(noise, "parts")


def test_eight_large_puts_and_gets_at_once(plain: Fleet) -> None:
    courier, objects = Courier(plain), {f"large-{number}": Noise(number, scaled(2)) for number in range(CLIENTS)}
    size, total = in_mib(objects["large-0"]), sum(noise.size_bytes for noise in objects.values())
    with held_to_limit(plain.proxies[0], f"{CLIENTS} PUTs of {size}", total):
        at_once(lambda key: courier.put(objects[key], key), objects)
    with held_to_limit(plain.proxies[0], f"{CLIENTS} GETs of {size}", total):
        at_once(lambda key: courier.get(objects[key], key), objects)


@pytest.mark.parametrize("kind", ["plain", "busy"])
def test_bodies_as_boto3_sends_them(request: pytest.FixtureRequest, kind: str) -> None:
    """Over http it signs a hash of the payload; over https it sends aws-chunked with a checksum behind."""
    fleet: Fleet = request.getfixturevalue(kind)
    client, objects = fleet.client(), {f"boto3-{number}": Noise(number, scaled(1)) for number in range(2)}

    def there_and_back(key: str) -> None:
        noise, md5 = objects[key], hashlib.md5(usedforsecurity=False)
        etag = client.put_object(Bucket=fleet.bucket, Key=key, Body=noise.file())["ETag"]
        noise.assert_is(client.get_object(Bucket=fleet.bucket, Key=key)["Body"])
        for block in noise.blocks():
            md5.update(block)
        assert etag == f'"{md5.hexdigest()}"'

    what = f"boto3 over {fleet.endpoint.partition(':')[0]}, {len(objects)} of {in_mib(objects['boto3-0'])}, up and down"
    with held_to_limit(fleet.proxies[0], what, 2 * sum(noise.size_bytes for noise in objects.values())):
        at_once(there_and_back, objects)


# --- at the pace of the slower side -------------------------------------------------------------------------------------------------


def test_slow_readers_hold_back_the_backend(plain: Fleet, busy: Fleet) -> None:
    """Together they ask each proxy for half a GiB, and take a MiB a second each."""
    fleets, noise, seconds = (plain, busy), Noise(1, 64 * MIB), 3
    couriers = [Courier(fleet) for fleet in fleets]
    for courier in couriers:
        courier.put(noise, "slow")
    before = [received_bytes(fleet) for fleet in fleets]

    def read_slowly(courier: Courier) -> None:
        with courier.opened("slow", receive_buffer_bytes=64 * 1024) as answer:
            for expected, _second in zip(noise.blocks(), range(seconds), strict=False):
                assert answer.read(MIB) == expected
                time.sleep(1)

    moved = CLIENTS * seconds * MIB
    with held_to_limit(plain.proxies[0], "slow readers over http", moved), held_to_limit(busy.proxies[0], "slow readers over https", moved):
        at_once(read_slowly, couriers * CLIENTS, threads=2 * CLIENTS)
    for fleet, earlier in zip(fleets, before, strict=True):
        wait_until(partial(nobody_reads, fleet), "a GET goes on without its reader")
        # What was read, and what the system and the proxy keep for a connection.
        assert received_bytes(fleet) - earlier < moved + CLIENTS * 8 * MIB


def test_a_slow_backend_holds_back_its_clients(launch: Launch, seaweedfs: SeaweedFS) -> None:
    with Valve(seaweedfs.server().endpoint) as valve, a_fleet(launch, endpoint=valve.url) as fleet:
        courier, objects = Courier(fleet), {f"thick-{number}": Noise(number, 24 * MIB) for number in range(CLIENTS)}
        valve.narrow(4 * MIB)
        wide_again = threading.Timer(3, valve.narrow, [None])
        wide_again.start()
        with held_to_limit(fleet.proxies[0], f"{CLIENTS} PUTs to a slow backend", sum(noise.size_bytes for noise in objects.values())):
            at_once(lambda key: courier.put(objects[key], key), objects)
        assert not wide_again.is_alive(), "it was not slow enough"
        with fleet.next_generation():
            fleet.write_backend(BackendShape("only"))
        at_once(lambda key: courier.get(objects[key], key), objects)


# --- helpers ------------------------------------------------------------------------------------------------------------------------


def at_once(work: Callable[[T], R], items: Iterable[T], *, threads: int = CLIENTS) -> list[R]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def nobody_reads(fleet: Fleet) -> bool:
    return fleet.proxies[0].metric("s3o_inflight_requests", method="GET") == 0


def received_bytes(fleet: Fleet) -> float:
    """Of bodies, from the backend."""
    return fleet.proxies[0].metric("s3o_backend_received_bytes_total", backend="only") or 0


def in_mib(noise: Noise) -> str:
    return f"{noise.size_bytes // MIB} MiB"
