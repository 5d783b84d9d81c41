"""The ledger's counters reach placement and the metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.support.stories import Stage

from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.operation import Wish
from s3o_proxy.s3.operation import DeleteObject, PutObject
from s3o_proxy.workers.refresh_usage import RefreshUsage

HOUR_MS = 3_600_000


async def test_what_is_published_is_what_the_ledger_says(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "a"), b"12345")
    await stage.perform(PutObject("photos", "b"), b"123")
    await stage.perform(DeleteObject("photos", "b"))
    await stage.desk.ask(Wish("Drain", "uid", "t", "second"))
    published: list[tuple[Mapping[str, Usage], frozenset[str], Mapping[str, int], Mapping[str, int]]] = []
    report = await RefreshUsage(stage.metadata, lambda *all_of_it: published.append(all_of_it)).run_once()
    ((usage, fenced, depths, known),) = published
    assert known.keys() == usage.keys()
    assert all(abs(since_ms - time.time() * 1000) < HOUR_MS for since_ms in known.values())
    assert fenced == {"second"}
    assert usage["first"] == Usage("first", used_bytes=5, orphan_bytes=3, reserved_bytes=0, objects=1)
    assert depths == {"cleanup_queue": 1, "cleanup_dlq": 0, "intents": 0, "uploads": 0}
    assert report.done == len(usage)
