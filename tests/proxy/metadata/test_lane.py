"""Group commit: many members share a transaction, and each gets the outcome it would have had alone."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.support.ledger import BACKEND, BUCKET, NOW_MS, an_intent, an_object, open_upload, put, put_part

from s3o_proxy.domain.errors import MetadataError, MetadataUnavailable, OutcomeUnknown, PreconditionFailed, WriteLost
from s3o_proxy.domain.model import Conditions
from s3o_proxy.metadata.engine import Engine
from s3o_proxy.metadata.lane import MOST_MEMBERS
from s3o_proxy.metadata.ledger import Ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.metadata.story import Statement, Steps, Together


class Transactions(list[list[str]]):
    """Each transaction of a ledger, as the names of its statements; `begun` is set when one begins."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    def forget(self) -> None:
        self.clear()
        self.begun.clear()


@pytest.fixture
async def transactions(ledger: Metadata, monkeypatch: pytest.MonkeyPatch) -> Transactions:
    """The transactions of the ledger from now on."""
    assert isinstance(ledger, Ledger)
    engine: Engine = ledger._engine
    seen = Transactions()
    real = engine.transact

    async def transact(steps: Steps[object]) -> object:
        names: list[str] = []
        seen.append(names)
        seen.begun.set()

        def noted() -> Steps[object]:
            rows = None
            while True:
                try:
                    statement: Statement | Together = next(steps) if rows is None else steps.send(rows)
                except StopIteration as done:
                    return done.value
                names.append(statement.name)
                rows = yield statement

        return await real(noted())

    monkeypatch.setattr(engine, "transact", transact)
    return seen


async def test_what_waits_together_is_one_transaction(ledger: Metadata, transactions: Transactions) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), 10**6))
    statements = ["lock_names", "lock_backends", "register_backends", "lock_backends", "held_bytes", "put_intents", "settle_usage"]
    assert transactions == [statements]
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(ledger.commit_write(an_object(f"w{number}", f"k{number}")))
    assert transactions == [["lock_names", "take_intents", "displace_copies", "put_objects+put_copies+settle_usage"]]


async def test_what_nobody_looks_at_is_written_at_the_end_of_all(ledger: Metadata, transactions: Transactions) -> None:
    await put(ledger, "w1", "a")
    await ledger.reserve_write(an_intent("w2", "a"), None)
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.commit_write(an_object("w2", "a")))
        group.create_task(ledger.reserve_write(an_intent("w3", "b"), None))
    assert transactions == [
        ["lock_names", "take_intents", "displace_copies", "put_intents", "put_cleanup+put_objects+put_copies+settle_usage"]
    ]


async def test_a_kind_that_looks_at_what_another_left_for_later_sees_it(ledger: Metadata, transactions: Transactions) -> None:
    await put(ledger, "w1", "a")
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.delete_object(BUCKET, "a", NOW_MS))
        claim = group.create_task(ledger.claim_cleanup("me", NOW_MS, 1000, 10))
    assert transactions == [["lock_names", "displace_copies", "remove_objects", "put_cleanup", "claim_cleanup", "settle_usage"]]
    assert len(claim.result()) == 1


async def test_what_arrives_meanwhile_is_the_next_transaction(ledger: Metadata, transactions: Transactions) -> None:
    first = asyncio.create_task(ledger.reserve_write(an_intent("w0", "k0"), None))
    await transactions.begun.wait()
    async with asyncio.TaskGroup() as group:
        for number in range(1, 50):
            group.create_task(ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None))
    await first
    assert len(transactions) == 2


async def test_a_transaction_has_a_bounded_number_of_members(ledger: Metadata, transactions: Transactions) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(MOST_MEMBERS + 1):
            group.create_task(ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None))
    assert len(transactions) == 2


