"""Writes that this process gave up without knowing how they ended.

Their commit was sent and no answer came, or the database could not be told that they failed. Nothing is deleted on such a
moment (I8): the intent stays, and the reaper asks the ledger again. An intent still there was not committed and its bytes go to
the cleanup queue. One that is gone was committed if a copy or the object is of this write; else another's reaper took it, and its
bytes go to the cleanup queue too. Should this process die first, its lease ends and any reaper does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from s3o_proxy.domain.errors import MetadataError


class Forsaken:
    """`settle` is asked again, by the reaper, until it returns."""

    def __init__(self) -> None:
        self._settlements: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}

    def __len__(self) -> int:
        return len(self._settlements)

    def add(self, write_id: str, settle: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._settlements[write_id] = settle

    async def settle_all(self) -> int:
        """Settle what can be settled now; returns how many. Raises the ledger's first error; one write that cannot be settled
        keeps no other from it."""
        settled = 0
        failure: MetadataError | None = None
        for write_id, settle in list(self._settlements.items()):
            try:
                await settle()
            except MetadataError as error:
                failure = failure or error
                continue
            if self._settlements.get(write_id) is settle:  # Else it was forsaken again meanwhile, and that is not settled.
                del self._settlements[write_id]
            settled += 1
        if failure is not None:
            raise failure
        return settled
