"""Continuation tokens come back as they went, and nothing else is one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import refusal_of

from s3o_proxy.s3.tokens import decode_token, encode_token


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_there_and_back(last: str) -> None:
    assert decode_token(encode_token(last)) == last


def test_a_token_tells_no_key_to_the_eye_and_needs_no_escape() -> None:
    token = encode_token("secret/key+name")
    assert "secret" not in token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_anything_else_is_refused(token: str) -> None:
    error = refusal_of("InvalidArgument", decode_token, token)
    assert error.message == "The continuation token provided is incorrect"


@pytest.mark.parametrize("position", range(0, 20, 3))
def test_a_changed_token_is_refused(position: int) -> None:
    token = encode_token("photos/2026/march")
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
    refusal_of("InvalidArgument", decode_token, changed)
