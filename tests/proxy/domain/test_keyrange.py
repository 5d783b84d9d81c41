"""Ranges of keys: Python's order is the order of UTF-8 bytes, and every bound is the least one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.domain.keyrange import BEHIND_ALL, key_range, successor

# What a key may hold: no NUL, no surrogates. Weighted towards the edges of the encoding.
letters = st.sampled_from("ab/%_\\é\ud7ff\ue000\uffff\U00010000\U0010ffff\x01\x7f") | st.characters(
    exclude_categories=["Cs"], exclude_characters="\0"
)
texts = st.text(letters, max_size=6)


@given(texts, texts)
def test_code_point_order_is_byte_order(one: str, other: str) -> None:
    assert (one < other) == (one.encode() < other.encode())


@given(texts, texts)
def test_a_key_lies_below_the_successor_exactly_when_it_starts_with_the_prefix(prefix: str, key: str) -> None:
    assert (prefix <= key < successor(prefix)) == key.startswith(prefix)


@given(texts, texts)
def test_the_successor_is_the_least_bound(prefix: str, key: str) -> None:
    assert prefix + key < successor(prefix)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", BEHIND_ALL),
        ("a", "b"),
        ("a/", "a0"),
        ("a\ud7ff", "a\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", BEHIND_ALL),
    ],
)
def test_successors(prefix: str, expected: str) -> None:
    assert successor(prefix) == expected


@pytest.mark.parametrize(
    ("prefix", "delimiter", "after", "start"),
    [
        ("", "", "", ""),
        ("b", "", "", "b"),
        ("b", "", "a", "b"),
        ("b", "", "bc", "bc\x01"),
        ("", "/", "a/", "a0"),  # a common prefix of this listing: all below it was shown
        ("", "/", "a/b", "a/b\x01"),  # inside one: the rest is shown as that prefix
        ("", "/", "a/b/", "a/b/\x01"),
        ("a/", "/", "a/b/", "a/b0"),
        ("a/", "/", "a/", "a/\x01"),  # the prefix itself is a key, not a group
        ("", "/", "a", "a\x01"),
        ("", "", "a/", "a/\x01"),
    ],
)
def test_where_a_listing_starts(prefix: str, delimiter: str, after: str, start: str) -> None:
    assert key_range(prefix, delimiter, after).start == start


def test_a_listing_behind_its_prefix_is_empty() -> None:
    assert key_range("a", "", "b").empty
    assert not key_range("a", "", "a").empty
