"""Random lives of many writes at once, then the invariants: bytes are mentioned (I2), quotas hold (I3), counters are sums (I6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.ledger import NOW_MS, a_part, a_part_intent, an_intent, an_object, an_upload, check_counters

from s3o_proxy.domain.errors import BackendFenced, NoSuchKey, NoSuchUpload, OperationConflict, PreconditionFailed, UploadBusy, WriteLost
from s3o_proxy.domain.model import Conditions, Upload
from s3o_proxy.domain.operation import Operation
from s3o_proxy.metadata.port import Metadata

QUOTA_BYTES = 300
DECLINED = (NoSuchKey, NoSuchUpload, PreconditionFailed, UploadBusy, WriteLost)
WHATS = (
    *("write", "write", "write if none", "write if match", "abandon", "leave"),
    *("delete", "reap", "clean", "bury", "upload", "abort upload"),
    *("move", "move", "drop", "fence", "open"),
)
runs = count()

Step = tuple[str, int, int, int]
"""What happens, to which key, on which backend, with how many bytes."""

steps = st.tuples(
    st.sampled_from(WHATS),
    st.integers(0, 3),
    st.integers(0, 1),
    st.integers(0, 60),
)


@dataclass
class World:
    """The ledger and, beside it, what lies on the backends: a storage key is there from its reservation until its cleanup."""

    ledger: Metadata
    bucket: str
    landed: set[tuple[str, str]] = field(default_factory=set)
    names: count[int] = field(default_factory=count)

    @property
    def backends(self) -> tuple[str, str]:
        """Of its own, so that each example starts with empty quotas."""
        return f"east-{self.bucket}", f"west-{self.bucket}"

    async def step(self, step: Step) -> None:
        what, key_number, backend_number, size_bytes = step
        key, backend = f"key-{key_number}", self.backends[backend_number]
        if what in ("upload", "abort upload"):
            await self._upload(key, backend, size_bytes, abort=what == "abort upload")
        elif what == "delete":
            await self.ledger.delete_object(self.bucket, key, NOW_MS)
        elif what == "reap":
            await self.ledger.reap_intents(NOW_MS, 3)
        elif what in ("clean", "bury"):
            await self._clean(bury=what == "bury")
        elif what in ("move", "drop"):
            await self._move(key, backend, drop=what == "drop")
        elif what in ("fence", "open"):
            await self._fence(backend, up=what == "fence")
        else:
            await self._write(what, key, backend, size_bytes)

    async def _write(self, what: str, key: str, backend: str, size_bytes: int) -> None:
        write_id = f"{self.bucket}-{next(self.names)}"
        intent = an_intent(write_id, key, bucket=self.bucket, backend=backend, size_bytes=size_bytes)
        if not (await self.ledger.reserve_write(intent, QUOTA_BYTES)).granted:
            return
        self.landed.add((backend, intent.storage_key))
        if what == "leave":
            return
        if what == "abandon":
            await self.ledger.abandon_write(intent, "write_failed", NOW_MS)
            return
        conditions = {"write if none": Conditions(if_none_match="*"), "write if match": Conditions(if_match="*")}.get(what, Conditions())
        new = an_object(write_id, key, bucket=self.bucket, size_bytes=size_bytes)
        try:
            await self.ledger.commit_write(new, conditions)
        except DECLINED:
            await self.ledger.abandon_write(intent, "write_failed", NOW_MS)

    async def _upload(self, key: str, backend: str, size_bytes: int, *, abort: bool) -> None:
        upload = an_upload(f"{self.bucket}-{next(self.names)}", key, bucket=self.bucket, backend=backend)
        try:
            await self.ledger.create_upload(upload, None)
        except BackendFenced:
            return
        self.landed.add((backend, upload.storage_key))
        await self.ledger.open_upload(upload.upload_id, "theirs")
        held = [size for number, size in enumerate((size_bytes, 5, size_bytes), 1) if await self._part(upload, number, size)]
        if abort or not held:
            await self.ledger.abort_upload(upload.upload_id, "upload_aborted", NOW_MS)
        else:
            new = an_object(upload.write_id, key, bucket=self.bucket, size_bytes=held[-1])
            await self.ledger.commit_complete(upload.upload_id, new, Conditions())

    async def _part(self, upload: Upload, number: int, size_bytes: int) -> bool:
        write_id = f"{upload.upload_id}-{number}"
        if not (await self.ledger.reserve_part(a_part_intent(write_id, upload, number, size_bytes=size_bytes), QUOTA_BYTES)).granted:
            return False
        if number == 2:
            await self.ledger.release_part(write_id, certainly_not_landed=size_bytes % 2 == 0)
            return False
        await self.ledger.commit_part(write_id, a_part(number, size_bytes=size_bytes))
        return True

    async def _clean(self, *, bury: bool) -> None:
        items = await self.ledger.claim_cleanup("worker", NOW_MS, 1000, 2)
        for item in items:
            if bury:
                await self.ledger.bury_cleanup(item.item_id, "denied", NOW_MS)
            else:
                # Bytes first, row after: the other order would leave bytes that nobody mentions.
                self.landed.discard((item.backend, item.storage_key))
                await self.ledger.finish_cleanup([item.item_id])

    async def _move(self, key: str, target: str, *, drop: bool) -> None:
        found = await self.ledger.find_object(self.bucket, key)
        if found is None or not found.copies:
            return
        if drop:
            await self.ledger.drop_copy(found, found.copies[0], NOW_MS)
            return
        intent = an_intent(f"{self.bucket}-{next(self.names)}", key, bucket=self.bucket, backend=target, size_bytes=found.size_bytes)
        if (await self.ledger.reserve_write(intent, QUOTA_BYTES)).granted:
            self.landed.add((target, intent.storage_key))
            try:
                await self.ledger.commit_move(found, found.copies[0], intent, NOW_MS)
            except WriteLost:
                return

    async def _fence(self, backend: str, *, up: bool) -> None:
        name = f"{self.bucket}-{next(self.names)}"
        try:
            if up:
                await self.ledger.ask_operation(Operation(name, "Drain", "uid", name, NOW_MS, backend))
            for operation in () if up else await self.ledger.active_operations():
                if operation.backend == backend:
                    await self.ledger.cancel_operation(operation.operation_id, NOW_MS)
        except OperationConflict:
            return

    async def check(self) -> None:
        await check_counters(self.ledger)
        usages = await self.ledger.usage()
        for usage in (usages[backend] for backend in self.backends if backend in usages):
            assert 0 <= usage.held_bytes <= QUOTA_BYTES, "I3"
            assert min(usage.used_bytes, usage.orphan_bytes, usage.reserved_bytes, usage.objects) >= 0
        live: set[tuple[str, str]] = set()
        dead: set[tuple[str, str]] = set()
        for backend in self.backends:
            async for mention in self.ledger.mentions(backend):
                (dead if mention.kind in ("cleanup", "dead") else live).add((backend, mention.storage_key))
        assert not live & dead, "I2: bytes that are live are queued for deletion"
        assert self.landed <= live | dead, "I2: bytes that nobody mentions"


@pytest.mark.parametrize("database", ["SQLite", "Postgres"], indirect=True)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(steps, min_size=1, max_size=8), max_size=6))
async def test_invariants_hold_whatever_happens_at_once(ledger: Metadata, waves: Sequence[Sequence[Step]]) -> None:
    world = World(ledger, f"bucket-{next(runs)}")
    for wave in waves:
        async with asyncio.TaskGroup() as group:
            for step in wave:
                group.create_task(world.step(step))
        await world.check()
