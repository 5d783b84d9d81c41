"""A body goes on where its object lies now, when what it was read from breaks off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.stories import Stage

from s3o_proxy.domain.errors import BackendUnavailable
from s3o_proxy.domain.operation import Wish
from s3o_proxy.operations.read import OpenBody
from s3o_proxy.s3.operation import GetObject, ObjectRead, PutObject

LARGE = bytes(range(256)) * 4096


async def begun_and_drained(stage: Stage) -> tuple[OpenBody, AsyncIterator[bytes], bytes]:
    """A body that will break off, and what was read of it before its object moved to `second`."""
    await stage.perform(PutObject("photos", "k"), LARGE)
    stage.backends["first"].cut_next_get(300_000)
    answer = await stage.perform(GetObject("photos", "k"))
    assert isinstance(answer, ObjectRead)
    assert isinstance(answer.body, OpenBody)
    pieces = aiter(answer.body)
    begun = await anext(pieces)
    await stage.desk.ask(Wish("Drain", "uid", "t1", "first"))
    await stage.operate()
    assert stage.backends["first"].objects == {}
    return answer.body, pieces, begun


async def the_rest(body: OpenBody, pieces: AsyncIterator[bytes]) -> bytes:
    async with body:
        return b"".join([piece async for piece in pieces])


async def test_a_body_that_breaks_off_goes_on_from_where_the_object_lies_now(stage: Stage) -> None:
    body, pieces, begun = await begun_and_drained(stage)
    assert begun + await the_rest(body, pieces) == LARGE


async def test_a_body_that_breaks_off_and_cannot_be_opened_where_it_lies_now_says_why(stage: Stage) -> None:
    """The call that broke off has been left by then, and is not left a second time."""
    body, pieces, _ = await begun_and_drained(stage)
    stage.backends["second"].fail("get")
    with pytest.raises(BackendUnavailable, match="first"):
        await the_rest(body, pieces)
