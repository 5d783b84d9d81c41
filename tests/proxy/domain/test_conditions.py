"""Conditional writes, as a table."""

from __future__ import annotations

import pytest

from s3o_proxy.domain.conditions import refusal
from s3o_proxy.domain.errors import NoSuchKey, PreconditionFailed
from s3o_proxy.domain.model import Conditions


@pytest.mark.parametrize(
    ("current_etag", "conditions"),
    [
        (None, Conditions()),
        ("a", Conditions()),
        (None, Conditions(if_none_match="*")),
        (None, Conditions(if_none_match="a")),
        ("a", Conditions(if_none_match="b")),
        ("a", Conditions(if_match="a")),
        ("a", Conditions(if_match="*")),
        ("a", Conditions(if_match="a", if_none_match="b")),
    ],
)
def test_a_condition_that_holds_lets_the_write_pass(current_etag: str | None, conditions: Conditions) -> None:
    assert refusal("bucket", "key", current_etag, conditions) is None


@pytest.mark.parametrize(
    ("current_etag", "conditions", "header"),
    [
        ("a", Conditions(if_none_match="*"), "If-None-Match"),
        ("a", Conditions(if_none_match="a"), "If-None-Match"),
        ("a", Conditions(if_match="b"), "If-Match"),
        ("a", Conditions(if_match="b", if_none_match="*"), "If-Match"),
        ("a", Conditions(if_match="a", if_none_match="*"), "If-None-Match"),
    ],
)
def test_a_condition_that_does_not_hold_is_named(current_etag: str, conditions: Conditions, header: str) -> None:
    error = refusal("bucket", "key", current_etag, conditions)
    assert isinstance(error, PreconditionFailed)
    assert error.condition == header


@pytest.mark.parametrize("if_match", ["a", "*"])
def test_if_match_on_nothing_is_no_such_key(if_match: str) -> None:
    assert isinstance(refusal("bucket", "key", None, Conditions(if_match=if_match)), NoSuchKey)
