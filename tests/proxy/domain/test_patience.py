"""How long is waited for an answer, and for what nobody waits for any more."""

from __future__ import annotations

from typing import get_args

import pytest

from s3o_proxy.domain.patience import Making, answer_ms, settle_ms


@pytest.mark.parametrize(
    ("asked", "request_ms", "settles_ms"),
    [
        ("PutObject", 30_000, 60_000),
        ("PutObject", 1, 60_000),
        ("UploadPart", 90_000, 120_000),
        ("CreateMultipartUpload", 30_000, 60_000),
        ("CopyObject", 30_000, 330_000),
        ("CompleteMultipartUpload", 90_000, 930_000),
        ("CopyObject", 1, 60_000),
    ],
)
def test_what_nobody_waits_for_settles_after_a_minute_or_as_long_as_it_may_take(asked: Making, request_ms: int, settles_ms: int) -> None:
    assert settle_ms(asked, request_ms) == settles_ms


@pytest.mark.parametrize("asked", get_args(Making))
@pytest.mark.parametrize("request_ms", [1, 30_000, 3_600_000])
def test_nothing_settles_before_its_answer_would_have_been_given_up(asked: Making, request_ms: int) -> None:
    assert settle_ms(asked, request_ms) > answer_ms(asked, request_ms)
