"""The proxy is killed at random moments while operations move objects under load: every acknowledged byte is there, and they end as asked.

`S3O_KILLS` says how often; a few times by default, 200 before a release.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from itertools import cycle

import pytest
from tests.probe.readers import KIB, changed, store
from tests.probe.settle import abort_uploads, settle
from tests.probe.workload import Writer, check_all, s3_client
from tests.support import admin
from tests.support.fleet import BackendShape, Fleet, Launch

KILLS = int(os.environ.get("S3O_KILLS", "3"))
SEED = int(os.environ.get("S3O_SEED", "20261121"))
BALLAST = 250
"""Objects that nobody writes again: there is always something to move, and it must be there at the end, to the byte."""

QUOTAS = {"first": 150 * 1024**2, "second": 160 * 1024**2, "third": 170 * 1024**2}
PLENTY = [
    # Between the first two the provider copies; to and from the third the bytes stream.
    BackendShape(name, order, server=order // 3, spec={"quota": {"bytes": size}})
    for order, (name, size) in enumerate(QUOTAS.items(), start=1)
]


class Mover:
    """Keeps one operation at work: when it has ended, or waits for an upload that nobody will complete, the next one follows."""

    def __init__(self, fleet: Fleet) -> None:
        self.ended: list[str] = []
        self._fleet = fleet
        self._wishes: Iterator[dict[str, str]] = cycle(
            [wish for name in QUOTAS for wish in ({"kind": "Drain", "backend": name}, {"kind": "Rebalance"})]
        )
        self._current = self._next()

    def follow(self) -> None:
        found = admin.operation(self._fleet.proxies[0], self._current)
        if found["state"] in admin.ENDED or found["reason"] == "WaitingForUploads":
            self.ended.append(found["state"])
            admin.cancel(self._fleet.proxies[0], self._current)
            self._current = self._next()

    def finish(self) -> None:
        """The one that is at work now ends as it was asked to."""
        found = admin.wait_for_end(self._fleet.proxies[0], self._current, timeout_s=400)
        assert found["state"] in ("Succeeded", "Cancelled"), found
        found = admin.wait_for_end(self._fleet.proxies[0], admin.begin(self._fleet.proxies[0], "Drain", backend="first"), timeout_s=400)
        assert found["state"] == "Succeeded", found
        assert self._fleet.stored("first") == {}

    def wait_until_at_work(self) -> None:
        """The lease of the process that was killed ends, and the one that lives takes over."""
        before = admin.operation(self._fleet.proxies[0], self._current)

        def moved_on(found: dict[str, object]) -> bool:
            return found["updatedAt"] != before["updatedAt"] or found["progress"] != before["progress"] or found["state"] in admin.ENDED

        admin.wait_for(self._fleet.proxies[0], self._current, moved_on, timeout_s=60)

    def _next(self) -> str:
        wish = dict(next(self._wishes))
        return admin.begin(self._fleet.proxies[0], wish.pop("kind"), **wish)


@pytest.mark.slow
@pytest.mark.timeout(900 + 30 * KILLS)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_killed_at_random_moments_of_operations(launch: Launch, request: pytest.FixtureRequest, engine: str) -> None:
    uri = request.getfixturevalue("database_uri") if engine == "postgres" else None
    fleet = launch(database_uri=uri, backends=PLENTY)
    chance = random.Random(SEED)
    writers = [Writer(number, SEED, fleet.bucket) for number in range(8)]
    async with s3_client(fleet) as client:
        ballast = await store(client, fleet.bucket, chance, BALLAST, 300 * KIB)
    mover = Mover(fleet)
    for kill in range(KILLS):
        await asyncio.to_thread(mover.wait_until_at_work)
        await _load_until_killed(fleet, writers, chance.uniform(0.02, 1.5))
        fleet.restart()
        async with s3_client(fleet) as client:
            assert await check_all(client, writers) == []
        _check_quotas(fleet)
        mover.follow()
        if kill % 10 == 9:
            await asyncio.to_thread(abort_uploads, fleet)  # Nobody will complete them, and they hold quota.
    assert [refusal for writer in writers for refusal in writer.refused] == []
    await asyncio.to_thread(abort_uploads, fleet)
    await asyncio.to_thread(mover.finish)
    async with s3_client(fleet) as client:
        assert await check_all(client, writers) == []
        assert await changed(client, fleet.bucket, ballast) == []
    await asyncio.to_thread(settle, fleet)
    assert fleet.audit() == []
    print(f"{engine}: {KILLS} kills, {len(mover.ended)} operations ended before the last, {sum(writer.done for writer in writers)} calls")


async def _load_until_killed(fleet: Fleet, writers: list[Writer], after_s: float) -> None:
    async with s3_client(fleet, read_timeout_s=10) as client:
        tasks = [asyncio.create_task(writer.run(client)) for writer in writers]
        await asyncio.sleep(after_s)
        fleet.kill()
        await asyncio.sleep(0.05)  # Calls in flight notice.
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled(), task.exception()


def _check_quotas(fleet: Fleet) -> None:
    """By the gauges, which are read from the ledger in one moment; the status adds what this process reserved since."""
    for name, quota in QUOTAS.items():
        parts = [fleet.proxies[0].metric(f"s3o_quota_{part}", backend=name) for part in ("bytes_used", "orphan_bytes", "bytes_reserved")]
        assert sum(part or 0 for part in parts) <= quota, (name, parts)
