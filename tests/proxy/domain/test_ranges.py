"""Byte ranges against a size (RFC 9110 §14.1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.domain.errors import PartNotSatisfiable, RangeNotSatisfiable
from s3o_proxy.domain.ranges import RangeSpec, part_range, resolve


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (RangeSpec(0, 0), (0, 0)),
        (RangeSpec(0, None), (0, 9)),
        (RangeSpec(9, 9), (9, 9)),
        (RangeSpec(5, 100), (5, 9)),
        (RangeSpec(None, 3), (7, 9)),
        (RangeSpec(None, 100), (0, 9)),
    ],
)
def test_of_ten_bytes(spec: RangeSpec, expected: tuple[int, int]) -> None:
    assert resolve(spec, 10) == expected


@pytest.mark.parametrize(
    ("spec", "size"), [(RangeSpec(10, None), 10), (RangeSpec(None, 0), 10), (RangeSpec(0, 0), 0), (RangeSpec(None, 5), 0)]
)
def test_what_cannot_be_satisfied(spec: RangeSpec, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable, match=str(size)):
        resolve(spec, size)


@given(first=st.integers(0, 50), last=st.none() | st.integers(0, 50), size=st.integers(0, 40))
def test_a_resolved_range_names_what_a_slice_names(first: int, last: int | None, size: int) -> None:
    body = bytes(range(size))
    if last is not None and last < first:
        return
    expected = body[first:] if last is None else body[first : last + 1]
    if not expected:
        with pytest.raises(RangeNotSatisfiable):
            resolve(RangeSpec(first, last), size)
    else:
        begin, end = resolve(RangeSpec(first, last), size)
        assert body[begin : end + 1] == expected


def test_parts_of_a_multipart_object() -> None:
    assert part_range((5, 5, 2), 1, 12) == (0, 4)
    assert part_range((5, 5, 2), 3, 12) == (10, 11)
    assert part_range((5, 5, 0), 3, 10) == (10, 9)
    with pytest.raises(PartNotSatisfiable):
        part_range((5, 5, 2), 4, 12)


def test_an_object_without_parts_is_its_own_part_one() -> None:
    assert part_range((), 1, 12) == (0, 11)
    assert part_range((), 1, 0) is None
    with pytest.raises(PartNotSatisfiable):
        part_range((), 2, 12)
