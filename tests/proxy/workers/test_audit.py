"""The audit names every kind of difference between rows, bytes and counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.support.ledger import an_intent
from tests.support.stories import Stage, backend_config, open_stage

from s3o_proxy.backends.memory import MemoryBackend, Stored
from s3o_proxy.domain.errors import BackendUnavailable
from s3o_proxy.domain.model import Usage
from s3o_proxy.s3.operation import PutObject


async def found(stage: Stage) -> list[str]:
    return [str(difference) for difference in await stage.audit()]


async def test_a_healthy_fleet_has_none(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    assert await found(stage) == []


async def test_what_nobody_could_look_at_is_not_found_in_order(stage: Stage) -> None:
    """Reference bug 32: copies that could not be reached counted as covered."""
    await stage.perform(PutObject("photos", "k"), b"data")
    first, second = stage.backends["first"], stage.backends["second"]
    second.objects["photos/stray"] = Stored(b"12345", "etag")
    first.fail("list", error=BackendUnavailable("first", "no connection"))
    assert await found(stage) == [
        "first: unseen: not everything there was compared: backend first: no connection",
        "second: unmentioned: photos/stray has 5 bytes that no row mentions",
    ]
    second.objects.clear()
    del stage.backends["first"]
    assert await found(stage) == ["first: unseen: 1 objects and 4 bytes lie there; it is not configured"]
    stage.backends["first"] = first


async def test_another_bucket_than_that_of_the_rows_is_not_compared_with_them(stage: Stage) -> None:
    """Nothing would be found there, and all that lies there would be taken for nobody's."""
    await stage.perform(PutObject("photos", "k"), b"data")
    right = stage.backends["first"]
    wrong = stage.backends["first"] = MemoryBackend("first")
    wrong.bucket, wrong.objects = "another", {"stray": Stored(b"12345", "etag")}
    assert await found(stage) == ["first: elsewhere: its bytes lie in the bucket first, not in another: nothing was compared"]
    stage.backends["first"] = right


async def test_bytes_that_no_row_mentions(stage: Stage) -> None:
    stage.backends["first"].objects["photos/stray"] = Stored(b"12345", "etag")
    assert await found(stage) == ["first: unmentioned: photos/stray has 5 bytes that no row mentions"]
    stage.backends["first"].objects.clear()


async def test_an_upload_that_no_row_mentions(stage: Stage) -> None:
    upload_id = await stage.backends["second"].create_multipart("photos/stray")
    assert await found(stage) == [f"second: upload: photos/stray has a multipart upload {upload_id} that no row mentions"]
    await stage.backends["second"].abort_multipart("photos/stray", upload_id)


async def test_a_backend_above_its_quota(tmp_path: Path) -> None:
    stage = await open_stage(tmp_path, [backend_config("first", quotaBytes=10)])
    await stage.perform(PutObject("photos", "k"), b"0123456789")
    assert await found(stage) == []
    stage.config = stage.config.model_copy(update={"backends": (backend_config("first", quotaBytes=9),)})
    assert await found(stage) == [
        "first: quota: 10 bytes used, orphaned and reserved; the quota is 9",
        "first: quota: holds 10 bytes; the quota is 9",
    ]
    await stage.metadata.close()


async def test_a_counter_that_drifted(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), b"data")
    compare = stage.metadata.compare_usage

    async def drifted() -> tuple[Mapping[str, Usage], Mapping[str, Usage]]:
        counters, sums = await compare()
        return {**counters, "first": Usage("first", used_bytes=5, objects=1)}, sums

    stage.metadata.compare_usage = drifted  # type: ignore[method-assign]  # a counter that no test could make drift otherwise
    assert await found(stage) == ["first: counter: used_bytes says 5, the rows sum to 4"]
    stage.metadata.compare_usage = compare  # type: ignore[method-assign]  # as it was


async def test_bytes_of_a_live_copy_that_are_to_be_deleted(stage: Stage) -> None:
    """The worst there is: a reader needs them, and a worker is about to delete them."""
    await stage.perform(PutObject("photos", "k"), b"data")
    stored = await stage.metadata.find_object("photos", "k")
    assert stored is not None
    copy = stored.copies[0]
    doomed = replace(an_intent("w", backend=copy.backend, size_bytes=4), storage_key=copy.storage_key)
    await stage.metadata.reserve_write(doomed, None)
    expected = f"first: doomed: {copy.storage_key} has a copy row, and one of kind"
    assert await found(stage) == [f"{expected} intent that ends its bytes"]
    await stage.metadata.reap_intents(stage.now_ms, 10)
    assert await found(stage) == [f"{expected} cleanup that ends its bytes"]
    (item,) = await stage.metadata.claim_cleanup("test", stage.now_ms, 1, 10)
    await stage.metadata.finish_cleanup([item.item_id])
