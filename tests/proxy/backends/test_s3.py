"""What goes over the wire to an S3 server, and what is made of servers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.seaweedfs import Endpoint, SeaweedFS
from tests.support.tcp import Head, Peer, serving

from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.domain.errors import (
    BackendNotFound,
    BackendRejected,
    BackendThrottled,
    BackendTimeout,
    BackendUnavailable,
    ClientDisconnected,
)

MIB = 1024 * 1024


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


# --- the requests ----------------------------------------------------------------------------------------------------


async def test_a_put_has_its_exact_length_and_nothing_that_an_endpoint_could_refuse() -> None:
    seen: list[tuple[Head, bytes]] = []

    async def keep(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.answer("200 OK", ETag='"etag"')

    async with serving(keep) as server, opened(server.url) as backend:
        await backend.put("a key/+~", body(b"four", b"teen bytes"), 14, content_type="text/plain", metadata={"s3o-key": "x"})
        await backend.put("empty", body(), 0)
        await backend.upload_part("parts", "id", 3, body(b"part"), 4, content_md5="MD5==")
        assert server.connections == 1, "a connection is used again"
    (first, content), (empty, _), (part, _) = seen
    assert (first.method, first.target, content) == ("PUT", "/bucket/a%20key/%2B~", b"fourteen bytes")
    assert first.headers["content-length"] == "14"
    assert first.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert first.headers["content-type"] == "text/plain"
    assert first.headers["x-amz-meta-s3o-key"] == "x"
    assert first.headers["user-agent"] == "s3-orchestrator"
    assert empty.headers["content-length"] == "0"
    assert (part.target, part.headers["content-md5"]) == ("/bucket/parts?uploadId=id&partNumber=3", "MD5==")
    for head, _ in seen:
        assert not {"expect", "transfer-encoding", "content-encoding", "cookie"} & head.headers.keys()
        assert not [name for name in head.headers if name.startswith(("x-amz-checksum", "x-amz-sdk", "x-amz-trailer"))]


async def test_with_unsigned_payload_off_small_bodies_are_signed() -> None:
    seen: list[tuple[Head, bytes]] = []

    async def keep(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.answer("200 OK", ETag='"etag"')

    async with serving(keep) as server, opened(server.url, unsigned_payload=False) as backend:
        await backend.put("small", body(b"four", b"teen bytes"), 14)
        with pytest.raises(BackendRejected, match="unsignedPayload"):
            await backend.put("large", never_pulled(), MIB + 1)
    assert [head.headers["x-amz-content-sha256"] for head, _ in seen] == [hashlib.sha256(b"fourteen bytes").hexdigest()]
    assert "expect" not in seen[0][0].headers


async def test_virtual_hosted_buckets_and_a_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Head] = []

    async def forward(peer: Peer) -> None:
        seen.append(await peer.head())
        await peer.answer("200 OK", b"content")

    async with serving(forward) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("http_proxy", raising=False)
        async with opened("http://s3.test", force_path_style=False) as backend, backend.get("key") as found:
            assert [piece async for piece in found.body] == [b"content"]
    assert seen[0].target == "http://bucket.s3.test/key"


async def test_delete_objects_carries_content_md5_and_keys_that_xml_cannot_say_go_singly() -> None:
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


async def test_without_delete_objects_keys_are_deleted_one_by_one() -> None:
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


# --- bodies are neither held nor finished when they should not be ------------------------------------------------------


@pytest.mark.parametrize("verb", ["put", "get"])
async def test_memory_does_not_grow_with_the_object(seaweedfs: SeaweedFS, verb: str) -> None:
    size_bytes, piece = 64 * MIB, bytes(256 * 1024)

    async def large() -> AsyncIterator[bytes]:
        for _ in range(size_bytes // len(piece)):
            yield piece

    backend = await seaweedfs.endpoint().open()
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


@pytest.mark.parametrize("size_bytes", [10, 4 * MIB])
async def test_a_body_that_fails_never_makes_a_complete_request(size_bytes: int) -> None:
    received: list[int] = []

    async def count(peer: Peer) -> None:
        await peer.head()
        received.append(await peer.read_to_end())

    async def failing() -> AsyncIterator[bytes]:
        yield bytes(size_bytes - 1)
        yield b"!"
        raise ClientDisconnected

    async with serving(count) as server, opened(server.url) as backend:
        for _ in range(2):
            with pytest.raises(ClientDisconnected):
                await backend.put("key", failing(), size_bytes)
        await server.finished()
        assert server.connections == 2, "the connection of a broken request is not used again"
    assert max(received) < size_bytes


async def test_a_cancelled_put_leaves_its_body_and_its_connection() -> None:
    received: list[int] = []

    async def count(peer: Peer) -> None:
        await peer.head()
        received.append(await peer.read_to_end())

    async with serving(count) as server, opened(server.url) as backend:
        source = EndlessBody(bytes(1000))
        put = asyncio.create_task(backend.put("key", source, MIB))
        await source.stuck.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert source.left.is_set()
        await server.finished()
    assert received[0] <= 1000


async def test_leaving_a_get_early_closes_its_connection_instead_of_draining_it() -> None:
    sent: list[int] = []

    async def flood(peer: Peer) -> None:
        await peer.head()
        await peer.answer("200 OK", length=1024 * MIB)
        try:
            while True:
                peer.writer.write(bytes(MIB))
                await peer.writer.drain()
                sent.append(MIB)
        except ConnectionError:
            return

    async with serving(flood) as server, opened(server.url) as backend:
        async with backend.get("key") as found:
            assert len(await anext(found.body)) <= 256 * 1024
        await server.finished()
    assert sum(sent) < 64 * MIB


# --- servers that misbehave --------------------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    async with serving(Peer.read_to_end) as server:  # type: ignore[arg-type]  # what it returns does not matter
        url = server.url
    async with opened(url) as backend:
        with pytest.raises(BackendUnavailable) as failed:
            await backend.put("key", never_pulled(), 10)
        assert not failed.value.ambiguous
        with pytest.raises(BackendUnavailable) as failed:
            await backend.delete("key")
        assert not failed.value.ambiguous


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("403 Forbidden", "AccessDenied", BackendRejected),
        ("503 Slow Down", "SlowDown", BackendThrottled),
        ("429 Too Many Requests", "TooManyRequests", BackendThrottled),
        ("503 Service Unavailable", "ServiceUnavailable", BackendUnavailable),
        ("400 Bad Request", "RequestTimeout", BackendTimeout),
        ("507 Insufficient Storage", "XMinioStorageFull", BackendRejected),
        ("404 Not Found", "NoSuchBucket", BackendRejected),
        ("404 Not Found", "NoSuchUpload", BackendNotFound),
        ("301 Moved Permanently", "PermanentRedirect", BackendRejected),
    ],
)
async def test_an_answer_before_the_body_has_ended_ends_the_upload(status: str, code: str, kind: type[Exception]) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.fail(status, code)
        await peer.read_to_end()

    async with serving(refuse) as server, opened(server.url) as backend:
        source = EndlessBody(bytes(1000))
        with pytest.raises(kind, match=code) as failed:
            await backend.put("key", source, MIB)
        assert type(failed.value) is kind
        assert not getattr(failed.value, "ambiguous", None)
        assert source.left.is_set()
        await server.finished()


async def test_success_before_the_body_has_ended_is_not_believed() -> None:
    async def hurry(peer: Peer) -> None:
        await peer.head()
        await peer.answer("200 OK", ETag='"etag"')
        await peer.read_to_end()

    async with serving(hurry) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="not sent to its end"):
            await backend.put("key", EndlessBody(b"half"), 8)
        await server.finished()


@pytest.mark.parametrize(("reads", "ambiguous"), [(0, False), (1000, False), (MIB, True)])
async def test_a_connection_that_breaks_is_ambiguous_only_when_everything_was_sent(reads: int, ambiguous: bool) -> None:
    ready = asyncio.Event()

    async def hang_up(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(reads)
        await ready.wait()

    async def content() -> AsyncIterator[bytes]:
        yield bytes(1000)
        if not ambiguous:
            ready.set()
            await asyncio.Event().wait()
        ready.set()
        yield bytes(MIB - 1000)

    async with serving(hang_up) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable) as failed:
            await backend.put("key", content(), MIB)
        assert failed.value.ambiguous is ambiguous
        assert server.connections == 1, "a body is never sent twice"


async def test_a_call_that_changes_something_is_ambiguous_once_it_was_sent() -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.request()

    async with serving(hang_up) as server, opened(server.url) as backend:
        for call in (
            backend.delete("key"),
            backend.delete_many(["key"]),
            backend.copy("a", "b"),
            backend.create_multipart("key"),
            backend.complete_multipart("key", "id", [(1, "etag")]),
            backend.abort_multipart("key", "id"),
        ):
            with pytest.raises(BackendUnavailable) as failed:
                await call
            assert failed.value.ambiguous
        with pytest.raises(BackendUnavailable) as failed:
            await backend.head("key")
        assert not failed.value.ambiguous


async def test_an_idle_connection_that_the_server_closed_costs_a_reader_nothing() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"content", ETag='"etag"')
        await peer.head()  # The second request of a connection is read, and never answered.

    async with serving(once) as server, opened(server.url) as backend:
        for _ in range(3):
            async with backend.get("key") as found:
                assert [piece async for piece in found.body] == [b"content"]
        assert server.connections == 3
        with pytest.raises(BackendUnavailable):
            await backend.copy("a", "b")


async def test_a_body_that_breaks_off_is_an_error_and_no_end() -> None:
    async def break_off(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"half", length=8)

    async with serving(break_off) as server, opened(server.url) as backend, backend.get("key") as found:
        with pytest.raises(BackendUnavailable):
            _ = [piece async for piece in found.body]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 what?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<not xml<",
        b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"",
    ],
)
async def test_garbage_is_unavailable(garbage: bytes) -> None:
    async def babble(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(garbage)
        await peer.writer.drain()

    async with serving(babble) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable):
            _ = [found async for found in backend.list()]


async def test_an_error_inside_a_200_is_an_error() -> None:
    async def change_its_mind(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.fail("200 OK", "InternalError")

    async with serving(change_its_mind) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="InternalError"):
            await backend.complete_multipart("key", "id", [(1, "etag")])
        with pytest.raises(BackendUnavailable, match="InternalError"):
            await backend.copy("a", "b")


async def test_no_redirect_is_followed() -> None:
    async def elsewhere(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer("307 Temporary Redirect", Location=other.url + "/bucket/key")

    async def trap(peer: Peer) -> None:
        await peer.request()
        await peer.answer("200 OK", b"content")

    async with serving(trap) as other, serving(elsewhere) as server, opened(server.url) as backend:
        with pytest.raises(BackendRejected):
            async with backend.get("key"):
                pass
        with pytest.raises(BackendRejected):
            await backend.put("key", body(b"content"), 7)
        with pytest.raises(BackendRejected):
            await backend.head("key")
        assert other.connections == 0


async def test_the_whole_object_does_not_pass_as_a_range() -> None:
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
async def test_a_missing_bucket_is_no_missing_object(bucket_status: str, kind: type[Exception]) -> None:
    async def head(peer: Peer) -> None:
        while True:
            request, _ = await peer.request()
            await peer.answer("404 Not Found" if request.target == "/bucket/key" else bucket_status)

    async with serving(head) as server, opened(server.url) as backend:
        with pytest.raises(kind):
            await backend.head("key")


async def test_a_load_balancer_without_its_route_is_no_missing_object() -> None:
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
async def test_a_listing_that_goes_nowhere_ends(token: str) -> None:
    async def forever(peer: Peer) -> None:
        while True:
            await peer.request()
            content = "<Contents><Key>a</Key><Size>1</Size></Contents>"
            page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{content}</ListBucketResult>"
            await peer.answer("200 OK", page.encode())

    async with serving(forever) as server, opened(server.url) as backend:
        with pytest.raises(BackendUnavailable, match="truncated"):
            _ = [found async for found in backend.list()]
