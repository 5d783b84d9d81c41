"""What an audit sees: counters, counts, and every mention of bytes."""

from __future__ import annotations

import asyncio

from tests.support.ledger import BACKEND, BUCKET, NOW_MS, a_part_intent, an_intent, open_upload, put, put_part

from s3o_proxy.domain.model import Usage
from s3o_proxy.metadata.port import Mention, Metadata


async def test_a_registered_backend_is_there_before_its_first_byte(ledger: Metadata) -> None:
    await ledger.register_backends(["east", "west"])
    await ledger.register_backends(["west", "north"])
    assert await ledger.usage() == {name: Usage(name) for name in ("east", "west", "north")}


async def test_every_row_that_mentions_bytes_is_listed_by_storage_key(ledger: Metadata) -> None:
    await put(ledger, "w1", "b")
    await put(ledger, "w2", "c")
    await put(ledger, "w3", "elsewhere", backend="west")
    await ledger.delete_object(BUCKET, "c", NOW_MS)
    await ledger.reserve_write(an_intent("w4", "a"), None)
    await ledger.reserve_write(an_intent("w5", "d"), None)
    await ledger.abandon_write(an_intent("w5", "d"), "write_failed", NOW_MS - 1)
    (item,) = await ledger.claim_cleanup("worker", NOW_MS - 1, 1000, 1)
    await ledger.bury_cleanup(item.item_id, "denied", NOW_MS)
    upload = await open_upload(ledger, "u1", "e")
    await put_part(ledger, upload, 1)
    await ledger.reserve_part(a_part_intent("p2", upload, 2), None)

    assert [mention async for mention in ledger.mentions(BACKEND)] == [
        Mention("intent", f"{BUCKET}/a~w4", 10),
        Mention("copy", f"{BUCKET}/b~w1", 10),
        Mention("cleanup", f"{BUCKET}/c~w2", 10),
        Mention("dead", f"{BUCKET}/d~w5", 10),
        Mention("upload", upload.storage_key, 0, "backend-u1"),
    ]
    assert await ledger.mentioned(BACKEND, f"{BUCKET}/c~w2") == Mention("cleanup", f"{BUCKET}/c~w2", 10)
    assert await ledger.mentioned(BACKEND, f"{BUCKET}/c") is None
    assert await ledger.mentioned("west", f"{BUCKET}/c~w2") is None


async def test_mentions_of_one_key_come_together_live_ones_first(ledger: Metadata) -> None:
    """A completed upload that was aborted all the same: object and cleanup row name one storage key."""
    upload = await open_upload(ledger, "u1", "a")
    await ledger.abort_upload("u1", "upload_aborted", NOW_MS)
    upload = await open_upload(ledger, "u2", "a")
    again = upload.storage_key.replace("u2", "u1")
    await ledger.reserve_write(an_intent("write-of-u1", "a"), None)
    assert [mention.kind async for mention in ledger.mentions(BACKEND) if mention.storage_key == again] == ["intent", "cleanup"]
    mention = await ledger.mentioned(BACKEND, again)
    assert mention is not None
    assert mention.kind == "intent"
    await ledger.abandon_write(an_intent("write-of-u1", "a"), "write_failed", NOW_MS)


async def test_mentions_come_in_byte_order_over_many_pages(ledger: Metadata) -> None:
    keys = [f"{prefix}{number:03}" for number in range(850) for prefix in ("a", "\ue000", "\U00010000")]
    for start in range(0, len(keys), 250):
        await _orphan_many(ledger, keys[start : start + 250])
    seen = [mention.storage_key async for mention in ledger.mentions(BACKEND)]
    assert seen == sorted(f"{BUCKET}/{key}~{key}" for key in keys)
    assert seen == sorted(seen, key=str.encode)


async def _orphan_many(ledger: Metadata, keys: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for key in keys:
            group.create_task(put(ledger, key, key))


async def test_queue_depths(ledger: Metadata) -> None:
    await put(ledger, "w1")
    await put(ledger, "w2")
    await ledger.reserve_write(an_intent("w3"), None)
    await open_upload(ledger, "u1")
    assert await ledger.queue_depths() == {"cleanup_queue": 1, "cleanup_dlq": 0, "intents": 1, "uploads": 1}


async def test_ping(ledger: Metadata) -> None:
    await ledger.ping()
