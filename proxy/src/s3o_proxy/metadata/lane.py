"""The write lane: everything one process changes goes through here, one transaction at a time, as many members as wait.

There is no timer: whatever arrived while a transaction was running is the next one. Under load the batches grow and a durable
commit is shared by many; alone, a member is a batch of one and waits for nobody.

Lock order, everywhere: the names of all members (sorted, in one statement) → rows → backends' rows in name order → usage in
backend order. So two processes never wait for each other in a circle; should they still, the database picks a victim, which is
tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from s3o_proxy.domain.errors import DomainError, MetadataUnavailable, OutcomeUnknown
from s3o_proxy.metadata.engine import Engine
from s3o_proxy.metadata.errors import Refused
from s3o_proxy.metadata.story import Book, Kind, Steps, ask_each

log = logging.getLogger(__name__)

M = TypeVar("M")
R = TypeVar("R")

MOST_MEMBERS = 256
"""Per transaction: the gain of sharing a commit is had long before, and PostgreSQL's table of locks is not endless."""

MOST_TRIES = 5
"""Of one transaction, when the database rolls it back by chance."""


@dataclass(slots=True)
class _Waiting:
    kind: Kind[Any, Any]
    member: Any
    identity: str
    future: asyncio.Future[Any]


class Lane:
    """`order`: all kinds, in the order in which one transaction carries them out. `stripe`: this process's row of each usage."""

    def __init__(self, engine: Engine, order: Sequence[Kind[Any, Any]], stripe: int) -> None:
        self._engine = engine
        self._rank: Mapping[str, int] = {kind.name: rank for rank, kind in enumerate(order)}
        self._stripe = stripe
        self._waiting: deque[_Waiting] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False

    async def write(self, kind: Kind[M, R], member: M) -> R:
        """Carry out one member; returns when it is committed. Raises what the story decided against it.

        A caller that is cancelled before its transaction started is left out of it; later, the transaction goes on without a listener.
        """
        if self._closed:
            raise MetadataUnavailable("the ledger is closed")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(kind, member, kind.identity(member), future))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_all(), name="metadata-lane")
        return await future

    async def close(self) -> None:
        """Finish what waits; take no more."""
        self._closed = True
        if self._flusher is not None:
            await self._flusher

    async def _flush_all(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch = self._take()
                await self._flush(batch)
        finally:
            # No await between the last look and this line: who arrives later starts a flusher of its own.
            self._flusher = None
            # Only a flusher that was cancelled leaves anybody behind: their transactions never began.
            _refuse([*batch, *self._waiting], MetadataUnavailable("the write lane was stopped"))
            self._waiting.clear()

    def _take(self) -> list[_Waiting]:
        """The members of the next transaction, in order of arrival; those that would meet themselves in it wait for the one after."""
        batch: list[_Waiting] = []
        seen: set[str] = set()
        later: deque[_Waiting] = deque()
        while self._waiting:
            one = self._waiting.popleft()
            if one.future.done():
                continue  # cancelled while it waited
            if len(batch) == MOST_MEMBERS or one.identity in seen:
                later.append(one)
            else:
                batch.append(one)
            seen.add(one.identity)
        self._waiting = later
        return batch

    async def _flush(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            outcomes = await self._transact(batch)
        except asyncio.CancelledError:
            # The loop is closing, in the middle of it.
            _refuse(batch, OutcomeUnknown("the transaction was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, or to fewer members
            if len(batch) == 1 or _concerns_all(error):
                _refuse(batch, error)
                return
            # One member is to blame: halves find it in a few transactions, and everybody keeps their order.
            log.warning("a batch failed and is tried in halves", extra={"members": len(batch), "error": str(error)})
            middle = len(batch) // 2
            await self._flush(batch[:middle])
            await self._flush(batch[middle:])
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            if one.future.done():
                continue
            if isinstance(outcome, DomainError):
                one.future.set_exception(outcome)
            else:
                one.future.set_result(outcome)

    async def _transact(self, batch: Sequence[_Waiting]) -> list[Any]:
        for tried in range(1, MOST_TRIES + 1):
            try:
                return await self._engine.transact(self._transaction(batch))
            except Refused as error:
                if not error.by_chance or tried == MOST_TRIES:
                    raise
        raise AssertionError("unreachable")

    def _transaction(self, batch: Sequence[_Waiting]) -> Steps[list[Any]]:
        groups: dict[str, list[int]] = {}
        for index, one in enumerate(batch):
            groups.setdefault(one.kind.name, []).append(index)
        in_order = [groups[name] for name in sorted(groups, key=self._rank.__getitem__)]

        names: set[str] = set()
        shared: set[str] = set()
        for group in in_order:
            kind = batch[group[0]].kind
            names.update(name for index in group for name in kind.locks(batch[index].member))
            shared.update(name for index in group for name in kind.shares(batch[index].member))
            if kind.scout is not None:
                names.update((yield from kind.scout([batch[index].member for index in group])))
        yield from ask_each("lock_names", [{"name": name, "shared": name not in names} for name in sorted(names | shared)])

        book = Book()
        outcomes: list[Any] = [None] * len(batch)
        for group in in_order:
            kind = batch[group[0]].kind
            if not kind.blind:
                yield from book.catch_up()
            decided = yield from kind.run([batch[index].member for index in group], book)
            for index, outcome in zip(group, decided, strict=True):
                outcomes[index] = outcome
        yield from book.settle(self._stripe)
        return outcomes


def _concerns_all(error: Exception) -> bool:
    """Whether an error says nothing about single members: the database is away, or nobody knows what it did."""
    return isinstance(error, (MetadataUnavailable, OutcomeUnknown)) and not isinstance(error, Refused)


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.future.done():
            one.future.set_exception(error)
