"""What an operation is carried out with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Copy, StoredObject, Usage
from s3o_proxy.domain.moving import Moved
from s3o_proxy.domain.operation import Operation
from s3o_proxy.domain.patience import Making
from s3o_proxy.domain.placement import Candidate, Strategy
from s3o_proxy.metadata.port import Metadata

Move = Callable[[StoredObject, Copy, Sequence[Candidate]], Awaitable[Moved]]
"""Moves a copy to the first of the candidates that takes it; what goes wrong with a backend is an outcome."""


class Placing(Protocol):
    """Of the configuration of this moment: the backends in Pack order, how to choose among them, and which generation says so; and which
    buckets are served."""

    @property
    def candidates(self) -> Sequence[Candidate]: ...

    @property
    def strategy(self) -> Strategy: ...

    @property
    def generation(self) -> int: ...

    def serves(self, bucket: str) -> bool: ...

    def settle_ms(self, asked: Making) -> int:
        """How long what was asked of any backend may still come to be there, once nobody waits for the answer."""
        ...


class OperationMeter(Protocol):
    def set_operations(self, active: Iterable[Operation]) -> None:
        """Those that have not ended, where this process carries them out."""
        ...

    def copy_moved(self, source: str, target: str, size_bytes: int) -> None: ...


@frozen
class Means:
    """`usage`: what the backends are believed to hold, for ranking alone."""

    metadata: Metadata
    move: Move
    placing: Callable[[], Placing]
    usage: Callable[[], Mapping[str, Usage]]
    clock: Callable[[], int]
    wake_cleanup: Callable[[], None]
    meter: OperationMeter
