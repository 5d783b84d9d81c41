"""What every backend promises, held against the one in memory, the one over HTTP to a real S3 server, and both behind `guarded`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from tests.support.seaweedfs import SeaweedFS

from s3o_proxy.backends.memory import MemoryBackend
from s3o_proxy.backends.port import Backend
from s3o_proxy.backends.s3 import S3Backend

MIB = 1024 * 1024


@pytest.fixture(params=["memory", "s3"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    seaweedfs: SeaweedFS = request.getfixturevalue("seaweedfs")
    endpoint = seaweedfs.endpoint()
    s3 = await S3Backend.open(endpoint.config("b1"), endpoint.secrets)
    yield s3
    await s3.close()


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def stored(backend: Backend, key: str, content: bytes) -> str:
    return (await backend.put(key, pieces(content), len(content))).etag


async def read(backend: Backend, key: str, byte_range: tuple[int, int] | None = None) -> bytes:
    async with backend.get(key, byte_range) as found:
        content = b"".join([piece async for piece in found.body])
        assert len(content) == found.size_bytes
        return content


async def keys(backend: Backend, prefix: str = "") -> list[str]:
    return [found.key async for found in backend.list(prefix)]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


async def test_what_is_put_is_got(backend: Backend) -> None:
    assert await stored(backend, "bucket/a key~1", b"hello world") == md5(b"hello world")
    assert await read(backend, "bucket/a key~1") == b"hello world"
