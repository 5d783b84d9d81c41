"""What makes a list of finished parts acceptable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from s3o_proxy.domain.errors import InvalidPart, PartTooSmall
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Part
from s3o_proxy.domain.placement import MIN_PART_BYTES


@frozen
class FinishedPart:
    """One member of a Complete as the client lists it: unquoted ETag, checksums by algorithm (base64)."""

    part_number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


def chosen_parts(finished: Sequence[FinishedPart], stored: Mapping[int, Part]) -> tuple[Part, ...]:
    """The stored parts that `finished` names, in its (ascending) order.

    Raises InvalidPart for one that is not there or differs, PartTooSmall for one below the minimum that is not the last.
    """
    chosen = tuple(_matching(each, stored) for each in finished)
    for part in chosen[:-1]:
        if part.size_bytes < MIN_PART_BYTES:
            raise PartTooSmall(part.part_number, part.size_bytes, MIN_PART_BYTES)
    return chosen


def _matching(finished: FinishedPart, stored: Mapping[int, Part]) -> Part:
    part = stored.get(finished.part_number)
    if part is None or part.etag != finished.etag:
        raise InvalidPart(finished.part_number)
    held = {**part.digests.checksums, "CRC64NVME": part.digests.content_hash}
    if any(held.get(algorithm) != value for algorithm, value in finished.checksums.items()):
        raise InvalidPart(finished.part_number)
    return part
