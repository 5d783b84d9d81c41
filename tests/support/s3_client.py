"""Backends over HTTP for tests, and bodies to put."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.seaweedfs import Endpoint

from s3o_proxy.backends.s3 import S3Backend


@asynccontextmanager
async def opened(url: str, **changes: Any) -> AsyncIterator[S3Backend]:
    backend = await Endpoint(url, "bucket").open(**changes)
    try:
        yield backend
    finally:
        await backend.close()


async def body(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def never_pulled() -> AsyncIterator[bytes]:
    pytest.fail("the body was asked for a byte")
    yield b""


class EndlessBody:
    """One piece, then nothing more. `stuck` is set while the next is waited for, `left` when nobody waits any more."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.stuck, self.left = asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        self.stuck.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
