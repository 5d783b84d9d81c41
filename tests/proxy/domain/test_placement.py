"""Which backends may take a write, and in which order they are asked."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.errors import NoBackendAccepts, NoBackends, ObjectTooLarge
from s3o_proxy.domain.model import Usage
from s3o_proxy.domain.placement import MIN_PART_BYTES, Candidate, free_bytes, rank, rank_for_upload

A = Candidate("a", True, 100, None)
B = Candidate("b", True, 1000, None)
CORDONED = Candidate("c", False, 1000, None)
UNLIMITED = Candidate("u", True, None, None)


def names(ranked: list[Candidate]) -> list[str]:
    return [candidate.name for candidate in ranked]


def test_pack_keeps_the_configured_order_whatever_is_used() -> None:
    usage = {"a": Usage("a", used_bytes=99), "b": Usage("b")}
    assert names(rank([A, B], usage, "Pack", 1)) == ["a", "b"]


def test_spread_asks_the_emptiest_share_first() -> None:
    usage = {"a": Usage("a", used_bytes=10), "b": Usage("b", used_bytes=50)}
    assert names(rank([A, B], usage, "Spread", 1)) == ["b", "a"]


@pytest.mark.parametrize("held", [{"used_bytes": 60}, {"orphan_bytes": 60}, {"reserved_bytes": 60}])
def test_orphans_and_reservations_fill_a_backend_as_live_bytes_do(held: dict[str, int]) -> None:
    usage = {"a": Usage("a", **held), "b": Usage("b", used_bytes=500)}
    assert names(rank([A, B], usage, "Spread", 1)) == ["b", "a"]


def test_unlimited_backends_share_by_bytes() -> None:
    other = Candidate("v", True, None, None)
    usage = {"u": Usage("u", used_bytes=10), "v": Usage("v", used_bytes=9)}
    assert names(rank([UNLIMITED, other], usage, "Spread", 1)) == ["v", "u"]


def test_equal_shares_keep_the_configured_order() -> None:
    assert names(rank([B, A], {}, "Spread", 1)) == ["b", "a"]


def test_a_cordoned_backend_takes_nothing() -> None:
    assert names(rank([CORDONED, A], {}, "Pack", 1)) == ["a"]


def test_an_object_larger_than_a_backend_allows_goes_elsewhere() -> None:
    small_only = Candidate("s", True, 1000, 10)
    assert names(rank([small_only, B], {}, "Pack", 11)) == ["b"]
    assert names(rank([small_only, B], {}, "Pack", 10)) == ["s", "b"]


def test_three_reasons_for_no_space_are_three_errors() -> None:
    with pytest.raises(NoBackends, match="no backend is configured"):
        rank([], {}, "Pack", 1)
    with pytest.raises(NoBackendAccepts, match="c cordoned"):
        rank([CORDONED], {}, "Pack", 1)
    with pytest.raises(ObjectTooLarge, match=r"1001 bytes.*allows is 1000"):
        rank([A, B, CORDONED], {}, "Pack", 1001)


def test_an_upload_begins_where_a_part_has_room() -> None:
    tight = Candidate("t", True, MIN_PART_BYTES, None)
    usage = {"t": Usage("t", used_bytes=1)}
    assert names(rank_for_upload([tight, UNLIMITED], usage, "Pack")) == ["u", "t"]


def test_an_upload_never_begins_on_a_full_backend() -> None:
    assert rank_for_upload([A], {"a": Usage("a", used_bytes=100)}, "Pack") == []


def test_free_bytes_are_never_negative() -> None:
    assert free_bytes(A, {"a": Usage("a", used_bytes=101)}) == 0
    assert free_bytes(A, {}) == 100
