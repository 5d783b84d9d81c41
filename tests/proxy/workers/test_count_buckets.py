"""Buckets are counted in steps that are short, by one process, and read by all."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.model import BucketUsage
from s3o_proxy.s3.operation import DeleteObject, PutObject
from s3o_proxy.workers import count_buckets
from s3o_proxy.workers.count_buckets import CountBuckets, ReadCounts


def counter(stage: Stage) -> CountBuckets:
    return CountBuckets(stage.metadata, lambda: ["photos", "empty"], stage.clock)


async def read(stage: Stage) -> Mapping[str, BucketUsage]:
    published: list[Mapping[str, BucketUsage]] = []
    await ReadCounts(stage.metadata, published.append).run_once()
    return published[0]


async def test_every_process_reads_what_one_counted(stage: Stage) -> None:
    assert await read(stage) == {}
    await stage.perform(PutObject("photos", "a"), b"12345")
    await stage.perform(PutObject("photos", "b"), b"123")
    assert (await counter(stage).run_once()).done == 2
    assert await read(stage) == {"photos": BucketUsage("photos", 2, 8), "empty": BucketUsage("empty")}


async def test_a_count_is_renewed_when_it_is_no_longer_fresh(stage: Stage) -> None:
    worker = counter(stage)
    await stage.perform(PutObject("photos", "a"), b"12345")
    await worker.run_once()
    await stage.perform(DeleteObject("photos", "a"))
    assert (await worker.run_once()).done == 0
    assert (await read(stage))["photos"].objects == 1
    stage.now_ms += CountBuckets.rest_ms
    await worker.run_once()
    assert (await read(stage))["photos"] == BucketUsage("photos")


async def test_a_walk_that_takes_longer_than_its_share_goes_on_in_the_next_period(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_buckets, "_PAGE", 2)
    monkeypatch.setattr(CountBuckets, "budget_ms", 0)
    for name in "abcde":
        await stage.perform(PutObject("photos", name), b"1")
    worker = counter(stage)
    steps = [(await worker.run_once()).done for _ in range(2)]
    assert steps == [2, 2]
    assert await read(stage) == {}
    assert (await worker.run_once()).done == 1
    assert (await read(stage))["photos"].objects == 5
