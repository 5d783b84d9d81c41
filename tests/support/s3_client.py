"""Backends over HTTP for tests, and bodies to put."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest
from tests.support.seaweedfs import Adapter, Endpoint

from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.backends.wire.backend import open_backend


class Opener(Protocol):
    def __call__(self, url: str, **changes: Any) -> AbstractAsyncContextManager[S3Backend]:
        """A backend at `url`, closed in the end. `changes`: of its config."""
        ...


ADAPTERS: dict[str, Adapter] = {"aiobotocore": S3Backend.open, "wire": open_backend}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each client that speaks to S3 servers, in its turn."""
    return ADAPTERS[request.param]


@pytest.fixture
def opened(adapter: Adapter) -> Opener:
    @asynccontextmanager
    async def opened(url: str, **changes: Any) -> AsyncIterator[S3Backend]:
        backend = await Endpoint(url, "bucket").open(adapter=adapter, **changes)
        try:
            yield backend
        finally:
            await backend.close()

    return opened


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
