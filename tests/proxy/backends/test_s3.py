"""What the verbs make of providers that differ from S3, or fail in its words."""

from __future__ import annotations

import base64
import hashlib
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from tests.support.s3_client import Opener, body
from tests.support.seaweedfs import Adapter, SeaweedFS
from tests.support.tcp import Head, Peer, serving

from s3o_proxy.domain.errors import (
    BackendNotFound,
    BackendRejected,
    BackendUnavailable,
)

MIB = 1024 * 1024


@pytest.mark.parametrize("verb", ["put", "get"])
async def test_memory_does_not_grow_with_the_object(adapter: Adapter, seaweedfs: SeaweedFS, verb: str) -> None:
    size_bytes, piece = 64 * MIB, bytes(256 * 1024)

    async def large() -> AsyncIterator[bytes]:
        for _ in range(size_bytes // len(piece)):
            yield piece

    backend = await seaweedfs.endpoint().open(adapter=adapter)
    await backend.put("warm", body(b"up"), 2)
    if verb == "get":
        await backend.put("key", large(), size_bytes)
    tracemalloc.start()
    try:
        if verb == "put":
            await backend.put("key", large(), size_bytes)
        else:
            async with backend.get("key") as found:
                assert sum([len(got) async for got in found.body]) == size_bytes
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await backend.close()
    assert peak_bytes < 6 * MIB


@pytest.mark.parametrize("size", [0, 5, 9 * 1024**2])
async def test_an_account_copies_from_one_bucket_to_another(adapter: Adapter, seaweedfs: SeaweedFS, size: int) -> None:
    here, there = await seaweedfs.endpoint().open("here", adapter=adapter), await seaweedfs.endpoint().open("there", adapter=adapter)
    elsewhere = await seaweedfs.endpoint(1).open("elsewhere", adapter=adapter)
    assert here.account == there.account != elsewhere.account
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    await here.put("source +%/é", body(content), size, metadata={"one": "1"})
    copied = await there.copy("source +%/é", "copied", metadata={"two": "2"}, source_bucket=here.bucket)
    found = await there.head("copied")
    assert (found.size_bytes, dict(found.metadata)) == (size, {"two": "2"})
    assert copied.etag == hashlib.md5(content).hexdigest()
    # The copy is one of bytes, and not a second name for those of the source.
    await here.delete("source +%/é")
    async with there.get("copied") as opened_copy:
        assert b"".join([piece async for piece in opened_copy.body]) == content
    for backend in (here, there, elsewhere):
        await backend.close()


async def test_delete_objects_carries_content_md5_and_keys_that_xml_cannot_say_go_singly(opened: Opener) -> None:
    seen: list[tuple[Head, bytes]] = []

    async def delete(peer: Peer) -> None:
        while True:
            head, content = await peer.request()
            seen.append((head, content))
            failed = b"<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
            await (peer.answer("200 OK", failed) if head.method == "POST" else peer.answer("204 No Content"))

    async with serving(delete) as server, opened(server.url) as backend:
        assert await backend.delete_many(["a&<", "b", "c\x01"]) == {"b": "AccessDenied: no"}
    (bulk, content), (single, _) = seen
    assert b"<Key>a&amp;&lt;</Key>" in content
    assert bulk.headers["content-md5"] == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert "x-amz-checksum-crc32" not in bulk.headers
    assert (single.method, single.target) == ("DELETE", "/bucket/c%01")


async def test_without_delete_objects_keys_are_deleted_one_by_one(opened: Opener) -> None:
    methods: list[str] = []

    async def delete(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            methods.append(head.method)
            if head.method == "POST":
                await peer.fail("501 Not Implemented", "NotImplemented")
            elif head.target.endswith("bad"):
                await peer.fail("403 Forbidden", "AccessDenied")
            else:
                await peer.answer("204 No Content")

    async with serving(delete) as server, opened(server.url) as backend:
        failed = await backend.delete_many(["a", "bad"])
        assert list(failed) == ["bad"]
        assert await backend.delete_many(["a"]) == {}
    assert sorted(methods) == ["DELETE", "DELETE", "DELETE", "POST"], "it is asked for once"


async def test_where_none_of_many_single_deletions_is_answered_the_rest_is_not_tried(opened: Opener) -> None:
    tried: list[str] = []

    async def hang_up(peer: Peer) -> None:
        head, _ = await peer.request()
        if head.method == "POST":
            await peer.fail("501 Not Implemented", "NotImplemented")
        else:
            tried.append(head.target)

    names = [f"key-{number}" for number in range(100)]
    async with serving(hang_up) as server, opened(server.url) as backend:
        failed = await backend.delete_many(names)
    assert failed.keys() == set(names)
    assert 10 <= len(set(tried)) < 20, "those that had begun when the tenth failed"


async def test_an_error_inside_a_200_is_an_error(opened: Opener) -> None:
    async def change_its_mind(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.fail("200 OK", "InternalError")

    async with serving(change_its_mind) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="InternalError"):
            await backend.complete_multipart("key", "id", [(1, "etag")])
        with pytest.raises(BackendUnavailable, match="InternalError"):
            await backend.copy("a", "b")


async def test_the_whole_object_does_not_pass_as_a_range(opened: Opener) -> None:
    async def whole(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("200 OK", b"ten bytes.", ETag='"etag"')

    async with serving(whole) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="range"):
            async with backend.get("key", (0, 4)):
                pass
        async with backend.get("key", (0, 9)) as found:
            assert found.size_bytes == 10


@pytest.mark.parametrize(
    ("bucket_status", "kind"), [("404 Not Found", BackendRejected), ("403 Forbidden", BackendNotFound), ("200 OK", BackendNotFound)]
)
async def test_a_missing_bucket_is_no_missing_object(opened: Opener, bucket_status: str, kind: type[Exception]) -> None:
    async def head(peer: Peer) -> None:
        while True:
            request, _ = await peer.request()
            await peer.answer("404 Not Found" if request.target == "/bucket/key" else bucket_status)

    async with serving(head) as server, opened(server.url) as backend:
        with pytest.raises(kind):
            await backend.head("key")


async def test_a_load_balancer_without_its_route_is_no_missing_object(opened: Opener) -> None:
    async def not_s3(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("404 Not Found", b"<html><body>no such page</body></html>")

    async with serving(not_s3) as server, opened(server.url) as backend:
        with pytest.raises(BackendRejected):
            async with backend.get("key"):
                pass
        with pytest.raises(BackendRejected):
            await backend.delete("key")


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>same</NextContinuationToken>"])
async def test_a_listing_that_goes_nowhere_ends(opened: Opener, token: str) -> None:
    async def forever(peer: Peer) -> None:
        while True:
            await peer.request()
            content = "<Contents><Key>a</Key><Size>1</Size></Contents>"
            page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{content}</ListBucketResult>"
            await peer.answer("200 OK", page.encode())

    async with serving(forever) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="truncated"):
            _ = [found async for found in backend.list()]


@pytest.mark.parametrize("key", ["<Key>another</Key>", ""])
async def test_an_error_that_names_none_of_the_keys_leaves_them_all_to_be_deleted_again(opened: Opener, key: str) -> None:
    document = f"<DeleteResult><Error>{key}<Code>InternalError</Code><Message>later</Message></Error></DeleteResult>".encode()

    async def refuse(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("200 OK", document)

    async with serving(refuse) as server, opened(server.url) as backend:
        failed = await backend.delete_many(["one", "two"])
    assert failed == dict.fromkeys(["one", "two"], "an error names none of the keys: InternalError: later")
