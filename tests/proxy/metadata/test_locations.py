"""What is remembered of objects, on both engines: exact for what this ledger changed, no older than allowed for what another did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.support.ledger import BUCKET, NOW_MS, an_intent, an_object, open_upload, put, put_part

from s3o_proxy.domain.errors import MetadataUnavailable, PreconditionFailed
from s3o_proxy.domain.model import Conditions, Copy, StoredObject
from s3o_proxy.metadata.locations import Locations
from s3o_proxy.metadata.port import Metadata

LONG_MS = 3_600_000
CAT = (BUCKET, "cat.jpg")


def an_answer(write_id: str, key: str = "cat.jpg") -> StoredObject:
    new = an_object(write_id, key)
    return StoredObject(
        *(new.bucket, new.key, new.write_id, new.size_bytes, new.etag, new.modified_ms, new.description, new.digests),
        copies=(Copy("east", write_id, new.size_bytes),),
        part_sizes=(),
    )


class Database:
    """What there is, and how often it was asked."""

    def __init__(self) -> None:
        self.now_s, self.asked = 100.0, 0
        self.objects = {CAT: an_answer("w1")}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.locations = Locations(lambda: self.now_s)

    async def ask(self, bucket: str, key: str) -> StoredObject | None:
        self.asked += 1
        answer = self.objects.get((bucket, key))
        await self.may_answer.wait()
        return answer

    async def find(self, key: str = "cat.jpg", *, most: int = 10) -> str | None:
        found = await self.locations.find((BUCKET, key), self.ask, max_age_ms=2000, most=most)
        return found.write_id if found else None


async def test_it_is_asked_for_again_when_it_is_too_old() -> None:
    database = Database()
    assert [await database.find(), await database.find()] == ["w1", "w1"]
    database.objects[CAT] = an_answer("w2")  # by another process
    database.now_s += 1.999
    assert (await database.find(), database.asked) == ("w1", 1)
    database.now_s += 0.001
    assert (await database.find(), database.asked) == ("w2", 2)


async def test_its_age_is_that_of_the_question() -> None:
    """What was answered late may have changed while the answer was on its way."""
    database = Database()
    database.may_answer.clear()
    finding = asyncio.create_task(database.find())
    await asyncio.sleep(0)
    database.now_s += 2
    database.may_answer.set()
    await finding
    await database.find()
    assert database.asked == 2


async def test_that_there_is_nothing_is_not_remembered() -> None:
    database = Database()
    assert [await database.find("dog.jpg"), await database.find("dog.jpg")] == [None, None]
    assert database.asked == 2


async def test_of_more_than_it_may_remember_the_oldest_goes() -> None:
    database = Database()
    database.objects |= {(BUCKET, key): an_answer(key, key) for key in "abc"}
    for key in "abc":
        await database.find(key, most=2)
    assert database.asked == 3
    assert [await database.find("c", most=2), await database.find("b", most=2)] == ["c", "b"]
    assert database.asked == 3
    await database.find("a", most=2)
    assert database.asked == 4


@pytest.mark.parametrize("ends", ["well", "in doubt"])
async def test_what_is_looked_up_while_it_changes_is_not_remembered(ends: str) -> None:
    database = Database()
    database.may_answer.clear()
    finding = asyncio.create_task(database.find())
    await asyncio.sleep(0)  # It has read w1, and the answer is on its way.
    try:
        with database.locations.changing(*CAT):
            database.objects[CAT] = an_answer("w2")
            if ends != "well":
                raise MetadataUnavailable("nobody knows")
    except MetadataUnavailable:
        pass
    database.may_answer.set()
    assert await finding == "w1"  # It began before the change was done.
    assert await database.find() == "w2"


async def test_a_question_that_fails_leaves_nothing_behind() -> None:
    database = Database()

    async def fail(bucket: str, key: str) -> StoredObject | None:
        raise MetadataUnavailable(f"{bucket}/{key}")

    with pytest.raises(MetadataUnavailable):
        await database.locations.find(CAT, fail, max_age_ms=2000, most=10)
    assert await database.find() == "w1"


# --- in a ledger ---------------------------------------------------------------------------------------------------------------------


async def locate(ledger: Metadata, max_age_ms: int = LONG_MS) -> StoredObject | None:
    return await ledger.locate_object(*CAT, max_age_ms=max_age_ms, most=10)


async def overwrite(ledger: Metadata) -> None:
    await put(ledger, "w2")


async def fail_to_overwrite(ledger: Metadata) -> None:
    with pytest.raises(PreconditionFailed):
        await put(ledger, "w2", conditions=Conditions(if_none_match="*"))


async def delete(ledger: Metadata) -> None:
    await ledger.delete_object(*CAT, NOW_MS)


async def complete(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1", "cat.jpg")
    await put_part(ledger, upload, 1)
    await ledger.begin_complete("u1", "me", NOW_MS, "etag-1")
    await ledger.commit_complete("u1", an_object(upload.write_id), Conditions())


async def move(ledger: Metadata) -> None:
    found = await ledger.find_object(*CAT)
    assert found is not None
    intent = an_intent("m1", backend="west", size_bytes=found.size_bytes)
    await ledger.reserve_write(intent, None)
    assert await ledger.commit_move(found, found.copies[0], intent, NOW_MS)


async def drop_a_copy(ledger: Metadata) -> None:
    await ledger.reserve_write(replace(an_intent("w2"), backend="west"), None)
    await put(ledger, "w2")
    both = await locate(ledger)
    assert both is not None
    assert len(both.copies) == 2
    assert await ledger.drop_copy(both, both.copies[0], NOW_MS)


@pytest.mark.parametrize("change", [overwrite, fail_to_overwrite, delete, complete, move, drop_a_copy])
async def test_what_the_ledger_itself_changed_it_knows_at_once(ledger: Metadata, change: Callable[[Metadata], Awaitable[None]]) -> None:
    await put(ledger, "w1")
    assert await locate(ledger) == await ledger.find_object(*CAT)
    await change(ledger)
    assert await locate(ledger) == await ledger.find_object(*CAT)


async def test_what_another_process_changed_is_known_when_it_is_asked_for(two_ledgers: tuple[Metadata, Metadata]) -> None:
    here, there = two_ledgers
    await put(here, "w1")
    before = await locate(here)
    await put(there, "w2")
    assert await locate(here) == before
    now = await locate(here, max_age_ms=0)
    assert now is not None
    assert now.write_id == "w2"
    assert await locate(here) == now
