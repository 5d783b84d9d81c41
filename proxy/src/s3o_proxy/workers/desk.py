"""Where operations are asked for: checks what was asked, writes it down, and wakes whoever carries it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from s3o_proxy.domain.errors import BackendConfigured, NoSuchBackend, NoSuchOperation
from s3o_proxy.domain.operation import Operation, Plan, Wish
from s3o_proxy.workers.drain import plan_of_drain
from s3o_proxy.workers.means import Means
from s3o_proxy.workers.purge import plan_of_purge
from s3o_proxy.workers.rebalance import plan_of_rebalance

MOST_LISTED = 100


class Desk:
    """`wake`: makes the worker look at once."""

    def __init__(self, means: Means, new_id: Callable[[], str], wake: Callable[[], None]) -> None:
        self._means, self._new_id, self._wake = means, new_id, wake

    async def ask(self, wish: Wish) -> Operation:
        """The operation, new or known. Raises NoSuchBackend, OperationConflict, MetadataError."""
        operation = self._drafted(wish)
        if not await self._is_known(wish):
            self._require_backend(operation)
        asked = await self._means.metadata.ask_operation(operation)
        self._wake()
        return asked

    async def plan(self, wish: Wish) -> Operation:
        """What it would move, without asking for it. Raises NoSuchBackend, MetadataError."""
        operation = self._drafted(wish)
        self._require_backend(operation)
        return replace(operation, plan=await self._planned(operation))

    async def find(self, operation_id: str) -> Operation:
        found = await self._means.metadata.find_operation(operation_id)
        if found is None:
            raise NoSuchOperation(operation_id)
        return found

    async def list(self, subject: str) -> Sequence[Operation]:
        return await self._means.metadata.list_operations(subject, MOST_LISTED)

    async def cancel(self, operation_id: str) -> Operation:
        cancelled = await self._means.metadata.cancel_operation(operation_id, self._means.clock())
        self._wake()
        return cancelled

    async def forget(self, backend: str) -> None:
        """Raises BackendConfigured, BackendInUse, MetadataError."""
        if any(candidate.name == backend for candidate in self._means.placing().candidates):
            raise BackendConfigured(backend)
        await self._means.metadata.forget_backend(backend)

    async def _planned(self, operation: Operation) -> Plan:
        if operation.kind == "Drain":
            return await plan_of_drain(self._means, operation.backend)
        if operation.kind == "Rebalance":
            return await plan_of_rebalance(self._means)
        return await plan_of_purge(self._means, operation)

    def _drafted(self, wish: Wish) -> Operation:
        now = self._means.clock()
        return Operation(self._new_id(), wish.kind, wish.subject, wish.token, now, wish.backend, wish.bucket, updated_ms=now)

    def _require_backend(self, operation: Operation) -> None:
        if operation.backend and all(candidate.name != operation.backend for candidate in self._means.placing().candidates):
            raise NoSuchBackend(operation.backend)

    async def _is_known(self, wish: Wish) -> bool:
        """Asked for before: then its backend may be gone by now."""
        known = await self._means.metadata.list_operations(wish.subject, MOST_LISTED)
        return any((each.kind, each.token) == (wish.kind, wish.token) for each in known)
