"""A request's body: in every form it may travel, and held against every promise it may break."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

import pytest
from tests.support.chunks import frame
from tests.support.dictionary import (
    BUCKET,
    Dictionary,
    code_of,
    dictionary,
    is_alive,
    one_request_over,
    request_head,
    talking,
)
from tests.support.edge import connected
from tests.support.signed import signed_head

from s3o_crds.compiled import ServerConfig

DATA = bytes(range(256)) * 3000
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
WRONG_CRC32 = "AAAAAA=="
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
CHUNKS = [DATA[start : start + 65536] for start in range(0, len(DATA), 65536)]


def http_chunked(data: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (data[: len(data) // 2], data[len(data) // 2 :])) + b"0\r\n\r\n"


@pytest.fixture
def access_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "s3o_proxy.access")


# --- bodies in every form ------------------------------------------------------------------------------------------------------------


async def test_a_body_of_known_length() -> None:
    async with talking() as (client, edge):
        md5, sha = base64.b64encode(hashlib.md5(DATA).digest()).decode(), hashlib.sha256(DATA).hexdigest()
        headers = {"Content-Length": len(DATA), "Content-MD5": md5, "x-amz-checksum-crc32": CRC32}
        head, _ = signed_head("PUT", f"/{BUCKET}/key", {name: str(value) for name, value in headers.items()}, sha)
        response = await client.ask(head + DATA)
        assert (response.status, response.headers["etag"]) == (200, f'"{hashlib.md5(DATA).hexdigest()}"')
        assert (response.headers["x-amz-checksum-crc32"], response.headers["x-amz-checksum-type"]) == (CRC32, "FULL_OBJECT")
        assert edge.application.objects["key"][1] == DATA
        assert await is_alive(client)


@pytest.mark.parametrize("over_http_chunks", [True, False])
@pytest.mark.parametrize("mode", [UNSIGNED_CHUNKS, SIGNED_CHUNKS, SIGNED_TRAILER])
async def test_aws_chunks_of_every_kind(mode: str, over_http_chunks: bool) -> None:
    trailer = [("x-amz-checksum-crc32", CRC32)] if mode != SIGNED_CHUNKS else []
    wire, head = _aws_chunked(mode, CHUNKS, trailer, over_http_chunks=over_http_chunks)
    async with talking() as (client, edge):
        response = await client.ask(head + (http_chunked(wire) if over_http_chunks else wire))
        assert (response.status, response.headers.get("x-amz-checksum-crc32", "")) == (200, CRC32 if trailer else "")
        found, data = edge.application.objects["key"]
        assert data == DATA
        assert found.description.headers.get("content-encoding") == "gzip"
        assert await is_alive(client)


def _aws_chunked(
    mode: str, chunks: list[bytes], trailer: list[tuple[str, str]], *, over_http_chunks: bool = False, decoded: int = len(DATA)
) -> tuple[bytes, bytes]:
    """The framed body, and the head that goes before it."""
    headers = {"Content-Encoding": "gzip,aws-chunked", "x-amz-decoded-content-length": str(decoded)}
    if mode != SIGNED_CHUNKS:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    # The length of the frame does not depend on the signatures in it: so it can be known before the head is signed.
    sign_trailer = mode == SIGNED_TRAILER
    _, anybody = signed_head("PUT", "/", {}, mode)
    length = len(frame(chunks, trailer, anybody if mode != UNSIGNED_CHUNKS else None, sign_trailer=sign_trailer))
    headers |= {"Transfer-Encoding": "chunked"} if over_http_chunks else {"Content-Length": str(length)}
    head, signer = signed_head("PUT", f"/{BUCKET}/key", headers, mode)
    return frame(chunks, trailer, signer if mode != UNSIGNED_CHUNKS else None, sign_trailer=sign_trailer), head


async def test_an_empty_body_makes_an_empty_object() -> None:
    async with talking() as (client, edge):
        assert (await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 0}))).status == 200
        assert edge.application.objects["key"][1] == b""
        assert (await client.ask(request_head("GET", f"/{BUCKET}/key"))).body == b""


# --- promises that are not kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promise", "code"),
    [
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"x-amz-checksum-crc32": WRONG_CRC32}, "BadDigest"),
        ({"x-amz-checksum-crc32c": WRONG_CRC32}, "BadDigest"),
        ({"x-amz-checksum-crc64nvme": base64.b64encode(bytes(8)).decode()}, "BadDigest"),
        ({"x-amz-checksum-sha1": base64.b64encode(bytes(20)).decode()}, "BadDigest"),
        ({"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
        ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
    ],
)
@pytest.mark.parametrize("size", [1, len(DATA)])
async def test_a_broken_promise_is_found_before_the_last_piece_is_handed_on(promise: dict[str, str], code: str, size: int) -> None:
    async with talking() as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": size, **promise}) + DATA[:size])
        assert (response.status, code_of(response)) == (400, code)
        assert edge.application.taken_bytes < size
        assert not edge.application.objects
        assert await is_alive(client)


@pytest.mark.parametrize(
    ("promise", "code"),
    [({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"), ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch")],
)
async def test_an_empty_body_has_to_keep_its_promises_too(promise: dict[str, str], code: str) -> None:
    async with talking() as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 0, **promise}))
        assert code_of(response) == code
        assert not edge.application.objects


@pytest.mark.parametrize(
    ("mode", "trailer", "decoded", "spoil", "code"),
    [
        (UNSIGNED_CHUNKS, WRONG_CRC32, len(DATA), lambda wire: wire, "BadDigest"),
        (SIGNED_TRAILER, WRONG_CRC32, len(DATA), lambda wire: wire, "BadDigest"),
        (UNSIGNED_CHUNKS, "nonsense", len(DATA), lambda wire: wire, "InvalidRequest"),
        (UNSIGNED_CHUNKS, CRC32, len(DATA) - 1, lambda wire: wire, "IncompleteBody"),
        (UNSIGNED_CHUNKS, CRC32, len(DATA) + 1, lambda wire: wire, "IncompleteBody"),
        (UNSIGNED_CHUNKS, CRC32, len(DATA), lambda wire: wire.replace(b"crc32:", b"crc3c:"), "MalformedTrailerError"),
        (UNSIGNED_CHUNKS, CRC32, len(DATA), lambda wire: wire.replace(b"10000\r\n", b"10001\r\n"), "IncompleteBody"),
        (SIGNED_CHUNKS, "", len(DATA), lambda wire: wire[:100] + b"!" + wire[101:], "SignatureDoesNotMatch"),
        (SIGNED_CHUNKS, "", len(DATA), lambda wire: wire[:-5] + b"x" + wire[-4:], "SignatureDoesNotMatch"),
        (SIGNED_TRAILER, CRC32, len(DATA), lambda wire: wire[:-5] + b"x" + wire[-4:], "SignatureDoesNotMatch"),
    ],
)
async def test_broken_chunks_store_nothing(mode: str, trailer: str, decoded: int, spoil: object, code: str) -> None:
    assert callable(spoil)
    wire, head = _aws_chunked(mode, CHUNKS, [("x-amz-checksum-crc32", trailer)] if trailer else [], decoded=decoded)
    async with talking() as (client, edge):
        response = await client.ask(head + spoil(wire))
        assert code_of(response) == code
        assert edge.application.taken_bytes < len(DATA)
        assert not edge.application.objects


async def test_bytes_behind_the_last_chunk_are_refused() -> None:
    wire, _ = _aws_chunked(UNSIGNED_CHUNKS, CHUNKS, [("x-amz-checksum-crc32", CRC32)])
    headers = {
        "x-amz-content-sha256": UNSIGNED_CHUNKS,
        "x-amz-decoded-content-length": len(DATA),
        "x-amz-trailer": "x-amz-checksum-crc32",
        "Content-Length": len(wire) + 4,
    }
    async with talking() as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", headers) + wire + b"more")
        assert code_of(response) == "IncompleteBody"
        assert not edge.application.objects


async def test_signed_chunks_need_a_signature_to_begin_with() -> None:
    """A presigned URL vouches for no payload mode: chunks that claim to be signed would be checked by nobody."""
    async with talking() as (client, edge):
        headers = {"x-amz-content-sha256": SIGNED_CHUNKS, "x-amz-decoded-content-length": 3, "Content-Length": 180}
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", headers, token="") + bytes(180))
        assert code_of(response) == "AccessDenied"
        assert not edge.application.objects


async def test_a_client_that_hangs_up_in_its_body_stores_nothing(access_lines: None) -> None:
    async with dictionary() as (served, edge):
        async with connected(served.port) as client:
            client.send(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": len(DATA)}) + DATA[:-1])
            await client.writer.drain()
            await edge.application.taking.wait()
        await one_request_over(served)
        edge.access_log.flush()
        line = json.loads(edge.log.getvalue())
        assert (line["status"], line["operation"]) == (499, "PutObject")
        assert 0 < line["received_bytes"] < len(DATA)
        assert not edge.application.objects
        assert edge.application.taken_bytes < len(DATA)


async def test_a_client_that_stalls_in_its_body_is_told_so() -> None:
    async with talking(Dictionary(ServerConfig(stall_timeout_ms=100))) as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": len(DATA)}) + DATA[:1000])
        assert (response.status, code_of(response), response.headers["connection"]) == (400, "RequestTimeout", "close")
        assert not edge.application.objects


async def test_http_chunks_that_break_are_a_bad_body() -> None:
    headers = {"Transfer-Encoding": "chunked", "x-amz-decoded-content-length": 10}
    async with talking() as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", headers) + b"5\r\nhelloXX")
        assert (response.status, code_of(response), response.headers["connection"]) == (400, "IncompleteBody", "close")
        assert not edge.application.objects
