"""The proxy, or its database, is killed at random moments under load: every acknowledged byte is there, nothing is half there, nothing
leaks (I1, I2, I6).

`S3O_KILLS` says how often; a few times by default, 200 before a release.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable

import pytest
from tests.probe.settle import settle, until_the_database_is_back
from tests.probe.workload import Writer, check_all, s3_client
from tests.support.fleet import Fleet, Launch
from tests.support.postgres import PostgresServer

KILLS = int(os.environ.get("S3O_KILLS", "6"))
SEED = int(os.environ.get("S3O_SEED", "20261121"))


async def _load_until(fleet: Fleet, writers: list[Writer], after_s: float, blow: Callable[[], None]) -> None:
    async with s3_client(fleet, read_timeout_s=10) as client:
        tasks = [asyncio.create_task(writer.run(client)) for writer in writers]
        await asyncio.sleep(after_s)
        await asyncio.to_thread(blow)
        await asyncio.sleep(0.05)  # Calls in flight notice.
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled(), task.exception()


async def _strike(fleet: Fleet, blow: Callable[[], None], mend: Callable[[], None]) -> None:
    """As often as KILLS says: `blow` in the middle of a load, then `mend`, and each key is as promised. In the end nothing is left over."""
    chance = random.Random(SEED)
    writers = [Writer(number, SEED, fleet.bucket) for number in range(12)]
    for _ in range(KILLS):
        await _load_until(fleet, writers, chance.uniform(0.05, 1.2), blow)
        await asyncio.to_thread(mend)
        async with s3_client(fleet) as client:
            assert await check_all(client, writers) == []
    assert [refusal for writer in writers for refusal in writer.refused] == []
    assert sum(writer.done for writer in writers) > 2 * KILLS  # However slow the machine is, something was acknowledged and then killed.
    await asyncio.to_thread(settle, fleet)
    assert fleet.audit() == []


@pytest.mark.slow
@pytest.mark.timeout(360 + 20 * KILLS)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_proxy_is_killed_at_random_moments(launch: Launch, request: pytest.FixtureRequest, engine: str) -> None:
    fleet = launch(database_uri=request.getfixturevalue("database_uri") if engine == "postgres" else None)
    await _strike(fleet, fleet.kill, fleet.restart)


@pytest.mark.slow
@pytest.mark.timeout(360 + 20 * KILLS)
async def test_the_database_crashes_at_random_moments(launch: Launch, own_postgres: PostgresServer) -> None:
    fleet = launch(database_uri=own_postgres.uri(own_postgres.create_database()))

    def mend() -> None:
        own_postgres.start()
        until_the_database_is_back(fleet)

    await _strike(fleet, lambda: own_postgres.stop(immediately=True), mend)
    fleet.end()
