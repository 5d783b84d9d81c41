"""An upload is complete when its source has ended with the bytes that were promised, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.s3_client import EndlessBody, body

from s3o_proxy.backends.upload import Upload
from s3o_proxy.domain.errors import ClientDisconnected


async def test_the_last_piece_is_let_go_when_the_source_has_ended() -> None:
    ended = False

    async def source() -> AsyncIterator[bytes]:
        nonlocal ended
        yield b"first"
        yield b""
        yield b"last"
        ended = True

    upload = Upload(source(), 9)
    assert await anext(upload) == b"first"
    assert not upload.complete
    assert await anext(upload) == b"last"
    assert ended
    assert upload.complete
    assert [piece async for piece in upload] == []


async def test_an_empty_body_is_drained() -> None:
    upload = Upload(body(), 0)
    await upload.drain()
    assert upload.complete


@pytest.mark.parametrize("size_bytes", [0, 6, 8])
async def test_another_size_than_promised_fails_before_the_end(size_bytes: int) -> None:
    upload = Upload(body(b"cont", b"ent"), size_bytes)
    with pytest.raises(ValueError, match="bytes"):
        _ = [piece async for piece in upload]
    assert isinstance(upload.failure, ValueError)
    assert not upload.complete


async def test_what_the_source_raises_is_kept() -> None:
    broken = ClientDisconnected("gone")

    async def source() -> AsyncIterator[bytes]:
        yield b"cont"
        raise broken

    upload = Upload(source(), 7)
    with pytest.raises(ClientDisconnected):
        _ = [piece async for piece in upload]
    assert upload.failure is broken


async def test_settled_waits_until_nobody_is_in_the_source() -> None:
    source = EndlessBody(b"first")
    upload = Upload(source, 100)
    writer = asyncio.create_task(upload.drain())
    await source.stuck.wait()
    writer.cancel()
    await upload.settled()
    assert source.left.is_set()
    assert upload.failure is None, "being cut off is no failure of the source"
    await asyncio.wait([writer])
