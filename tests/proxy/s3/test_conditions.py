"""ETags, dates and ranges as clients write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import refusal_of

from s3o_proxy.domain.errors import PreconditionFailed
from s3o_proxy.domain.model import Conditions
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions, Reading, evaluate
from s3o_proxy.s3.conditions import (
    parse_copy_range,
    parse_etags,
    parse_range,
    quote_etag,
    range_conditions,
    read_conditions,
    unquote_etag,
    write_conditions,
)
from s3o_proxy.s3.errors import S3Error

AT, AT_MS = "Fri, 20 Mar 2026 17:09:45 GMT", 1_774_026_585_000


@pytest.mark.parametrize(
    ("value", "etags"),
    [
        ("", ("",)),
        ("*", ("*",)),
        ('"*"', ("*",)),
        ('"a"', ("a",)),
        ("a", ("a",)),
        ('"a","b"', ("a", "b")),
        ('"a" ,  W/"b", c', ("a", "W/b", "c")),
        ('"a,b"', ("a,b",)),
        ('""', ("",)),
        ('"a" "b"', ("",)),
        ('"open', ("",)),
        ('"a", "open', ("a", "")),
    ],
)
def test_etags(value: str, etags: tuple[str, ...]) -> None:
    assert parse_etags(value) == etags


def test_quotes() -> None:
    assert (quote_etag("a"), unquote_etag('"a"'), unquote_etag("a"), unquote_etag('"'), unquote_etag(' "a-2" ')) == (
        '"a"',
        "a",
        "a",
        '"',
        "a-2",
    )


def test_conditions_of_a_read() -> None:
    headers = {"if-match": '"a"', "if-none-match": "*", "if-modified-since": AT, "if-unmodified-since": AT}
    assert read_conditions(headers) == ReadConditions(("a",), ("*",), AT_MS, AT_MS)
    assert read_conditions(
        {"x-amz-copy-source-" + name: value for name, value in headers.items()}, "x-amz-copy-source-"
    ) == read_conditions(headers)


@pytest.mark.parametrize("value", ["", "a b", '"unclosed', '"x" y'])
@pytest.mark.parametrize("prefix", ["", "x-amz-copy-source-"])
def test_what_names_no_etag_matches_nothing(prefix: str, value: str) -> None:
    """Bug: it counted as no condition, and the read, or the copy, went ahead."""
    with pytest.raises(PreconditionFailed):
        evaluate(read_conditions({prefix + "if-match": value}, prefix), "current", AT_MS)
    unlike = read_conditions({prefix + "if-none-match": value, prefix + "if-modified-since": AT}, prefix)
    assert evaluate(unlike, "current", AT_MS) is Reading.PROCEED, "a date does not count beside ETags, however they are written"


def test_a_date_that_cannot_be_read_is_no_condition() -> None:
    assert read_conditions({"if-modified-since": "yesterday", "if-unmodified-since": ""}) == ReadConditions()


@pytest.mark.parametrize(
    ("value", "conditions"),
    [
        ("", ReadConditions(if_match=("",))),
        ('"a"', ReadConditions(if_match=("a",))),
        ('W/"a"', ReadConditions(if_match=("W/a",))),
        (AT, ReadConditions(if_unmodified_since_ms=AT_MS)),
        ('"', ReadConditions(if_match=("",))),
    ],
)
def test_if_range(value: str, conditions: ReadConditions) -> None:
    assert range_conditions({"if-range": value}) == conditions


@pytest.mark.parametrize(
    ("headers", "conditions"),
    [
        ({}, Conditions()),
        ({"if-none-match": "*"}, Conditions(if_none_match="*")),
        ({"if-none-match": '"*"'}, Conditions(if_none_match="*")),
        ({"if-match": '"a"'}, Conditions(if_match="a")),
        ({"if-match": "a-7"}, Conditions(if_match="a-7")),
        ({"if-match": "*"}, Conditions(if_match="*")),
    ],
)
def test_conditions_of_a_write(headers: dict[str, str], conditions: Conditions) -> None:
    assert write_conditions(headers) == conditions


@pytest.mark.parametrize(
    "headers",
    [{"if-none-match": '"a"'}, {"if-match": '"a", "b"'}, {"if-modified-since": AT}, {"if-unmodified-since": AT}, {"if-none-match": ""}],
)
def test_a_condition_that_a_write_cannot_have_is_never_ignored(headers: dict[str, str]) -> None:
    error = refusal_of("NotImplemented", write_conditions, headers)
    assert error.extra["Header"].lower() in headers


@pytest.mark.parametrize("value", ["", '""', "a b", '"unclosed', '"a", "unclosed'])
def test_an_if_match_that_names_no_etag_is_no_condition_but_a_mistake(value: str) -> None:
    refusal_of("InvalidArgument", write_conditions, {"if-match": value})


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        ("bytes=0-9", RangeSpec(0, 9)),
        ("bytes=5-", RangeSpec(5, None)),
        ("bytes=-5", RangeSpec(None, 5)),
        ("bytes=-0", RangeSpec(None, 0)),
        ("Bytes=0-0", RangeSpec(0, 0)),
        (" bytes=1-2 ", RangeSpec(1, 2)),
        ("bytes=0-" + "9" * 5000, RangeSpec(0, 10**18)),
    ],
)
def test_ranges(value: str, spec: RangeSpec) -> None:
    assert parse_range(value) == spec


@pytest.mark.parametrize(
    "value", [None, "", "bytes", "bytes=", "bytes=-", "bytes=9-5", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=٣-٤", "bytes 0-1"]
)
def test_ranges_that_s3_ignores(value: str | None) -> None:
    assert parse_range(value) is None


def test_ranges_of_a_copy_source() -> None:
    assert parse_copy_range(None) is None
    assert parse_copy_range("bytes=0-0") == (0, 0)


@pytest.mark.parametrize("value", ["", "0-5", "bytes=5-", "bytes=-5", "bytes=5-4", "bytes=0-1,2-3", "bytes=a-b"])
def test_ranges_of_a_copy_source_are_strict(value: str) -> None:
    assert refusal_of("InvalidArgument", parse_copy_range, value).extra["ArgumentName"] == "x-amz-copy-source-range"


@given(st.text(max_size=60))
def test_nothing_but_an_error_of_s3(text: str) -> None:
    parse_etags(text)
    parse_range(text)
    read_conditions({"if-match": text, "if-modified-since": text})
    range_conditions({"if-range": text})
    for parse in (lambda: parse_copy_range(text), lambda: write_conditions({"if-match": text, "if-none-match": text})):
        with suppress(S3Error):
            parse()