async def test_changes_of_one_key_follow_each_other_in_order_of_arrival(ledger: Metadata, transactions: Transactions) -> None:
    for number in range(3):
        await ledger.reserve_write(an_intent(f"w{number}"), None)
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.commit_write(an_object("w0"), Conditions(if_none_match="*")))
        group.create_task(ledger.commit_write(an_object("w1"), Conditions(if_match="etag-w0")))
        deleted = group.create_task(ledger.delete_object(BUCKET, "cat.jpg", NOW_MS))
        group.create_task(ledger.commit_write(an_object("w2"), Conditions(if_none_match="*")))
    assert deleted.result().existed
    assert len(transactions) == 4


async def test_different_kinds_share_a_transaction(ledger: Metadata, transactions: Transactions) -> None:
    await put(ledger, "w1", "a")
    await ledger.reserve_write(an_intent("w2", "b"), None)
    await ledger.reserve_write(an_intent("w3", "c"), None)
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.delete_object(BUCKET, "a", NOW_MS))
        group.create_task(ledger.commit_write(an_object("w2", "b")))
        group.create_task(ledger.abandon_write(an_intent("w3", "c"), "write_failed", NOW_MS))
        # 30 bytes are held, and stay so: what this transaction itself moves is counted.
        group.create_task(ledger.reserve_write(an_intent("w4", "d"), 40))
        group.create_task(ledger.acquire_lease("cleanup", "one", NOW_MS, 100))
    assert len(transactions) == 1
    assert (await ledger.usage())[BACKEND].held_bytes == 40


async def test_a_reservation_may_count_on_what_its_own_transaction_frees(ledger: Metadata) -> None:
    await put(ledger, "w1")
    await ledger.delete_object(BUCKET, "cat.jpg", NOW_MS)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS, 1000, 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.finish_cleanup([item.item_id]))
        asked = group.create_task(ledger.reserve_write(an_intent("w2"), 10))
    assert asked.result().granted


async def test_a_member_that_is_declined_does_not_disturb_the_others(ledger: Metadata, transactions: Transactions) -> None:
    await put(ledger, "w0", "taken")
    for write_id, key in (("w1", "taken"), ("w2", "free")):
        await ledger.reserve_write(an_intent(write_id, key), None)
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        declined = group.create_task(outcome(ledger, "w1", "taken"))
        lost = group.create_task(outcome(ledger, "never", "lost"))
        passed = group.create_task(outcome(ledger, "w2", "free"))
    assert isinstance(declined.result(), PreconditionFailed)
    assert isinstance(lost.result(), WriteLost)
    assert passed.result() is None
    assert len(transactions) == 1
    await ledger.abandon_write(an_intent("w1", "taken"), "write_failed", NOW_MS)


async def test_a_member_that_breaks_a_constraint_fails_alone(
    ledger: Metadata, transactions: Transactions, caplog: pytest.LogCaptureFixture
) -> None:
    """Facts §5: the batch is rolled back and tried in halves, until the member to blame is alone."""
    for number in range(10):
        await ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None)
    transactions.forget()
    async with asyncio.TaskGroup() as group:
        good = [group.create_task(outcome(ledger, f"w{number}", f"k{number}")) for number in range(9)]
        bad = group.create_task(outcome(ledger, "w9", "k9", size_bytes=-1))
    assert [one.result() for one in good] == [None] * 9
    assert isinstance(bad.result(), MetadataUnavailable)
    assert "an_object_has_no_negative_size" in str(bad.result())
    # 10 members, then 5 and 5, then 2 and 3 of the latter, then 1 and 2, then 1 and 1.
    assert len(transactions) == 9
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert (await ledger.queue_depths())["intents"] == 1


async def test_a_member_that_its_story_cannot_carry_out_fails_alone(ledger: Metadata) -> None:
    upload = await open_upload(ledger, "u1", "film")
    await put_part(ledger, upload, 1, size_bytes=5)
    await ledger.reserve_write(an_intent("w1", "other"), None)
    async with asyncio.TaskGroup() as group:
        good = group.create_task(outcome(ledger, "w1", "other"))
        with pytest.raises(MetadataError, match="reserved 5 bytes"):
            await ledger.commit_complete("u1", an_object("w2", "film", size_bytes=6), Conditions())
    assert good.result() is None


