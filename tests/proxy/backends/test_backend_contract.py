"""What every backend promises: held against the one in memory, both clients over HTTP to a real S3 server, and all behind a guard."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.s3_client import ADAPTERS
from tests.support.seaweedfs import SeaweedFS

from s3o_proxy.backends.guarded import Guarded
from s3o_proxy.backends.memory import MemoryBackend
from s3o_proxy.backends.port import Backend, Unguarded
from s3o_proxy.domain.errors import BackendNotFound, BackendRejected, ClientDisconnected

MIB = 1024 * 1024

AWKWARD_KEYS = [
    "plain",
    "a space",
    " leading and trailing ",
    "plus+plus",
    "per%cent",
    "already%20encoded%2F",
    "til~de",
    "ünïcödé/日本/😀",
    "composed-é",
    "decomposed-e\u0301",
    "q?uery&am=p;semi",
    "ha#sh",
    "quo\"te'apo",
    "<tag>&amp;",
    "brackets[x]{y}(z)|^`",
    "a",
    "a/b",
    "a/b/c",
    "a-b",
    "dots.and..dots...",
    "tab\tand\nnewline",
    "control\x01character",
    "long/" + "/".join("s" * 200 for _ in range(4)),
]


@pytest.fixture(params=["memory", "aiobotocore", "wire", "guarded memory", "guarded aiobotocore", "guarded wire"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    inner: Unguarded = MemoryBackend()
    kind = request.param.split()[-1]
    if kind in ADAPTERS:
        seaweedfs: SeaweedFS = request.getfixturevalue("seaweedfs")
        inner = await seaweedfs.endpoint().open(adapter=ADAPTERS[kind])
    if request.param.startswith("guarded"):
        yield Guarded(inner, request_timeout_ms=30_000, stall_timeout_ms=30_000, on_call=lambda _: None)
    else:
        yield inner
    await inner.close()


async def body(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def store(backend: Backend, key: str, *content: bytes) -> str:
    return (await backend.put(key, body(*content), sum(map(len, content)))).etag


async def read(backend: Backend, key: str, byte_range: tuple[int, int] | None = None) -> bytes:
    async with backend.get(key, byte_range) as found:
        pieces = [piece async for piece in found.body]
        assert sum(map(len, pieces)) == found.size_bytes
        assert max(map(len, pieces), default=0) <= 256 * 1024
        return b"".join(pieces)


async def keys(backend: Backend, prefix: str = "") -> set[str]:
    listed = [found.key async for found in backend.list(prefix)]
    assert len(listed) == len(set(listed))
    return set(listed)


async def store_all(backend: Backend, names: Sequence[str]) -> None:
    slots = asyncio.Semaphore(16)

    async def store_one(name: str) -> None:
        async with slots:
            await store(backend, name, name.encode())

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(store_one(name))


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def content_md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


# --- objects ---------------------------------------------------------------------------------------------------------


async def test_what_is_put_is_got_and_its_etag_is_its_md5(backend: Backend) -> None:
    content = b"hello " + b"world" * 100_000
    assert await store(backend, "key", b"hello ", b"world" * 100_000) == md5(content)
    assert await read(backend, "key") == content


async def test_an_empty_object(backend: Backend) -> None:
    assert await store(backend, "empty") == md5(b"")
    assert await read(backend, "empty") == b""
    assert (await backend.head("empty")).size_bytes == 0


async def test_the_last_put_wins(backend: Backend) -> None:
    await store(backend, "key", b"first, and longer")
    await store(backend, "key", b"second")
    assert await read(backend, "key") == b"second"


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 9), (5, 299_999), (299_999, 299_999), (250_000, 400_000)])
async def test_a_range_is_inclusive_and_ends_at_the_end(backend: Backend, first: int, last: int) -> None:
    content = bytes(range(250)) * 1200
    await store(backend, "key", content)
    assert await read(backend, "key", (first, last)) == content[first : last + 1]


async def test_a_range_behind_the_end_is_refused(backend: Backend) -> None:
    await store(backend, "key", b"ten bytes.")
    with pytest.raises(BackendRejected) as refused:
        async with backend.get("key", (10, 20)):
            pass
    assert (refused.value.status, refused.value.code) == (416, "InvalidRange")


async def test_head_tells_size_etag_and_metadata(backend: Backend) -> None:
    metadata = {"s3o-key": "YS9i", "other": "two words, and ~!@#$%^&*()=+"}
    await backend.put("key", body(b"content"), 7, content_type="text/plain", metadata=metadata)
    found = await backend.head("key")
    assert (found.size_bytes, found.etag, dict(found.metadata)) == (7, md5(b"content"), metadata)


async def test_what_is_not_there_is_not_found(backend: Backend) -> None:
    with pytest.raises(BackendNotFound):
        await backend.head("missing")
    with pytest.raises(BackendNotFound):
        async with backend.get("missing"):
            pass
    with pytest.raises(BackendNotFound):
        await backend.copy("missing", "key")


async def test_delete_is_idempotent(backend: Backend) -> None:
    await store(backend, "key", b"content")
    await backend.delete("key")
    await backend.delete("key")
    with pytest.raises(BackendNotFound):
        await backend.head("key")


async def test_leaving_a_body_early_leaves_the_backend_usable(backend: Backend) -> None:
    await store(backend, "key", bytes(4 * MIB))
    for _ in range(3):
        async with backend.get("key") as found:
            assert await anext(found.body)
    assert (await backend.head("key")).size_bytes == 4 * MIB


async def test_content_md5_is_verified_there(backend: Backend) -> None:
    await backend.put("good", body(b"content"), 7, content_md5=content_md5(b"content"))
    with pytest.raises(BackendRejected) as refused:
        await backend.put("bad", body(b"content"), 7, content_md5=content_md5(b"other"))
    assert (refused.value.status, refused.value.code) == (400, "BadDigest")
    assert await keys(backend) == {"good"}


# --- a body that does not end well -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 10, 2 * MIB])
async def test_what_a_body_raises_passes_through_and_nothing_is_stored(backend: Backend, size_bytes: int) -> None:
    broken = ClientDisconnected("gone")
    broken.__cause__ = cause = OSError("reset")

    async def failing() -> AsyncIterator[bytes]:
        yield bytes(size_bytes // 2)
        raise broken

    with pytest.raises(ClientDisconnected) as caught:
        await backend.put("key", failing(), size_bytes)
    assert caught.value is broken
    assert caught.value.__cause__ is cause
    assert await keys(backend) == set()
    await store(backend, "key", b"the next one works")


async def test_a_body_that_fails_after_its_last_byte_is_not_stored(backend: Backend) -> None:
    async def failing_at_its_end() -> AsyncIterator[bytes]:
        yield b"whole"
        raise ClientDisconnected("a bad trailer")

    with pytest.raises(ClientDisconnected):
        await backend.put("key", failing_at_its_end(), 5)
    assert await keys(backend) == set()


@pytest.mark.parametrize("size_bytes", [0, 6, 8, 2 * MIB])
async def test_a_body_of_another_size_is_a_programming_error(backend: Backend, size_bytes: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        await backend.put("key", body(b"content"), size_bytes)
    assert await keys(backend) == set()


async def test_cancelling_a_put_stores_nothing(backend: Backend) -> None:
    started = asyncio.Event()
    unwound = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield bytes(100_000)
            started.set()
            await asyncio.Event().wait()
        finally:
            unwound.set()

    source = endless()
    put = asyncio.create_task(backend.put("key", source, MIB))
    await started.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert unwound.is_set(), "nobody may still be in the body when put has ended"
    assert await keys(backend) == set()


# --- many keys -------------------------------------------------------------------------------------------------------


async def test_awkward_keys_are_kept_listed_and_deleted_as_they_are(backend: Backend) -> None:
    await store_all(backend, AWKWARD_KEYS)
    for key in AWKWARD_KEYS:
        assert await read(backend, key) == key.encode()
        assert (await backend.head(key)).size_bytes == len(key.encode())
    assert await keys(backend) == set(AWKWARD_KEYS)
    assert await keys(backend, "a/") == {"a/b", "a/b/c"}
    for key in AWKWARD_KEYS[::2]:
        await backend.delete(key)
    assert await backend.delete_many(AWKWARD_KEYS[1::2]) == {}
    assert await keys(backend) == set()


async def test_more_keys_than_a_page_or_a_delete_holds(backend: Backend) -> None:
    names = [f"many/ä {number:04}" for number in range(1100)]
    await store_all(backend, names)
    assert await keys(backend) == set(names)
    assert await backend.delete_many([*names[:999], "many/was never there"]) == {}
    assert await keys(backend) == set(names[999:])


# --- copies ----------------------------------------------------------------------------------------------------------


async def test_a_copy_keeps_bytes_and_metadata_or_takes_new(backend: Backend) -> None:
    await backend.put("source +%/é", body(b"content"), 7, metadata={"one": "1"})
    assert (await backend.copy("source +%/é", "same")).etag == md5(b"content")
    assert (await backend.copy("source +%/é", "new", content_type="a/b", metadata={"two": "2"})).etag == md5(b"content")
    await backend.copy("source +%/é", "bare", metadata={})
    assert await read(backend, "same") == await read(backend, "new") == await read(backend, "bare") == b"content"
    assert dict((await backend.head("same")).metadata) == {"one": "1"}
    assert dict((await backend.head("new")).metadata) == {"two": "2"}
    assert dict((await backend.head("bare")).metadata) == {}


# --- multipart uploads -----------------------------------------------------------------------------------------------


async def test_parts_are_joined_in_their_order_and_only_by_complete(backend: Backend) -> None:
    contents = [b"\1" * (5 * MIB), b"\2" * (5 * MIB), b"the end"]
    upload_id = await backend.create_multipart("key +é", metadata={"one": "1"})
    etags = {}
    for number in (2, 3, 1):
        content = contents[number - 1]
        etags[number] = (await backend.upload_part("key +é", upload_id, number, body(content), len(content))).etag
        assert etags[number] == md5(content)
    assert await keys(backend) == set()
    assert [(found.key, found.upload_id) async for found in backend.list_multipart()] == [("key +é", upload_id)]
    done = await backend.complete_multipart("key +é", upload_id, sorted(etags.items()))
    assert done.etag == f"{md5(b''.join(hashlib.md5(content).digest() for content in contents))}-3"
    assert await read(backend, "key +é") == b"".join(contents)
    assert dict((await backend.head("key +é")).metadata) == {"one": "1"}
    assert [found async for found in backend.list_multipart()] == []


async def test_an_empty_last_part(backend: Backend) -> None:
    upload_id = await backend.create_multipart("key")
    etag = (await backend.upload_part("key", upload_id, 1, body(), 0)).etag
    await backend.complete_multipart("key", upload_id, [(1, etag)])
    assert await read(backend, "key") == b""


async def test_a_part_may_be_sent_again(backend: Backend) -> None:
    upload_id = await backend.create_multipart("key")
    await backend.upload_part("key", upload_id, 1, body(b"first"), 5)
    etag = (await backend.upload_part("key", upload_id, 1, body(b"second"), 6)).etag
    await backend.complete_multipart("key", upload_id, [(1, etag)])
    assert await read(backend, "key") == b"second"


async def test_a_part_whose_body_fails_is_no_part(backend: Backend) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientDisconnected

    upload_id = await backend.create_multipart("key")
    with pytest.raises(ClientDisconnected):
        await backend.upload_part("key", upload_id, 1, failing(), 8)
    with pytest.raises((BackendRejected, BackendNotFound)):  # S3 calls it InvalidPart, SeaweedFS an upload that it does not know
        await backend.complete_multipart("key", upload_id, [(1, md5(b"halfhalf"))])


async def test_a_part_with_a_wrong_content_md5_is_refused(backend: Backend) -> None:
    upload_id = await backend.create_multipart("key")
    with pytest.raises(BackendRejected, match="BadDigest"):
        await backend.upload_part("key", upload_id, 1, body(b"content"), 7, content_md5=content_md5(b"other"))


async def test_an_aborted_upload_is_gone_and_abort_is_idempotent(backend: Backend) -> None:
    upload_id = await backend.create_multipart("key")
    etag = (await backend.upload_part("key", upload_id, 1, body(b"content"), 7)).etag
    await backend.abort_multipart("key", upload_id)
    await backend.abort_multipart("key", upload_id)
    with pytest.raises(BackendNotFound):
        await backend.complete_multipart("key", upload_id, [(1, etag)])
    assert [found async for found in backend.list_multipart()] == []
    assert await keys(backend) == set()


async def test_abort_after_complete_leaves_the_object(backend: Backend) -> None:
    upload_id = await backend.create_multipart("key")
    etag = (await backend.upload_part("key", upload_id, 1, body(b"content"), 7)).etag
    await backend.complete_multipart("key", upload_id, [(1, etag)])
    await backend.abort_multipart("key", upload_id)
    assert await read(backend, "key") == b"content"
