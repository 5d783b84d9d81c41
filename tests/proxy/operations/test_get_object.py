"""GetObject and HeadObject."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.stories import Stage, backend_config

from s3o_proxy.domain.errors import BackendUnavailable, NoCopyReadable, NoSuchKey, PreconditionFailed, RangeNotSatisfiable
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions
from s3o_proxy.metadata.locations import Locations
from s3o_proxy.s3.operation import DeleteObject, GetObject, HeadObject, NotModified, ObjectRead, PutObject

DATA = bytes(range(100))


@pytest.fixture(autouse=True)
async def _object(stage: Stage) -> None:
    await stage.perform(PutObject("photos", "k"), DATA)
    stage.backends["first"].calls.clear()


async def test_head_asks_no_backend(stage: Stage) -> None:
    answer = await stage.perform(HeadObject("photos", "k"))
    assert isinstance(answer, ObjectRead)
    assert answer.object.size_bytes == 100
    assert answer.body is None
    assert stage.backends["first"].calls == []


async def test_a_range_is_read_and_no_more(stage: Stage) -> None:
    assert await stage.read(GetObject("photos", "k", RangeSpec(10, 19))) == DATA[10:20]
    assert await stage.read(GetObject("photos", "k", RangeSpec(None, 5))) == DATA[-5:]


async def test_refusals_cost_no_egress(stage: Stage) -> None:
    with pytest.raises(RangeNotSatisfiable):
        await stage.perform(GetObject("photos", "k", RangeSpec(100, None)))
    with pytest.raises(PreconditionFailed):
        await stage.perform(GetObject("photos", "k", conditions=ReadConditions(if_match=("other",))))
    with pytest.raises(NoSuchKey):
        await stage.perform(GetObject("photos", "K"))
    etag = (await stage.metadata.find_object("photos", "k")).etag  # type: ignore[union-attr]  # it is there
    assert isinstance(await stage.perform(GetObject("photos", "k", conditions=ReadConditions(if_none_match=(etag,)))), NotModified)
    assert stage.backends["first"].calls == []


async def test_a_conditional_range_is_conditional(stage: Stage) -> None:
    """The reference skipped the conditions of ranged reads."""
    with pytest.raises(PreconditionFailed):
        await stage.perform(GetObject("photos", "k", RangeSpec(0, 1), ReadConditions(if_match=("other",))))


async def test_an_object_replaced_while_it_was_looked_for_is_looked_for_again(stage: Stage) -> None:
    stall = stage.backends["first"].stall("get")
    reading = asyncio.create_task(stage.read(GetObject("photos", "k")))
    await stall.reached.wait()
    await stage.perform(PutObject("photos", "k"), b"newer")
    await stage.clean_up().run_once()
    stall.release()
    assert await reading == b"newer"


async def test_bytes_that_are_gone_from_the_backend_are_no_missing_key(stage: Stage) -> None:
    (key, stored), *_ = stage.backends["first"].objects.items()
    del stage.backends["first"].objects[key]
    with pytest.raises(NoCopyReadable):
        await stage.perform(GetObject("photos", "k"))
    assert [str(difference) for difference in await stage.audit()] == [
        f"first: missing: {key} has a copy row of 100 bytes and is not there"
    ]
    stage.backends["first"].objects[key] = stored


async def test_bytes_of_another_length_are_not_served(stage: Stage) -> None:
    (stored,) = stage.backends["first"].objects.values()
    stored.content += b"!"
    with pytest.raises(NoCopyReadable, match="holds 101 bytes where the ledger says 100"):
        await stage.perform(GetObject("photos", "k"))
    assert [difference.what for difference in await stage.audit()] == ["size"]
    stored.content = DATA


async def test_a_body_that_breaks_off_is_an_error_and_not_an_end(stage: Stage) -> None:
    stage.backends["first"].cut_next_get(50)
    with pytest.raises(BackendUnavailable):
        await stage.read(GetObject("photos", "k"))


async def test_a_range_of_an_object_that_changed_since_is_the_whole_object(stage: Stage) -> None:
    """If-Range."""
    changed = GetObject("photos", "k", RangeSpec(0, 1), range_conditions=ReadConditions(if_match=("other",)))
    assert await stage.read(changed) == DATA


async def overwrite_by_another_process(stage: Stage, data: bytes) -> None:
    """Whose ledger cannot make this one forget."""
    with pytest.MonkeyPatch.context() as another_process:
        another_process.setattr(Locations, "forget", lambda *_: None)
        await stage.perform(PutObject("photos", "k"), data)


async def remember_locations(stage: Stage) -> None:
    server = stage.config.server.model_copy(update={"location_max_age_ms": 3_600_000, "max_locations": 10})
    stage.config = stage.config.model_copy(update={"server": server})
    await stage.perform(HeadObject("photos", "k"))


async def test_what_another_process_put_elsewhere_is_found_when_the_backend_that_is_remembered_is_away(stage: Stage) -> None:
    """Bug: 503 for as long as the entry lived; only bytes that were gone were looked for again."""
    await remember_locations(stage)
    await stage.configure(backend_config("second"), backend_config("first"))
    await overwrite_by_another_process(stage, b"newer")
    stage.backends["first"].fail("get")
    assert await stage.read(GetObject("photos", "k")) == b"newer"


async def test_what_another_process_deleted_is_not_called_unreadable(stage: Stage) -> None:
    await remember_locations(stage)
    with pytest.MonkeyPatch.context() as another_process:
        another_process.setattr(Locations, "forget", lambda *_: None)
        await stage.perform(DeleteObject("photos", "k"))
    stage.backends["first"].fail("get")
    with pytest.raises(NoSuchKey):
        await stage.read(GetObject("photos", "k"))


async def test_a_backend_that_is_away_is_named_when_nothing_changed(stage: Stage) -> None:
    await remember_locations(stage)
    stage.backends["first"].fail("get")
    with pytest.raises(NoCopyReadable, match="injected"):
        await stage.read(GetObject("photos", "k"))


async def test_with_a_location_cache_what_another_process_wrote_is_seen_late(stage: Stage) -> None:
    await remember_locations(stage)
    assert await stage.read(GetObject("photos", "k")) == DATA
    await overwrite_by_another_process(stage, b"newer")
    head = await stage.perform(HeadObject("photos", "k"))
    assert isinstance(head, ObjectRead)
    assert head.object.size_bytes == 100
    assert await stage.read(GetObject("photos", "k")) == DATA
    # And at once when the bytes are gone.
    await stage.clean_up().run_once()
    assert await stage.read(GetObject("photos", "k")) == b"newer"
    head = await stage.perform(HeadObject("photos", "k"))
    assert isinstance(head, ObjectRead)
    assert head.object.size_bytes == 5


async def test_without_one_it_is_seen_at_once(stage: Stage) -> None:
    assert await stage.read(GetObject("photos", "k")) == DATA
    await overwrite_by_another_process(stage, b"newer")
    assert await stage.read(GetObject("photos", "k")) == b"newer"
