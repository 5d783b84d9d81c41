"""Preconditions of reads, in the order of RFC 9110 §13.2.2."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.errors import PreconditionFailed
from s3o_proxy.domain.read_conditions import ReadConditions, Reading, evaluate

MODIFIED = 1_700_000_000_500
BEFORE, AFTER = MODIFIED - 60_000, MODIFIED + 60_000


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (ReadConditions(), Reading.PROCEED),
        (ReadConditions(if_match=("e",)), Reading.PROCEED),
        (ReadConditions(if_match=("x", "e")), Reading.PROCEED),
        (ReadConditions(if_match=("*",)), Reading.PROCEED),
        (ReadConditions(if_none_match=("x",)), Reading.PROCEED),
        (ReadConditions(if_none_match=("e",)), Reading.NOT_MODIFIED),
        (ReadConditions(if_none_match=("W/e",)), Reading.NOT_MODIFIED),
        (ReadConditions(if_none_match=("*",)), Reading.NOT_MODIFIED),
        (ReadConditions(if_modified_since_ms=BEFORE), Reading.PROCEED),
        (ReadConditions(if_modified_since_ms=AFTER), Reading.NOT_MODIFIED),
        (ReadConditions(if_unmodified_since_ms=AFTER), Reading.PROCEED),
        # AWS, GetObject: both hold although one fails alone.
        (ReadConditions(if_match=("e",), if_unmodified_since_ms=BEFORE), Reading.PROCEED),
        (ReadConditions(if_none_match=("x",), if_modified_since_ms=AFTER), Reading.PROCEED),
    ],
)
def test_reading(conditions: ReadConditions, expected: Reading) -> None:
    assert evaluate(conditions, "e", MODIFIED) is expected


@pytest.mark.parametrize(
    ("conditions", "named"),
    [
        (ReadConditions(if_match=("x",)), "If-Match"),
        (ReadConditions(if_match=("W/e",)), "If-Match"),
        (ReadConditions(if_unmodified_since_ms=BEFORE), "If-Unmodified-Since"),
        (ReadConditions(if_match=("x",), if_none_match=("e",)), "If-Match"),
    ],
)
def test_refusals(conditions: ReadConditions, named: str) -> None:
    with pytest.raises(PreconditionFailed) as refusal:
        evaluate(conditions, "e", MODIFIED)
    assert refusal.value.condition == named


def test_dates_compare_in_whole_seconds() -> None:
    """A client sends back the Last-Modified it was given, which has no milliseconds."""
    assert evaluate(ReadConditions(if_modified_since_ms=1_700_000_000_000), "e", MODIFIED) is Reading.NOT_MODIFIED
    assert evaluate(ReadConditions(if_unmodified_since_ms=1_700_000_000_000), "e", MODIFIED) is Reading.PROCEED
