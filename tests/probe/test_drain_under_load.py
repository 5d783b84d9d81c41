"""Two proxies serve while a backend is drained: no read fails, nothing acknowledged is lost, and the drain survives what happens to them.

`first` and `second` lie with one account, so the provider copies; `third` lies elsewhere, and the bytes stream.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.probe.readers import KIB, changed, reading, store
from tests.probe.settle import abort_uploads, settle, until_the_database_is_back
from tests.probe.workload import Writer, check_all, s3_client
from tests.support import admin
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.postgres import PostgresServer
from tests.support.proxy import wait_until

SEED = 7
OBJECTS = 300
THREE = [
    BackendShape("first", 1),
    BackendShape("second", 2, spec={"quota": {"bytes": 60 * 1024 * KIB}}),
    BackendShape("third", 3, server=1),
]


@asynccontextmanager
async def writing(fleet: Fleet, count: int = 4) -> AsyncIterator[list[Writer]]:
    """While the block runs, writers work on every proxy."""
    writers = [Writer(number, SEED, fleet.bucket) for number in range(count * len(fleet.proxies))]
    async with s3_client(fleet, 0) as first, s3_client(fleet, len(fleet.proxies) - 1) as last:
        tasks = [asyncio.create_task(writer.run((first, last)[number % 2])) for number, writer in enumerate(writers)]
        try:
            yield writers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    assert [refusal for writer in writers for refusal in writer.refused] == []


async def end_of(fleet: Fleet, operation_id: str, proxy: int = 0) -> None:
    """The drain ends well; uploads that the writers' end cut off are aborted, nobody would complete them."""
    await asyncio.to_thread(abort_uploads, fleet, proxy)
    found = await asyncio.to_thread(admin.wait_for_end, fleet.proxies[proxy], operation_id, timeout_s=150)
    assert found["state"] == "Succeeded", found
    progress = found["progress"]
    assert (progress["objectsRemaining"], progress["bytesRemaining"], progress["cleanupsRemaining"]) == (0, 0, 0)


async def check(fleet: Fleet, writers: list[Writer], stored: dict[str, str]) -> None:
    async with s3_client(fleet) as client:
        assert await check_all(client, writers) == []
        assert await changed(client, fleet.bucket, stored) == []
    await asyncio.to_thread(settle, fleet)
    assert fleet.audit() == []


