"""Which backends may take a write, and in which order to ask them.

Ranking works on what is known in memory and may be a moment old; the reservation that follows decides to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from s3o_proxy.domain.errors import NoBackendAccepts, NoBackends, ObjectTooLarge
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Usage

Strategy = Literal["Pack", "Spread"]

MIN_PART_BYTES = 5 * 1024**2
"""S3's least size of every part but the last (AWS: "Amazon S3 multipart upload limits")."""


@frozen
class Candidate:
    """A backend as placement sees it. `quota_bytes` None: unlimited."""

    name: str
    accepts_writes: bool
    quota_bytes: int | None
    max_object_size_bytes: int | None

    @property
    def largest_bytes(self) -> int | None:
        """The largest object it could ever take; None: any."""
        limits = [limit for limit in (self.quota_bytes, self.max_object_size_bytes) if limit is not None]
        return min(limits, default=None)


def rank(candidates: Sequence[Candidate], usage: Mapping[str, Usage], strategy: Strategy, size_bytes: int) -> list[Candidate]:
    """The candidates that could take `size_bytes`, best first. `candidates` come in Pack order.

    Raises NoBackends, NoBackendAccepts or ObjectTooLarge: three of the four reasons for "no space". The fourth, QuotaExceeded, is
    only known after every ranked backend declined a reservation.
    """
    if not candidates:
        raise NoBackends
    accepting = [candidate for candidate in candidates if candidate.accepts_writes]
    if not accepting:
        raise NoBackendAccepts(tuple(candidate.name for candidate in candidates))
    fitting = [candidate for candidate in accepting if candidate.largest_bytes is None or size_bytes <= candidate.largest_bytes]
    if not fitting:
        raise ObjectTooLarge(size_bytes, max(candidate.largest_bytes or 0 for candidate in accepting))
    if strategy == "Spread":
        fitting.sort(key=lambda candidate: _fullness(candidate, usage))
    return fitting


def rank_for_upload(candidates: Sequence[Candidate], usage: Mapping[str, Usage], strategy: Strategy) -> list[Candidate]:
    """As `rank`, for a multipart upload, whose size nobody knows yet and whose parts all go where it begins.

    Backends with room for at least one full part come first; those that are full to the last byte come not at all.
    """
    ranked = rank(candidates, usage, strategy, 0)
    roomy = [candidate for candidate in ranked if free_bytes(candidate, usage) >= MIN_PART_BYTES]
    tight = [candidate for candidate in ranked if 0 < free_bytes(candidate, usage) < MIN_PART_BYTES]
    return roomy + tight


def free_bytes(candidate: Candidate, usage: Mapping[str, Usage]) -> int:
    """What its quota leaves, by the usage known here; a very large number where there is no quota."""
    if candidate.quota_bytes is None:
        return 1 << 62
    return max(0, candidate.quota_bytes - _held(candidate, usage))


def _fullness(candidate: Candidate, usage: Mapping[str, Usage]) -> tuple[float, int]:
    held = _held(candidate, usage)
    ratio = held / candidate.quota_bytes if candidate.quota_bytes else 0.0
    # Unlimited backends are never full: among themselves they share by bytes.
    return ratio, held


def _held(candidate: Candidate, usage: Mapping[str, Usage]) -> int:
    known = usage.get(candidate.name)
    return known.held_bytes if known else 0
