"""Whatever waits at the same time shares a transaction; each is told, and leaves behind, what it would have one after the other.

`S3O_BATCHES` says how many transactions of up to 24 members are drawn; some dozens by default, 2,000 before a release.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.support.ledger import NOW_MS, a_part, a_part_intent, an_intent, an_object, an_upload, check_counters

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import BackendInUse, DomainError
from s3o_proxy.domain.model import BucketUsage, CleanupItem, Conditions, Intent, ListQuery, StoredObject, Upload
from s3o_proxy.domain.operation import Operation
from s3o_proxy.metadata.ledger import ORDER
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata
from s3o_proxy.metadata.story import Kind

BATCHES = int(os.environ.get("S3O_BATCHES", "60"))
SEED = int(os.environ.get("S3O_SEED", "20261122"))
MOST_MEMBERS = 24
BUCKETS, BACKENDS, OWNERS, KEYS = ("photos", "films"), ("east", "west"), ("proxy-1", "proxy-2"), ("a", "b", "c", "d")
PLACES = ("", "", "", "old", "new")
ETAGS = ("etag-1", "etag-2")
QUOTA_BYTES = 150
PART_BYTES = 7
"""Of every part: so a completed object is never larger than what its parts reserve."""

KINDS: tuple[Kind[Any, Any], ...] = ORDER
RANK = {kind.name: rank for rank, kind in enumerate(KINDS)}


@dataclass
class Place:
    """One of the ledgers, with the ids that it gave to cleanup rows, by storage key."""

    ledger: Metadata
    item_ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """`identity`: two with the same one do not share a transaction."""

    kind: str
    identity: str
    call: Callable[[Place], Awaitable[Any]]


class Draw:
    """Members of transactions, by chance, of what was named before; what is long gone is asked for too."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._names = (f"{number:05}" for number in count(1))
        self._intents, self._part_intents = [an_intent("w")], [a_part_intent("p", an_upload("u"), 1)]
        self._uploads: list[Upload] = [an_upload("u")]
        self._operations = ["o"]
        self.found: list[StoredObject] = []
        self.storage_keys: list[str] = ["none"]
        self.parts: dict[str, int] = {}
        """How many each upload has, of those that were committed."""

    def batch(self) -> list[Member]:
        """Distinct in their identities."""
        wanted = self._chance.randint(1, MOST_MEMBERS)
        makers = list(self._makers())
        drawn: dict[str, Member] = {}
        for _ in range(wanted):
            member = self._chance.choice(makers)()
            drawn.setdefault(member.identity, member)
        return list(drawn.values())

    def _makers(self) -> Iterator[Callable[[], Member]]:
        yield from [self._reserve] * 5
        yield from [self._commit] * 5
        yield from (self._abandon, self._cancel, self._delete, self._delete, self._reap)
        yield from [self._create, self._open, self._reserve_part, self._commit_part] * 2
        yield from (self._release, self._begin, self._end, self._complete, self._complete, self._abort)
        yield from (self._claim, self._finish, self._finish, self._retry, self._bury, self._hasten)
        yield from (self._drain, self._undrain, self._forget, self._forget, self._locate, self._lease, self._let_go, self._keep)
        if self.found:
            yield from (self._move, self._drop)

    # --- objects ---------------------------------------------------------------------------------------------------------------------

    def _reserve(self) -> Member:
        size_bytes, quota, at_bucket = self._chance.randrange(40), self._chance.choice([None, QUOTA_BYTES]), self._one(PLACES)
        place: dict[str, Any] = {"bucket": self._one(BUCKETS), "backend": self._one(BACKENDS), "owner": self._one(OWNERS)}
        intent = an_intent(next(self._names), self._one(KEYS), size_bytes=size_bytes, settle_ms=size_bytes % 2, **place)
        self._intents.append(intent)
        return Member("reserve", f"intent/{intent.write_id}", lambda at: at.ledger.reserve_write(intent, quota, at_bucket))

    def _commit(self) -> Member:
        one, conditions = self._latest(self._intents), self._conditions()
        new = an_object(one.write_id, one.key, bucket=one.bucket, size_bytes=one.size_bytes)
        return Member("commit_write", f"key/{one.bucket}/{one.key}", lambda at: at.ledger.commit_write(new, conditions))

    def _abandon(self) -> Member:
        one, due_ms = self._latest(self._intents), NOW_MS + self._chance.randrange(3)
        return Member("abandon_write", f"abandon/{one.write_id}", lambda at: at.ledger.abandon_write(one, "write_failed", due_ms))

    def _cancel(self) -> Member:
        one: Intent = self._latest(self._chance.choice([self._intents, self._part_intents]))
        return Member("cancel_reservation", f"cancel/{one.write_id}", lambda at: at.ledger.cancel_reservation(one))

    def _delete(self) -> Member:
        bucket, key, conditions = self._one(BUCKETS), self._one(KEYS), self._conditions()
        return Member("delete_object", f"key/{bucket}/{key}", lambda at: at.ledger.delete_object(bucket, key, NOW_MS, conditions))

    def _reap(self) -> Member:
        return Member("reap_intents", "reap", lambda at: at.ledger.reap_intents(NOW_MS, 1000, OWNERS[0]))

    def _move(self) -> Member:
        found, backend = self._chance.choice(self.found), self._one(BACKENDS)
        others = [one for one in self._intents if (one.bucket, one.key, one.backend) == (found.bucket, found.key, backend)]
        intent = self._latest(others or self._intents)
        return Member(
            "commit_move", f"key/{found.bucket}/{found.key}", lambda at: at.ledger.commit_move(found, found.copies[0], intent, NOW_MS)
        )

    def _drop(self) -> Member:
        found = self._chance.choice(self.found)
        return Member("drop_copy", f"key/{found.bucket}/{found.key}", lambda at: at.ledger.drop_copy(found, found.copies[0], NOW_MS))

    # --- uploads ---------------------------------------------------------------------------------------------------------------------

    def _create(self) -> Member:
        limit, at_bucket = self._chance.choice([None, 2]), self._one(PLACES)
        upload = an_upload(next(self._names), self._one(KEYS), bucket=self._one(BUCKETS), backend=self._one(BACKENDS))
        self._uploads.append(upload)
        return Member("create_upload", f"create/{upload.upload_id}", lambda at: at.ledger.create_upload(upload, limit, at_bucket))

    def _open(self) -> Member:
        one = self._latest(self._uploads)
        return Member("open_upload", f"open/{one.upload_id}", lambda at: at.ledger.open_upload(one.upload_id, f"theirs-{one.upload_id}"))

    def _reserve_part(self) -> Member:
        quota, number = self._chance.choice([None, QUOTA_BYTES]), self._chance.randint(1, 3)
        intent = a_part_intent(next(self._names), self._latest(self._uploads), number, size_bytes=PART_BYTES)
        self._part_intents.append(intent)
        return Member("reserve", f"intent/{intent.write_id}", lambda at: at.ledger.reserve_part(intent, quota))

    def _commit_part(self) -> Member:
        one = self._latest(self._part_intents)
        part = a_part(one.part_number, size_bytes=one.size_bytes, etag=one.write_id)
        return Member("commit_part", f"part/{one.write_id}", lambda at: at.ledger.commit_part(one.write_id, part))

    def _release(self) -> Member:
        one, certainly = self._latest(self._part_intents), self._chance.random() < 0.5
        return Member(
            "release_part", f"part/{one.write_id}", lambda at: at.ledger.release_part(one.write_id, certainly_not_landed=certainly)
        )

    def _begin(self) -> Member:
        one, owner, etag = self._latest(self._uploads), self._one(OWNERS), self._one(ETAGS)
        return Member(
            "begin_complete", f"complete/{one.upload_id}", lambda at: at.ledger.begin_complete(one.upload_id, owner, NOW_MS, etag)
        )

    def _end(self) -> Member:
        one, owner, may_be = self._latest(self._uploads), self._one(OWNERS), self._chance.random() < 0.3
        return Member(
            "end_complete",
            f"complete/{one.upload_id}",
            lambda at: at.ledger.end_complete(one.upload_id, owner, may_be_complete=may_be),
        )

    def _complete(self) -> Member:
        one, conditions = self._latest(self._uploads), self._conditions()
        size_bytes = PART_BYTES * self.parts.get(one.upload_id, 0)
        new = an_object(one.write_id, one.key, bucket=one.bucket, size_bytes=size_bytes, part_sizes=(size_bytes,))
        return Member(
            "commit_complete", f"key/{one.bucket}/{one.key}", lambda at: at.ledger.commit_complete(one.upload_id, new, conditions)
        )

    def _abort(self) -> Member:
        one, owner = self._latest(self._uploads), self._one(OWNERS)
        return Member(
            "abort_upload", f"abort/{one.upload_id}", lambda at: at.ledger.abort_upload(one.upload_id, "upload_aborted", NOW_MS, owner)
        )

    # --- workers ---------------------------------------------------------------------------------------------------------------------

    def _claim(self) -> Member:
        at_ms = NOW_MS + self._chance.choice([0, 1, 10_000])
        serving = {backend: self._one(PLACES[-2:]) for backend in BACKENDS if self._chance.random() < 0.3}

        async def claim(at: Place) -> list[CleanupItem]:
            """All that is due: of rows that one change made, any may come first."""
            items = await at.ledger.claim_cleanup("worker", at_ms, 500, 1000, serving=serving)
            at.item_ids |= {item.storage_key: item.item_id for item in items}
            return sorted((replace(item, item_id=0) for item in items), key=lambda item: (item.backend, item.storage_key))

        return Member("claim_cleanup", "claim", claim)

    def _finish(self) -> Member:
        keys = sorted({self._latest(self.storage_keys), self._latest(self.storage_keys)})
        return Member("finish_cleanup", f"finish/{keys}", lambda at: at.ledger.finish_cleanup([at.item_ids.get(key, 0) for key in keys]))

    def _retry(self) -> Member:
        key, next_ms = self._latest(self.storage_keys), NOW_MS + self._chance.randrange(2000)
        return Member("retry_cleanup", f"retry/{key}", lambda at: at.ledger.retry_cleanup(at.item_ids.get(key, 0), "denied", next_ms))

    def _bury(self) -> Member:
        key = self._latest(self.storage_keys)
        return Member("bury_cleanup", f"bury/{key}", lambda at: at.ledger.bury_cleanup(at.item_ids.get(key, 0), "denied", NOW_MS))

    def _hasten(self) -> Member:
        backend = self._one(BACKENDS)
        return Member("hasten_cleanup", f"hasten/{backend}", lambda at: at.ledger.hasten_cleanup(backend, NOW_MS))

    def _drain(self) -> Member:
        asked = Operation(next(self._names), "Drain", "uid", self._chance.choice(["t1", "t2"]), NOW_MS, self._one(BACKENDS))
        self._operations.append(asked.operation_id)
        return Member("ask_operation", "operations", lambda at: at.ledger.ask_operation(asked))

    def _undrain(self) -> Member:
        one = self._latest(self._operations)
        return Member("cancel_operation", f"operation/{one}", lambda at: at.ledger.cancel_operation(one, NOW_MS))

    def _locate(self) -> Member:
        buckets = {self._one(BACKENDS): self._one(PLACES[-2:])}
        owner = self._one(OWNERS)
        return Member("locate_backends", "locate", lambda at: at.ledger.locate_backends(buckets, owner))

    def _forget(self) -> Member:
        backend = self._one(BACKENDS)
        if self._chance.random() < 0.5:
            bucket, owner = self._one(PLACES[-2:]), self._one(OWNERS)
            return Member("forget_backend", f"backend/{backend}", lambda at: at.ledger.move_backend(backend, bucket, owner))
        return Member("forget_backend", f"backend/{backend}", lambda at: at.ledger.forget_backend(backend))

    def _lease(self) -> Member:
        owner = self._one(OWNERS)
        return Member("acquire_lease", f"lease/{owner}", lambda at: at.ledger.acquire_lease(f"instance/{owner}", owner, NOW_MS, 60_000))

    def _let_go(self) -> Member:
        owner = self._one(OWNERS)
        return Member("release_lease", f"lease/{owner}", lambda at: at.ledger.release_lease(f"instance/{owner}", owner))

    def _keep(self) -> Member:
        counts = [BucketUsage(bucket, self._chance.randrange(9), 1) for bucket in BUCKETS]
        return Member("keep_counts", "counts", lambda at: at.ledger.keep_counts(counts, NOW_MS))

    # --- chance ----------------------------------------------------------------------------------------------------------------------

    def _one(self, some: tuple[str, ...]) -> str:
        return self._chance.choice(some)

    def _latest(self, named: list[Any]) -> Any:
        """Mostly one of those named last: the others are gone for long."""
        return self._chance.choice(named[-12:] if self._chance.random() < 0.9 else named)

    def _conditions(self) -> Conditions:
        return self._chance.choice([Conditions()] * 5 + [Conditions(if_none_match="*"), Conditions(if_match="*")])


