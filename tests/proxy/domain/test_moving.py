"""Where an object may move, and why it may not."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.model import Copy, Description, Digests, StoredObject, Usage
from s3o_proxy.domain.moving import Moved, Outcome, targets
from s3o_proxy.domain.placement import Candidate

ALL = [Candidate("a", True, None, None), Candidate("b", True, 100, None), Candidate("c", True, 100, 10), Candidate("d", False, None, None)]


def stored(size: int, *backends: str) -> StoredObject:
    copies = tuple(Copy(name, "k", size) for name in backends)
    return StoredObject("photos", "k", "w", size, "e", 0, Description(), Digests("h"), copies)


def test_those_without_a_copy_are_ranked_as_a_write_would() -> None:
    found = targets(stored(5, "a"), ALL, {"a"}, {"b": Usage("b", used_bytes=50)}, "Spread")
    assert isinstance(found, list)
    assert [each.name for each in found] == ["c", "b"]


@pytest.mark.parametrize(
    ("size", "holds", "closed", "outcome"),
    [
        (5, ["a"], {"a", "b", "c"}, "no_room"),
        (5, ["a", "b", "c"], {"a"}, "nowhere"),
        (101, ["a"], {"a"}, "too_large"),
    ],
)
def test_where_none_may_take_it_the_outcome_says_why(size: int, holds: list[str], closed: set[str], outcome: Outcome) -> None:
    found = targets(stored(size, *holds), ALL, closed, {}, "Pack")
    assert isinstance(found, Moved)
    assert found.outcome == outcome
    assert found.error
