"""The time by which all that is written to the ledger is dated and judged: that of its database, whatever the machines show.

A lease, a claim or a deletion that is due is written by one process and judged by another. Were each to go by its own machine, one
that is half a minute ahead would take every living process for dead. So the database is asked for its time now and then, and in
between a process counts its own ticks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from s3o_proxy.domain.errors import MetadataUnavailable

STEP_MS = 2_000
"""A correction by more than that is no imprecision: the database's clock was set, or another machine is the database now."""


class LedgerClock:
    """`ask`: what the database's clock shows, in milliseconds since the epoch. `ticks`: milliseconds since some moment; they never jump.

    It may be set back, as far as the database's clock was. Nothing in the ledger is in order by it alone.
    """

    def __init__(self, ask: Callable[[], Awaitable[int]], ticks: Callable[[], int]) -> None:
        self._ask, self._ticks = ask, ticks
        self._shift: int | None = None
        """Of the database's time over our ticks."""
        self._steady_since = 0

    def now_ms(self) -> int:
        """Raises MetadataUnavailable before it was set: a time that nobody else goes by must not be written."""
        if self._shift is None:
            raise MetadataUnavailable("the database has not told its time yet")
        return self._ticks() + self._shift

    async def set(self) -> int:
        """Ask the database, and go by that from now on. Returns its answer, which is older than now, by as long as that took to come.
        Raises MetadataError."""
        asked = self._ticks()
        said = await self._ask()
        least, most = said - self._ticks(), said + 1 - asked
        # What was known before stands, unless the answer proves it wrong: one that was long on its way proves little.
        shift = least if self._shift is None else min(max(self._shift, least), most)
        if self._shift is None or abs(shift - self._shift) > STEP_MS:
            self._steady_since = asked
        self._shift = shift
        return said

    def steady_ms(self) -> int:
        """For how long the database's clock has only gone on: times that others wrote before go by another clock."""
        return 0 if self._shift is None else self._ticks() - self._steady_since