async def said(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except BackendInUse:
        return BackendInUse  # How many copies it names is read from the counters, and so as before the transaction.
    except DomainError as error:
        return type(error), str(error)


async def together(batch: list[Member], at: Place) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(said(member.call(at))) for member in batch]
    return [answer.result() for answer in answers]


async def one_by_one(batch: list[Member], at: Place) -> list[Any]:
    """In the order in which a transaction carries out its kinds."""
    answers = {}
    for index in sorted(range(len(batch)), key=lambda index: RANK[batch[index].kind]):
        answers[index] = await said(batch[index].call(at))
    return [answers[index] for index in range(len(batch))]


async def left(at: Place) -> dict[str, Any]:
    """All that can be asked of a ledger."""
    ledger = at.ledger
    await check_counters(ledger)
    objects = [(bucket, key) for bucket in BUCKETS for key in KEYS]
    return {
        "objects": [await ledger.find_object(*address) for address in objects],
        "listed": [await ledger.list_objects(ListQuery(bucket)) for bucket in BUCKETS],
        "uploads": [await ledger.list_uploads(bucket, "", "", "", "", 1000) for bucket in BUCKETS],
        "mentions": [
            [(one.kind, one.storage_key, one.size_bytes, one.backend_upload_id) async for one in ledger.mentions(backend)]
            for backend in BACKENDS
        ],
        "remains": [await ledger.remains(backend) for backend in BACKENDS],
        "usage": {name: usage for name, usage in (await ledger.usage()).items() if usage != type(usage)(name)},
        "depths": await ledger.queue_depths(),
        "operations": await ledger.active_operations(),
        "fences": await ledger.fences(),
        "located": await ledger.located(),
        "vouched": await ledger.vouched(NOW_MS),
        "counts": await ledger.bucket_usage(),
    }


@pytest.mark.timeout(240 + BATCHES)
async def test_together_they_are_told_and_leave_what_they_would_one_by_one(migrated_database: DatabaseConfig, tmp_path: Path) -> None:
    draw = Draw(SEED)
    async with AsyncExitStack() as stack:
        configs = [DatabaseConfig(driver="SQLite", path=str(tmp_path / f"{number}.db")) for number in range(2)]
        places = [Place(await open_ledger(config, {})) for config in (*configs, migrated_database)]
        for place in places:
            stack.push_async_callback(place.ledger.close)
        alone, *shared = places
        for _ in range(BATCHES):
            batch = draw.batch()
            answers = await one_by_one(batch, alone)
            ends = await left(alone)
            for place in shared:
                assert list(zip(batch, await together(batch, place), strict=True)) == list(zip(batch, answers, strict=True))
                assert await left(place) == ends, [member.kind for member in batch]
            draw.found = [found for found in ends["objects"] if found is not None and found.copies]
            draw.storage_keys = list(alone.item_ids) or ["none"]
            opened = [one.upload_id for page in ends["uploads"] for one in page.uploads]
            draw.parts = {upload_id: len((await alone.ledger.list_parts(upload_id, 0, 10))[0]) for upload_id in opened}
