"""Byte ranges: what a client asked for, held against the size there is."""

from __future__ import annotations

from itertools import accumulate

from s3o_proxy.domain.errors import PartNotSatisfiable, RangeNotSatisfiable
from s3o_proxy.domain.frozen import frozen


@frozen
class RangeSpec:
    """One byte range as asked: `first` None means the last `last` bytes; `last` None means to the end (RFC 9110 §14.1.2)."""

    first: int | None
    last: int | None


def resolve(spec: RangeSpec, size_bytes: int) -> tuple[int, int]:
    """The inclusive range that `spec` names in a body of `size_bytes`.

    Raises RangeNotSatisfiable where nothing of it exists (RFC 9110 §14.1.2: a suffix of length 0, a start behind the end).
    """
    if spec.first is None:
        if not spec.last or not size_bytes:
            raise RangeNotSatisfiable(size_bytes)
        return max(0, size_bytes - spec.last), size_bytes - 1
    if spec.first >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    last = size_bytes - 1 if spec.last is None else min(spec.last, size_bytes - 1)
    return spec.first, last


def part_range(part_sizes: tuple[int, ...], part_number: int, size_bytes: int) -> tuple[int, int] | None:
    """Where part `part_number` (from 1) lies; None where that is the whole object. An object without parts is its own part 1. An empty part
    ends before it begins: `last` is `first - 1`.

    Raises PartNotSatisfiable for a part that is not there.
    """
    sizes = part_sizes or (size_bytes,)
    if part_number > len(sizes):
        raise PartNotSatisfiable(part_number, len(sizes))
    end = list(accumulate(sizes))[part_number - 1]
    first = end - sizes[part_number - 1]
    return (first, end - 1) if size_bytes else None
