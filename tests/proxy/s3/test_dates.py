"""The forms of time, there and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.s3 import dates
from s3o_proxy.s3.dates import amz_date, http_date, iso_date, parse_amz_date, parse_http_date

SEVENTY_YEARS_MS = 70 * 365 * 86_400_000
NOVEMBER_1994_MS = 784_111_777_000


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994"]
)
def test_the_three_forms_of_http(text: str) -> None:
    assert parse_http_date(text) == NOVEMBER_1994_MS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
    ],
)
def test_other_forms_are_no_date(text: str) -> None:
    assert parse_http_date(text) is None


def test_a_long_text_is_not_even_remembered() -> None:
    before = dates._parse_http_date.cache_info().currsize + dates._parse_amz_date.cache_info().currsize
    assert parse_http_date("x" * 60_000) is None
    assert parse_amz_date("2" * 60_000) is None
    assert dates._parse_http_date.cache_info().currsize + dates._parse_amz_date.cache_info().currsize == before


def test_a_leap_second_is_the_last_of_its_minute() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_http_date("Sat, 31 Dec 2016 23:59:59 GMT")


def test_how_they_are_written() -> None:
    assert http_date(NOVEMBER_1994_MS + 999) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert iso_date(NOVEMBER_1994_MS + 999) == "1994-11-06T08:49:37.000Z"
    assert amz_date(NOVEMBER_1994_MS + 999) == "19941106T084937Z"


@given(st.integers(0, SEVENTY_YEARS_MS))
def test_there_and_back(epoch_ms: int) -> None:
    whole_ms = epoch_ms // 1000 * 1000
    assert iso_date(epoch_ms) == f"{datetime.fromtimestamp(whole_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    assert parse_http_date(http_date(epoch_ms)) == whole_ms
    assert parse_amz_date(amz_date(epoch_ms)) == whole_ms


@given(st.text(max_size=40))
def test_random_text_is_no_date_and_no_trouble(text: str) -> None:
    assert parse_http_date(text) is None
    assert parse_amz_date(text) is None


@pytest.mark.parametrize(
    "text", ["20260320T170945", "20261301T000000Z", "20260230T000000Z", "2026-03-20T17:09:45Z", "\u0662\u06602\u066620320T170945Z"]
)
def test_other_forms_are_no_signing_time(text: str) -> None:
    assert parse_amz_date(text) is None
