"""`${NAME}` in a Secret's value, and nothing else, comes from the environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.config.environment import Unresolved, expand

ENVIRONMENT = {"KEY": "value", "_k2": "${KEY}", "EMPTY": ""}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${KEY}", "value"),
        ("a${KEY}b${KEY}", "avaluebvalue"),
        ("${EMPTY}", ""),
        ("${_k2}", "${KEY}"),  # what comes from the environment is not read again
        ("pa$word", "pa$word"),
        ("$KEY", "$KEY"),
        ("ends with $", "ends with $"),
        ("$$", "$"),
        ("$${KEY}", "${KEY}"),
        ("$$$$", "$$"),
        ("}{", "}{"),
    ],
)
def test_only_braces_refer_and_two_dollars_are_one(written: str, meant: str) -> None:
    assert expand(written, ENVIRONMENT) == meant


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("x${MISSING}", "the environment variable MISSING is not set"),
        ("${hunter22", "is not closed"),
        ("${hunter-22}", "must stand the name"),
        ("${}", "must stand the name"),
        ("${KEY:-hunter22}", "must stand the name"),
    ],
)
def test_what_cannot_be_resolved_is_an_error_that_does_not_repeat_the_value(written: str, reason: str) -> None:
    with pytest.raises(Unresolved, match=reason) as caught:
        expand(written, ENVIRONMENT)
    assert "hunter" not in str(caught.value)


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text