async def filled(fleet: Fleet, largest_bytes: int = 300 * KIB) -> dict[str, str]:
    async with s3_client(fleet) as client:
        return await store(client, fleet.bucket, random.Random(SEED), OBJECTS, largest_bytes)


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_readers_and_writers_notice_nothing_of_a_drain(launch: Launch, database_uri: str) -> None:
    fleet = launch(backends=THREE, proxies=2, database_uri=database_uri)
    stored = await filled(fleet)
    async with s3_client(fleet) as client:
        stored |= await store(client, fleet.bucket, random.Random(SEED), 4, 20 * 1024 * KIB, prefix="large")
    async with reading(fleet, stored), writing(fleet) as writers:
        operation_id = admin.begin(fleet.proxies[1], "Drain", backend="first")
        await asyncio.to_thread(
            admin.wait_for, fleet.proxies[0], operation_id, lambda found: not found["progress"]["objectsRemaining"] and found["startedAt"]
        )
    await end_of(fleet, operation_id)
    assert fleet.stored("first") == {}
    targets = [(proxy, target) for proxy in fleet.proxies for target in ("second", "third")]
    moved = sum(proxy.metric("s3o_moved_objects_total", source="first", target=target) or 0 for proxy, target in targets)
    assert moved >= OBJECTS
    await check(fleet, writers, stored)
    # Nothing is left of it: once no proxy serves it any more, it may be forgotten.
    assert admin.ask(fleet.proxies[0], "DELETE", "backends/first").status_code == 409
    with fleet.next_generation(0), fleet.next_generation(1):
        fleet.remove_backend("first")
    assert admin.ask(fleet.proxies[0], "DELETE", "backends/first").status_code == 204
    assert fleet.audit() == []


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_another_process_goes_on_when_the_one_that_moved_is_killed(launch: Launch, database_uri: str) -> None:
    fleet = launch(backends=THREE, proxies=2, database_uri=database_uri)
    stored = await filled(fleet)
    async with writing(fleet) as writers:
        operation_id = admin.begin(fleet.proxies[0], "Drain", backend="first")
        await asyncio.to_thread(
            admin.wait_for, fleet.proxies[0], operation_id, lambda found: found["progress"]["objectsMoved"] > 0, timeout_s=60
        )
        mover = next(number for number, proxy in enumerate(fleet.proxies) if proxy.metric("s3o_moved_objects_total", source="first"))
        fleet.kill(mover)
        other = 1 - mover
        await asyncio.to_thread(
            admin.wait_for, fleet.proxies[other], operation_id, lambda found: not found["progress"]["objectsRemaining"], timeout_s=120
        )
    fleet.restart(mover)
    await end_of(fleet, operation_id, other)
    await check(fleet, writers, stored)


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_without_room_it_stalls_and_goes_on_when_a_backend_is_added(launch: Launch) -> None:
    small = BackendShape("second", 2, spec={"quota": {"bytes": 8 * 1024 * KIB}})
    fleet = launch(backends=[BackendShape("first", 1), small])
    stored = await filled(fleet, 100 * KIB)
    async with reading(fleet, stored):
        operation_id = admin.begin(fleet.proxies[0], "Drain", backend="first")
        stalled = await asyncio.to_thread(admin.wait_for, fleet.proxies[0], operation_id, lambda found: found["state"] == "Stalled")
        assert stalled["reason"] == "InsufficientCapacity"
        assert stalled["plan"]["fits"] is False
        assert stalled["plan"]["requiredBytes"] > stalled["plan"]["availableBytes"]
        assert 0 < stalled["progress"]["objectsMoved"] < OBJECTS
        with fleet.next_generation():
            fleet.write_backend(BackendShape("third", 3))
        await end_of(fleet, operation_id)
    await check(fleet, [], stored)


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_cancelled_half_way_everything_stays_where_it_is_and_the_backend_opens(launch: Launch) -> None:
    fleet = launch(backends=THREE)
    stored = await filled(fleet)
    async with reading(fleet, stored), writing(fleet, 2) as writers:
        operation_id = admin.begin(fleet.proxies[0], "Drain", backend="first")
        await asyncio.to_thread(admin.wait_for, fleet.proxies[0], operation_id, lambda found: found["progress"]["objectsMoved"] > 0)
        admin.cancel(fleet.proxies[0], operation_id)
    cancelled = admin.operation(fleet.proxies[0], operation_id)
    assert cancelled["state"] == "Cancelled"
    assert fleet.stored("first")
    wait_until(lambda: _takes(fleet, "first"), "the backend does not open again")
    await asyncio.to_thread(abort_uploads, fleet)
    await check(fleet, writers, stored)


def _takes(fleet: Fleet, backend: str) -> bool:
    """A proxy looks every few seconds which backends are closed."""
    fleet.client().put_object(Bucket=fleet.bucket, Key="opened", Body=b"again")
    return any("opened" in key for key in fleet.stored(backend))


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_a_database_that_crashes_only_pauses_it(launch: Launch, own_postgres: PostgresServer) -> None:
    fleet = launch(backends=THREE, proxies=2, database_uri=own_postgres.uri(own_postgres.create_database()))
    stored = await filled(fleet)
    async with writing(fleet) as writers:
        operation_id = admin.begin(fleet.proxies[0], "Drain", backend="first")
        for _ in range(2):
            await asyncio.to_thread(admin.wait_for, fleet.proxies[0], operation_id, lambda found: found["progress"]["objectsMoved"] > 0)
            await asyncio.to_thread(own_postgres.stop, immediately=True)
            await asyncio.sleep(2)  # For as long as it is away, everything that needs it fails.
            await asyncio.to_thread(own_postgres.start)
            await asyncio.to_thread(until_the_database_is_back, fleet)
    await end_of(fleet, operation_id)
    await check(fleet, writers, stored)
    for proxy in fleet.proxies:
        proxy.end()