async def test_what_a_database_cannot_store_fails_alone(ledger: Metadata) -> None:
    """PostgreSQL stores no NUL: callers refuse such keys, and should one come through, it fails and nothing else does."""
    async with asyncio.TaskGroup() as group:
        good = group.create_task(ledger.reserve_write(an_intent("w1", "a"), None))
        bad = group.create_task(_error_of_reserving(ledger, "nul\0"))
    assert good.result().granted
    if bad.result() is None:
        await ledger.abandon_write(an_intent("bad", "nul\0"), "write_failed", NOW_MS)
    else:
        assert isinstance(bad.result(), MetadataUnavailable)


async def test_a_caller_that_gives_up_before_its_transaction_is_left_out(ledger: Metadata, transactions: Transactions) -> None:
    first = asyncio.create_task(ledger.reserve_write(an_intent("w0", "k0"), None))
    await transactions.begun.wait()
    waiting = asyncio.create_task(ledger.reserve_write(an_intent("w1", "k1"), None))
    await asyncio.sleep(0)
    waiting.cancel()
    await first
    await ledger.reserve_write(an_intent("w2", "k2"), None)
    assert waiting.cancelled()
    assert (await ledger.usage())[BACKEND].reserved_bytes == 20


async def test_a_caller_that_gives_up_during_its_transaction_breaks_nothing(ledger: Metadata, transactions: Transactions) -> None:
    async with asyncio.TaskGroup() as group:
        gone = [group.create_task(ledger.reserve_write(an_intent(f"gone-{number}", f"g{number}"), None)) for number in range(5)]
        stays = [group.create_task(ledger.reserve_write(an_intent(f"w{number}", f"k{number}"), None)) for number in range(5)]
        await transactions.begun.wait()
        for one in gone:
            one.cancel()
    assert all(one.result().granted for one in stays)
    # Their transaction went on without them: the reaper finds what they left.
    assert await ledger.reap_intents(NOW_MS, 100) == 10


async def test_a_lane_that_is_stopped_leaves_nobody_waiting(ledger: Metadata, transactions: Transactions) -> None:
    running = asyncio.create_task(ledger.reserve_write(an_intent("w0", "k0"), None))
    await transactions.begun.wait()
    waiting = asyncio.create_task(ledger.reserve_write(an_intent("w1", "k1"), None))
    await asyncio.sleep(0)
    assert isinstance(ledger, Ledger)
    assert ledger._lane._flusher is not None
    ledger._lane._flusher.cancel()
    with pytest.raises(OutcomeUnknown):
        await running
    with pytest.raises(MetadataUnavailable):
        await waiting
    # Who comes later is served, by a new flusher.
    await ledger.reserve_write(an_intent("w2", "k2"), None)


async def test_a_closed_ledger_takes_no_more_but_finishes_what_waits(ledger: Metadata) -> None:
    waiting = [asyncio.create_task(put(ledger, f"w{number}", f"k{number}")) for number in range(3)]
    await asyncio.gather(*waiting)  # noqa: TID251 - only waits
    assert isinstance(ledger, Ledger)
    last = asyncio.create_task(ledger.reserve_write(an_intent("last"), None))
    await asyncio.sleep(0)
    await ledger._lane.close()
    assert (await last).granted
    with pytest.raises(MetadataUnavailable):
        await ledger.reserve_write(an_intent("late"), None)


async def outcome(ledger: Metadata, write_id: str, key: str, *, size_bytes: int = 10) -> Exception | None:
    conditions = Conditions(if_none_match="*")
    try:
        await ledger.commit_write(an_object(write_id, key, size_bytes=size_bytes), conditions)
    except (PreconditionFailed, WriteLost, MetadataError) as error:
        return error
    return None


async def _error_of_reserving(ledger: Metadata, key: str) -> MetadataError | None:
    try:
        await ledger.reserve_write(an_intent("bad", key), None)
    except MetadataError as error:
        return error
    return None
