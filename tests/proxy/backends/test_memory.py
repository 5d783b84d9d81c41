"""Faults strike the call they were planned for, at their moment, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from s3o_proxy.backends.memory import MemoryBackend, Moment
from s3o_proxy.domain.errors import BackendRejected, BackendUnavailable


async def body(content: bytes = b"content") -> AsyncIterator[bytes]:
    yield content


async def read(backend: MemoryBackend, key: str) -> bytes:
    async with backend.get(key) as found:
        return b"".join([piece async for piece in found.body])


@pytest.mark.parametrize(("moment", "stored", "ambiguous"), [("started", False, False), ("received", False, True), ("done", True, True)])
async def test_a_put_fails_before_or_after_it_took_effect(moment: Moment, stored: bool, ambiguous: bool) -> None:
    backend = MemoryBackend()
    backend.fail("put", at=moment)
    with pytest.raises(BackendUnavailable) as failed:
        await backend.put("key", body(), 7)
    assert failed.value.ambiguous is ambiguous
    assert ("key" in backend.objects) is stored


async def test_only_the_nth_call_of_its_verb_fails_and_with_the_error_given() -> None:
    backend = MemoryBackend()
    backend.fail("put", nth=2, error=BackendRejected("memory", 403, "AccessDenied", "no"))
    await backend.put("first", body(), 7)
    await backend.head("first")
    with pytest.raises(BackendRejected, match="AccessDenied"):
        await backend.put("second", body(), 7)
    await backend.put("third", body(), 7)
    assert list(backend.objects) == ["first", "third"]


async def test_a_stalled_call_waits_until_it_is_released() -> None:
    backend = MemoryBackend()
    await backend.put("key", body(), 7)
    fault = backend.stall("delete", at="received")
    deleting = asyncio.create_task(backend.delete("key"))
    await fault.reached.wait()
    assert "key" in backend.objects
    fault.release()
    await deleting
    assert "key" not in backend.objects


async def test_a_body_is_cut_and_bytes_are_corrupted() -> None:
    backend = MemoryBackend()
    await backend.put("key", body(), 7)
    backend.cut_next_get(3)
    with pytest.raises(BackendUnavailable):
        await read(backend, "key")
    backend.corrupt("key", at_byte=1)
    assert await read(backend, "key") == b"c\x90ntent"


async def test_calls_are_recorded_in_order() -> None:
    backend = MemoryBackend()
    await backend.put("key", body(), 7)
    await backend.copy("key", "other")
    await backend.delete_many(["key", "other"])
    assert backend.calls == [("put", "key"), ("copy", "other"), ("delete_many", "key,other")]
