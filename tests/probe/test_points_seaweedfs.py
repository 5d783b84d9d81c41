"""A sample of the points with real S3 servers behind: deaths that leave different things behind, and answers that are lost.

A real server cannot be put back to what it was: each blow finds a database of its own and buckets that were emptied.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.probe.databases import SQLiteFile
from tests.probe.lives import lives_are_stepped
from tests.probe.points import clocks_of, prepared, that_differ
from tests.probe.tales import QUOTA_BYTES, TALES, Tale
from tests.probe.trial import Blow, Told
from tests.probe.world import World, two_shelves
from tests.support.seaweedfs import SeaweedFS

from s3o_proxy.backends.port import Backend

pytestmark = pytest.mark.slow

SAMPLE = [tale for tale in TALES if tale.name in ("overwrite", "complete over", "copy")]


@pytest.mark.parametrize("tale", SAMPLE, ids=lambda tale: tale.name)
async def test_a_sample_on_real_servers(
    tale: Tale, tmp_path: Path, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    _, shelves = two_shelves(QUOTA_BYTES)
    numbers = itertools.count()
    async with AsyncExitStack() as stack:
        real: dict[str, Backend] = {}
        configs = []
        for shelf in shelves:
            endpoint = seaweedfs.endpoint()
            real[shelf.name] = await endpoint.open(shelf.name)
            stack.push_async_callback(real[shelf.name].close)
            configs.append(shelf.model_copy(update={"bucket": endpoint.bucket}))

        async def strike(blow: Blow | None) -> Told:
            directory = tmp_path / str(next(numbers))
            directory.mkdir()
            database = SQLiteFile(directory)
            world = World(database, {}, tuple(configs), real=real)
            with lives_are_stepped(), clocks_of(world, monkeypatch):
                told = await (await prepared(world, tale)).run(blow)
            await database.close()
            for backend in real.values():
                await backend.delete_many([found.key async for found in backend.list()])
            return told

        plain = await strike(None)
        blows = [Blow("die", nth) for nth in that_differ(plain.outside)]
        blows += [Blow("lost", nth) for nth, call in enumerate(plain.calls, start=1) if "lost" in call.failures and call.store in real]
        hits = [(await strike(blow)).hit for blow in blows]
    assert sum(hits)
    record_property("points", f"SeaweedFS: {tale.name}: {sum(hits)} points")
