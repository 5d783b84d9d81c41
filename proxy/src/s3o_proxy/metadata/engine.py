"""What the ledger needs of an engine: run stories, as a transaction or as reads."""

from __future__ import annotations

from typing import Protocol, TypeVar

from s3o_proxy.metadata.identity import Identity
from s3o_proxy.metadata.story import Steps

T = TypeVar("T")


class Engine(Protocol):
    """`remote`: a statement is a round trip, so lookups are worth gathering. `identity`: all but `identify` raise DatabaseReplaced when the
    database is not the one that is expected."""

    remote: bool
    identity: Identity

    async def transact(self, steps: Steps[T]) -> T:
        """One durable transaction. Raises Refused, MetadataUnavailable or OutcomeUnknown, or what the story raises; on anything but
        OutcomeUnknown it is rolled back. Called by one task at a time."""
        ...

    async def read(self, steps: Steps[T]) -> T:
        """Short reads, outside a transaction. Raises Refused, MetadataUnavailable, or what the story raises."""
        ...

    async def scan(self, steps: Steps[T]) -> T:
        """As `read`, for pages that may take a while."""
        ...

    async def survey(self, steps: Steps[T]) -> T:
        """As `read`, for what looks at whole tables; all its statements see one moment."""
        ...

    async def identify(self) -> None:
        """Have the database say now which one it is. Raises DatabaseReplaced, and what `read` raises."""
        ...

    async def close(self) -> None: ...
