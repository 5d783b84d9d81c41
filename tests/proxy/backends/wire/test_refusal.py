"""What an error's body says, and what is no error's body."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.backends.wire.refusal import code_and_message


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"<Error><Code>NoSuchKey</Code><Message>not &lt;there&gt;</Message></Error>", ("NoSuchKey", "not <there>")),
        (b'<?xml version="1.0"?>\n<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>A</Code></Error>', ("A", "")),
        (b"<Error><Message/></Error>", ("", "")),
        (b"<html><Code>NoSuchKey</Code></html>", None),
        (b"<ListBucketResult><Error><Code>NoSuchKey</Code></Error></ListBucketResult>", None),
    ],
)
def test_an_error_has_a_code_and_a_message(document: bytes, said: tuple[str, str] | None) -> None:
    assert code_and_message(document) == said


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not found",
        b"<Error><Code>NoSuchKey</Code>",
        b"<!DOCTYPE Error><Error><Code>NoSuchKey</Code></Error>",
        b'<!DOCTYPE e [<!ENTITY a "aaaa">]><Error><Code>&a;</Code></Error>',
        b'<?xml version="1.0" encoding="none-such"?><Error/>',
    ],
)
def test_what_is_no_plain_xml_says_nothing(document: bytes) -> None:
    with pytest.raises(ValueError, match="no XML"):
        code_and_message(document)


@given(st.binary() | st.binary().map(lambda content: b"<Error><Code>" + content + b"</Code></Error>"))
def test_any_bytes_are_an_error_or_none(document: bytes) -> None:
    with contextlib.suppress(ValueError):
        said = code_and_message(document)
        assert said is None or len(said) == 2
