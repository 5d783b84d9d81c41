"""SQLite, PostgreSQL and a dictionary, side by side: whatever is asked one after the other, all three say the same.

`S3O_STEPS` says how many steps, of one call or a few; some hundred by default, 10,000 before a release.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.support.ledger import MINUTE_MS, NOW_MS, a_part, a_part_intent, an_intent, an_object, an_upload, check_counters
from tests.support.ledger_model import LedgerModel
from tests.support.listings import DELIMITERS, KEYS, LETTERS
from tests.support.postgres import PostgresServer

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.domain.errors import DomainError
from s3o_proxy.domain.model import Conditions, Intent, ListQuery, StoredObject, Upload, Usage
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.metadata.port import Metadata

STEPS = int(os.environ.get("S3O_STEPS", "300"))
STEPS_EACH = 50
QUOTA_BYTES = 400
BUCKETS, BACKENDS, OWNERS = ("photos", "films"), ("east", "west"), ("proxy-1", "proxy-2", "")
FEW_KEYS = st.sampled_from(["a", "a/b", "a/c", "é", "\U0010ffff/\ue000", "%"]) | KEYS
FAR_MS = 10**9

buckets, backends, owners = st.sampled_from(BUCKETS), st.sampled_from(BACKENDS), st.sampled_from(OWNERS)
sizes = st.integers(0, 60)
places = st.sampled_from(["", "", "", "old", "new"])
etags = st.sampled_from(["etag-1", "etag-2"])
picks = st.integers(0, 10**6)
moments = st.sampled_from([NOW_MS, NOW_MS + 1000, NOW_MS + FAR_MS])
conditions = st.sampled_from(
    [
        *[Conditions()] * 4,
        Conditions(if_none_match="*"),
        Conditions(if_match="*"),
        Conditions(if_match="etag-w1"),
        Conditions(if_none_match="etag-w1"),
    ]
)
prefixes = st.just("") | st.text(LETTERS, max_size=3)
limits = st.integers(0, 6)
Answer = Any


class Ledgers(RuleBasedStateMachine):
    """Remembers whatever was named, also what is long gone: calls about it have answers too."""

    def __init__(self, runner: asyncio.Runner, configs: Sequence[DatabaseConfig], asked: Counter[str]) -> None:
        super().__init__()
        self.runner = runner
        self.asked = asked
        self.model = LedgerModel()
        self.engines: list[Metadata] = [runner.run(open_ledger(config, {})) for config in configs]
        self.names = count(1)
        self.intents: list[Intent] = []
        self.part_intents: list[Intent] = []
        self.uploads: list[Upload] = []
        self.found: list[StoredObject] = []
        self.items: list[tuple[int, ...]] = []
        """Ids of one claimed row, by each of the three."""

    def ask(self, method: str, *arguments: Answer, **named: Answer) -> Answer:
        """The answer that all three give."""
        ours = _said(lambda model: getattr(model, method)(*arguments, **named), self.model)
        self.asked[method] += 1
        for engine in self.engines:
            theirs = _said(lambda engine: self.runner.run(getattr(engine, method)(*arguments, **named)), engine)
            assert theirs == ours, f"{method}{arguments}{named}: {type(engine).__name__} says {theirs}, the model {ours}"
        return ours

    # --- objects ---------------------------------------------------------------------------------------------------------------------

    @rule(bucket=buckets, key=FEW_KEYS, backend=backends, size_bytes=sizes, quota=st.booleans(), owner=owners, place=places)
    def reserve(self, bucket: str, key: str, backend: str, size_bytes: int, quota: bool, owner: str, place: str) -> None:
        settle_ms = size_bytes % 2 * MINUTE_MS
        name = f"w{next(self.names)}"
        intent = an_intent(name, key, bucket=bucket, backend=backend, size_bytes=size_bytes, owner=owner, settle_ms=settle_ms)
        self.ask("reserve_write", intent, QUOTA_BYTES if quota else None, place)
        self.intents.append(intent)

    @rule(bucket=buckets, key=FEW_KEYS, backend=backends, size_bytes=sizes, conditions=conditions)
    def put(self, bucket: str, key: str, backend: str, size_bytes: int, conditions: Conditions) -> None:
        intent = an_intent(f"w{next(self.names)}", key, bucket=bucket, backend=backend, size_bytes=size_bytes)
        self.ask("reserve_write", intent, None)
        self.ask("commit_write", an_object(intent.write_id, key, bucket=bucket, size_bytes=size_bytes), conditions)
        self.intents.append(intent)

    @rule(pick=picks, conditions=conditions)
    def commit(self, pick: int, conditions: Conditions) -> None:
        if self.intents:
            one = self.intents[pick % len(self.intents)]
            self.ask("commit_write", an_object(one.write_id, one.key, bucket=one.bucket, size_bytes=one.size_bytes), conditions)

    @rule(pick=picks, due_ms=moments)
    def abandon(self, pick: int, due_ms: int) -> None:
        if self.intents:
            self.ask("abandon_write", self.intents[pick % len(self.intents)], "write_failed", due_ms)

    @rule(pick=picks, of_a_part=st.booleans())
    def cancel(self, pick: int, of_a_part: bool) -> None:
        if intents := self.part_intents if of_a_part else self.intents:
            self.ask("cancel_reservation", intents[pick % len(intents)])

    @rule(bucket=buckets, key=FEW_KEYS, conditions=conditions)
    def delete(self, bucket: str, key: str, conditions: Conditions) -> None:
        self.ask("delete_object", bucket, key, NOW_MS, conditions)

    @rule(bucket=buckets, key=FEW_KEYS)
    def find(self, bucket: str, key: str) -> None:
        found = self.ask("find_object", bucket, key)
        if found is not None:
            self.found.append(found)

    @rule(bucket=buckets, prefix=prefixes, delimiter=DELIMITERS, after=st.just("") | FEW_KEYS, limit=limits | st.just(1000))
    def list(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> None:
        self.ask("list_objects", ListQuery(bucket, prefix, delimiter, after, limit))

    # --- multipart -------------------------------------------------------------------------------------------------------------------

    @rule(bucket=buckets, key=FEW_KEYS, backend=backends, opens=st.integers(0, 3), limit=st.sampled_from([None, None, 2]), place=places)
    def create_upload(self, bucket: str, key: str, backend: str, opens: int, limit: int | None, place: str) -> None:
        upload = an_upload(f"u{next(self.names):04}", key, bucket=bucket, backend=backend, initiated_ms=NOW_MS + opens)
        self.ask("create_upload", upload, limit, place)
        if opens:
            self.ask("open_upload", upload.upload_id, f"theirs-{upload.upload_id}")
        self.uploads.append(upload)

    @rule(pick=picks, number=st.integers(1, 3), size_bytes=sizes, owner=owners, quota=st.booleans())
    def reserve_part(self, pick: int, number: int, size_bytes: int, owner: str, quota: bool) -> None:
        if self.uploads:
            upload = self.uploads[pick % len(self.uploads)]
            intent = a_part_intent(f"p{next(self.names)}", upload, number, size_bytes=size_bytes, owner=owner)
            self.ask("reserve_part", intent, QUOTA_BYTES if quota else None)
            self.part_intents.append(intent)

    @rule(pick=picks)
    def commit_part(self, pick: int) -> None:
        if self.part_intents:
            intent = self.part_intents[pick % len(self.part_intents)]
            modified_ms = NOW_MS + intent.size_bytes % 7
            part = a_part(intent.part_number, size_bytes=intent.size_bytes, etag=intent.write_id, modified_ms=modified_ms)
            self.ask("commit_part", intent.write_id, part)

    @rule(pick=picks, certainly=st.booleans())
    def release_part(self, pick: int, certainly: bool) -> None:
        if self.part_intents:
            self.ask("release_part", self.part_intents[pick % len(self.part_intents)].write_id, certainly_not_landed=certainly)

    @rule(pick=picks, after=st.integers(0, 3), limit=limits, other=buckets)
    def look_at_upload(self, pick: int, after: int, limit: int, other: str) -> None:
        if self.uploads:
            upload = self.uploads[pick % len(self.uploads)]
            self.ask("list_parts", upload.upload_id, after, limit)
            self.ask("find_upload", other, upload.key, upload.upload_id)

    @rule(pick=picks, owner=st.sampled_from(OWNERS[:2]), etag=etags, ends=st.sampled_from([None, True, False]))
    def complete(self, pick: int, owner: str, etag: str, ends: bool | None) -> None:
        if self.uploads:
            upload_id = self.uploads[pick % len(self.uploads)].upload_id
            self.ask("begin_complete", upload_id, owner, NOW_MS, etag)
            if ends is not None:
                self.ask("end_complete", upload_id, owner, may_be_complete=ends)

    @rule(pick=picks, conditions=conditions)
    def commit_complete(self, pick: int, conditions: Conditions) -> None:
        if self.uploads:
            upload = self.uploads[pick % len(self.uploads)]
            held = tuple(size for _, size in self.model.parts.get(upload.upload_id, {}).values())
            new = an_object(upload.write_id, upload.key, bucket=upload.bucket, size_bytes=sum(held), part_sizes=held)
            self.ask("commit_complete", upload.upload_id, new, conditions)

    @rule(pick=picks, owner=owners)
    def abort_upload(self, pick: int, owner: str) -> None:
        if self.uploads:
            self.ask("abort_upload", self.uploads[pick % len(self.uploads)].upload_id, "upload_aborted", NOW_MS, owner)

    @rule(bucket=buckets, prefix=prefixes, delimiter=DELIMITERS, after=st.just("") | FEW_KEYS, pick=st.none() | picks, limit=limits)
    def list_uploads(self, bucket: str, prefix: str, delimiter: str, after: str, pick: int | None, limit: int) -> None:
        upload_id = ""
        if pick is not None and self.uploads:
            after, upload_id = self.uploads[pick % len(self.uploads)].key, self.uploads[pick % len(self.uploads)].upload_id
        self.ask("list_uploads", bucket, prefix, delimiter, after, upload_id, limit)
        self.ask("stale_uploads", NOW_MS + 3, NOW_MS, limit)

    # --- workers ---------------------------------------------------------------------------------------------------------------------

    @rule(owner=st.sampled_from(OWNERS[:2]), rival=st.sampled_from(OWNERS[:2]), ends=st.booleans())
    def lease(self, owner: str, rival: str, ends: bool) -> None:
        self.ask("acquire_lease", f"instance/{owner}", owner, NOW_MS, 60_000)
        self.ask("acquire_lease", "worker", rival, NOW_MS, 60_000)
        if ends:
            self.ask("release_lease", f"instance/{owner}", owner)
            self.ask("release_lease", "worker", rival)

    @rule(backend=backends, place=st.sampled_from(["old", "new"]), forgets=st.booleans(), moves=st.booleans(), owner=owners)
    def locate(self, backend: str, place: str, forgets: bool, moves: bool, owner: str) -> None:
        if forgets:
            self.ask("forget_backend", backend)
        self.ask("locate_backends", {backend: place}, owner)
        if moves:
            self.ask("move_backend", backend, place, owner)
        self.ask("vouched", NOW_MS)

    @rule(reaper=owners)
    def reap(self, reaper: str) -> None:
        self.ask("reap_intents", NOW_MS, 10_000, reaper)

    @rule(at_ms=moments, serving=st.dictionaries(backends, st.sampled_from(["old", "new"])))
    def claim(self, at_ms: int, serving: dict[str, str]) -> None:
        """All that is due: of rows that one change made, any may come first."""
        claims = [
            self.model.claim_cleanup("worker", at_ms, 500, 1000, serving=serving),
            *(self.runner.run(engine.claim_cleanup("worker", at_ms, 500, 1000, serving=serving)) for engine in self.engines),
        ]
        claims = [sorted(claimed, key=lambda item: (item.backend, item.storage_key)) for claimed in claims]
        ours, *theirs = [[replace(item, item_id=0) for item in claimed] for claimed in claims]
        assert all(one == ours for one in theirs), f"{theirs} were due, the model says {ours}"
        self.items += [tuple(item.item_id for item in items) for items in zip(*claims, strict=True)]

    @rule(pick=picks, what=st.sampled_from(["finish", "finish", "retry", "bury"]))
    def end_cleanup(self, pick: int, what: str) -> None:
        if not self.items:
            return
        ids = self.items[pick % len(self.items)]
        match what:
            case "finish":
                self.each(ids, lambda one, item_id: one.finish_cleanup([item_id]))
            case "retry":
                self.each(ids, lambda one, item_id: one.retry_cleanup(item_id, "denied", NOW_MS + pick % 2000))
            case _:
                self.each(ids, lambda one, item_id: one.bury_cleanup(item_id, "denied", NOW_MS))

    def each(self, ids: tuple[int, ...], call: Callable[[Any, int], Any]) -> None:
        call(self.model, ids[0])
        for engine, item_id in zip(self.engines, ids[1:], strict=True):
            self.runner.run(call(engine, item_id))

    @rule(pick=picks, backend=backends, reserves=st.booleans())
    def move(self, pick: int, backend: str, reserves: bool) -> None:
        """Of an object as it was found once."""
        self.find_one(pick)
        if self.found:
            found = self.found[pick % len(self.found)]
            intent = an_intent(f"m{next(self.names)}", found.key, bucket=found.bucket, backend=backend, size_bytes=found.size_bytes)
            if reserves:
                self.ask("reserve_write", intent, None)
            self.ask("commit_move", found, found.copies[0], intent, NOW_MS)

    @rule(pick=picks)
    def drop(self, pick: int) -> None:
        self.find_one(pick)
        if self.found:
            found = self.found[pick % len(self.found)]
            self.ask("drop_copy", found, found.copies[0], NOW_MS)

    def find_one(self, pick: int) -> None:
        if pick % 2 and self.model.objects:
            self.found.append(self.ask("find_object", *sorted(self.model.objects)[pick % len(self.model.objects)]))

    # --- what is there ---------------------------------------------------------------------------------------------------------------

    @invariant()
    def counters_agree(self) -> None:
        self.ask("queue_depths")
        ours = self.model.usage()
        for engine in self.engines:
            theirs = self.runner.run(engine.usage())
            assert {name: usage for name, usage in theirs.items() if usage != Usage(name)} == {
                name: usage for name, usage in ours.items() if usage != Usage(name)
            }

    def teardown(self) -> None:
        try:
            self.everything_agrees()
        finally:
            for engine in self.engines:
                self.runner.run(engine.close())

    def everything_agrees(self) -> None:
        for bucket in BUCKETS:
            self.ask("list_objects", ListQuery(bucket, limit=10_000))
        for bucket, key in self.model.objects:
            self.ask("find_object", bucket, key)
        for engine in self.engines:
            self.runner.run(check_counters(engine))
            counted, _ = self.runner.run(engine.count_objects(("", ""), 10_000))
            assert {one.bucket: one for one in counted} == self.model.bucket_usage()
        audits = [[self.runner.run(_mentions(engine, backend)) for backend in BACKENDS] for engine in self.engines]
        assert all(audit == audits[0] for audit in audits)
        ours = sorted((name, key, kind) for name, key, kind in self.model.mentions())
        assert sorted((name, key, kind) for name, page in zip(BACKENDS, audits[0], strict=True) for kind, key, *_ in page) == ours


async def _mentions(engine: Metadata, backend: str) -> list[tuple[Any, ...]]:
    return [(one.kind, one.storage_key, one.size_bytes, one.backend_upload_id) async for one in engine.mentions(backend)]


def _said(call: Callable[[Any], Answer], of_whom: Metadata | LedgerModel) -> Answer:
    """What it returns, or which error it raises, in which words."""
    try:
        return call(of_whom)
    except DomainError as error:
        return type(error), str(error)


@pytest.mark.timeout(240 + STEPS // 5)
def test_all_say_the_same(postgres: PostgresServer, shared_database: DatabaseConfig, tmp_path: Path) -> None:
    numbers, asked = count(), Counter[str]()

    def ledgers() -> Ledgers:
        postgres.wipe(shared_database)
        sqlite = DatabaseConfig(driver="SQLite", path=str(tmp_path / f"{next(numbers)}.db"))
        return Ledgers(runner, [sqlite, shared_database], asked)

    with asyncio.Runner() as runner:
        run_state_machine_as_test(
            ledgers,  # type: ignore[arg-type]  # a class is asked for, and called
            settings=settings(
                max_examples=max(1, STEPS // STEPS_EACH),
                stateful_step_count=STEPS_EACH,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    print(f"{asked.pop('queue_depths')} steps, {asked.total()} calls: {dict(asked)}")
