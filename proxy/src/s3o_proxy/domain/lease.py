"""What a process knows of its own lease without asking the ledger: that it lasts, and since when.

While the lease `instance/<id>` lasts, nobody takes our intents and claims for those of the dead. It may have ended unnoticed: the database
was away, or we stood still. So it is held against a clock that nobody sets, and that goes on while the machine sleeps.
"""

from __future__ import annotations

from collections.abc import Callable

from s3o_proxy.domain.errors import MetadataUnavailable

LEASE_MS = 30_000


class OwnLease:
    """`ticks`: milliseconds since some moment; they never jump."""

    def __init__(self, ticks: Callable[[], int]) -> None:
        self._ticks = ticks
        self._since: int | None = None
        self._steady_since: int | None = None
        self._asked = self._until = 0

    def now(self) -> int:
        return self._ticks()

    def renewed(self, asked: int) -> None:
        """The ledger renewed it; it was asked at `asked` ticks."""
        if self._since is None or asked >= self._until:
            self._since = asked
        if self._steady_since is None or asked - self._asked > LEASE_MS // 2:
            self._steady_since = asked
        self._asked, self._until = asked, asked + LEASE_MS

    def steady_ms(self) -> int:
        """For how long it was renewed with ease, up to now; 0 where it does not last.

        Where it took more than half of it, others who asked a little earlier and come back a little later may have lost theirs.
        """
        now = self._ticks()
        return now - self._steady_since if self._steady_since is not None and now < self._until else 0

    def lasts_since(self, ticks: int) -> bool:
        return self._since is not None and self._since <= ticks and self._ticks() < self._until

    def require(self) -> None:
        """Raises MetadataUnavailable where others may take us for dead: bytes that arrived from now on might be mentioned by no row."""
        if self._ticks() >= self._until:
            raise MetadataUnavailable("the lease of this process ended: it could not be renewed in time")
