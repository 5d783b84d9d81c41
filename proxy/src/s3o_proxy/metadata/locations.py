"""What this process found of objects a moment ago, so that it need not ask again: where their bytes are, and everything that HEAD answers.

What the process itself changes it forgets at once. What other processes change it notices when the entry is too old, which is why the
configuration has to allow it; a reader whose bytes are gone meanwhile asks the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from s3o_proxy.domain.model import StoredObject
from s3o_proxy.metadata.objects import Address


class Locations:
    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._known: dict[Address, tuple[float, StoredObject]] = {}
        """By age, the oldest first."""
        self._finding: dict[Address, object] = {}

    async def find(
        self, address: Address, ask: Callable[[str, str], Awaitable[StoredObject | None]], *, max_age_ms: int, most: int
    ) -> StoredObject | None:
        """What is known and not older than `max_age_ms`, or else what `ask` says; of that, the latest `most` are remembered."""
        known = self._known.get(address)
        if known is not None and self._now_s() - known[0] < max_age_ms / 1000:
            return known[1]
        # As old as the question, not as the answer: in between, another process may have changed it.
        mine, since_s = object(), self._now_s()
        self._finding[address] = mine
        try:
            found = await ask(*address)
        finally:
            unchanged = self._finding.get(address) is mine
            if unchanged:
                del self._finding[address]
        if unchanged:
            self._known.pop(address, None)
            if found is not None:
                self._known[address] = (since_s, found)
            while len(self._known) > most:
                del self._known[next(iter(self._known))]
        return found

    @contextmanager
    def changing(self, bucket: str, key: str) -> Iterator[None]:
        """Around a change. However it ends, it may have been made: also what is being looked up at that moment is not remembered."""
        try:
            yield
        finally:
            self.forget(bucket, key)

    def forget(self, bucket: str, key: str) -> None:
        self._known.pop((bucket, key), None)
        self._finding.pop((bucket, key), None)
