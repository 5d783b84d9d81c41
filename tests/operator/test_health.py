"""An operator that lists nothing any more, or whose work does not end, says so: its process is replaced, whatever else seems well."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from s3o_operator.__main__ import Process
from s3o_operator.health import serve_health
from s3o_operator.kube.kinds import Kind
from s3o_operator.metrics import Metrics
from s3o_operator.plan.observed import Key
from s3o_operator.startup import read_settings


class Clock:
    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


class NothingThere:
    """A cluster without objects."""

    async def list(self, kind: Kind, namespace: str) -> tuple[list[Any], str]:
        return [], "1"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("s3o_operator.__main__.time", SimpleNamespace(monotonic=made.monotonic))
    return made


@pytest.fixture
def process(clock: Clock) -> Process:
    settings = read_settings({"S3O_PROXY_IMAGE": "proxy:1", "S3O_RESYNC_SECONDS": "100"})
    return Process(NothingThere(), settings)  # type: ignore[arg-type]  # what is used of it


async def test_a_leader_is_ready_when_it_has_listed_everything(process: Process) -> None:
    assert (process.unready(), process.trouble()) == ("", "")
    process.leads = True
    assert process.unready() == "it leads, and has not listed everything yet"
    await process.resync.once()
    assert process.unready() == ""


async def test_each_whole_listing_is_told_to_who_scrapes(process: Process) -> None:
    """Not the first alone: the age of the last one would grow for ever on an operator that is well."""

    def told() -> float | None:
        return process.metrics.registry.get_sample_value("s3o_operator_last_resync_timestamp_seconds")

    assert told() == 0
    for _ in range(2):
        process.metrics.last_resync.set(1)
        await process.resync.once()
        assert (told() or 0) > 1


async def test_without_a_listing_for_long_it_is_in_trouble(process: Process, clock: Clock) -> None:
    """kopf's watches may be silent for ever, and its own liveness would say nothing."""
    await process.resync.once()
    clock.now_s += 300
    assert process.trouble() == ""
    clock.now_s += 1
    assert process.trouble() == "the last listing of everything was 301 s ago"
    await process.resync.once()
    assert process.trouble() == ""


async def test_work_that_waits_for_long_is_trouble(process: Process, clock: Clock) -> None:
    process.queue.add(Key("default", "main"))
    clock.now_s += 60
    assert process.trouble() == ""
    clock.now_s += 61
    assert process.trouble().startswith("work has been waiting for 12")


async def test_trouble_is_what_a_probe_is_told() -> None:
    trouble = {"healthz": "", "readyz": "not yet"}
    runner = await serve_health("127.0.0.1", 0, lambda: trouble["healthz"], lambda: trouble["readyz"], Metrics())
    try:
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession(trust_env=False) as session:

            async def said(page: str) -> tuple[int, str]:
                async with session.get(f"http://127.0.0.1:{port}/{page}") as answer:
                    return answer.status, await answer.text()

            assert (await said("healthz"), await said("readyz")) == ((200, "ok"), (500, "not yet"))
            trouble["healthz"] = "the last listing of everything was 301 s ago"
            assert await said("healthz") == (500, trouble["healthz"])
    finally:
        await runner.cleanup()
