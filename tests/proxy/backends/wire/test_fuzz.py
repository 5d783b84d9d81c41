"""Whatever a server sends, however it is cut: an answer, or an error of the backend; never a hang, and no second request after nonsense."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.exchanging import Outcome, exchange, final_answers


def run(coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
    return asyncio.run(coroutine)


def cut(content: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(content) + 1) for place in places} | {0, len(content)})
    return [content[first:last] for first, last in itertools.pairwise(at)]


STATUS = st.sampled_from([b"200", b"204", b"206", b"304", b"404", b"500", b"100", b"101", b"199", b"600", b"2", b"-1"])
VERSION = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"ICE/1.0", b"RTSP/1.0"])
LENGTH = st.sampled_from([b"2", b"0", b"30000", b" 2 ", b"+2", b"0x2", b"2, 2", b""]).map(b"Content-Length: ".__add__)
CODING = st.sampled_from([b"chunked", b"Chunked", b"identity", b"chunked, chunked", b"gzip"]).map(b"Transfer-Encoding: ".__add__)
CONNECTION = st.sampled_from([b"close", b"keep-alive", b"upgrade", b"close, keep-alive"]).map(b"Connection: ".__add__)
OTHER = st.sampled_from([b"Upgrade: x", b"Trailer: X", b'ETag: "e"', b"X: \xff", b" folded", b"no colon", b"X : y", b"X: \0"])
BODY = st.sampled_from(
    [b"", b"ok", b"2\r\nok\r\n0\r\n\r\n", b"0\r\n\r\n", b"2;e\r\nok\r\n0\r\nX: y\r\n\r\n", b"ffffffff\r\n", bytes(30_000), bytes(29_999)]
)


def answer(version: bytes, status: bytes, headers: list[bytes], body: bytes) -> bytes:
    return b"%s %s R\r\n%s\r\n%s" % (version, status, b"".join([header + b"\r\n" for header in headers]), body)


ANSWER = st.builds(answer, VERSION, STATUS, st.lists(LENGTH | CODING | CONNECTION | OTHER, max_size=4), BODY)
WHOLE = st.builds(
    lambda status, body: answer(b"HTTP/1.1", status, [b"Content-Length: %d" % len(body)], body),
    st.sampled_from([b"200", b"206", b"404", b"500"]),
    st.binary(max_size=20) | st.just(bytes(30_000)),
)
"""Exactly one answer, as most of them are."""

ANYTHING = WHOLE | st.lists(WHOLE | ANSWER | st.binary(max_size=40), max_size=4).map(b"".join)
CUTS = st.lists(st.integers(0, 100_000), max_size=6)


@given(ANYTHING, CUTS, st.booleans())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", [], False)
@example(b"HTTP/1.1 200 OK\r\n\r\nok", [19], False)
def test_any_bytes_are_an_answer_or_an_error_and_never_a_hang(content: bytes, places: list[int], asks_for_head: bool) -> None:
    outcome = run(exchange(cut(content, places), asks_for_head=asks_for_head))
    assert outcome.failure is not None or 200 <= outcome.status <= 599


@given(ANYTHING, CUTS, st.booleans())
def test_where_it_is_cut_makes_no_difference(content: bytes, places: list[int], asks_for_head: bool) -> None:
    whole = run(exchange([content], asks_for_head=asks_for_head))
    pieces = run(exchange(cut(content, places), asks_for_head=asks_for_head))
    assert whole.seen == pieces.seen


@given(ANYTHING, CUTS)
def test_only_after_exactly_one_whole_answer_is_a_connection_used_again(content: bytes, places: list[int]) -> None:
    outcome = run(exchange(cut(content, places), asks_for_head=False))
    if outcome.reusable:
        assert outcome.failure is None
        assert final_answers(content) == 1
