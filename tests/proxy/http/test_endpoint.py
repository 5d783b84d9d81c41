"""The story of a request: every wire form of a body, every promise it may break, and what is recorded of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from tests.support.chunks import frame
from tests.support.dictionary import BUCKET, TOKEN, Dictionary, DictionaryEdge, dictionary
from tests.support.edge import Response, Served, WireClient, connected
from tests.support.signed import signed_head

from s3o_crds.compiled import ServerConfig
from s3o_proxy.config.snapshot import Credential
from s3o_proxy.domain.errors import AllBackendsFailed
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.body import Body

DATA = bytes(range(256)) * 3000
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
WRONG_CRC32 = "AAAAAA=="
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
CHUNKS = [DATA[start : start + 65536] for start in range(0, len(DATA), 65536)]


@asynccontextmanager
async def talking(application: Dictionary | None = None) -> AsyncIterator[tuple[WireClient, DictionaryEdge]]:
    async with dictionary(application) as (served, edge), connected(served.port) as client:
        yield client, edge


def request_head(method: str, path: str, headers: Mapping[str, object] | None = None, *, token: str = TOKEN) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"X-Proxy-Token: {token}" if token else "X-None: 1"]
    return "\r\n".join([*lines, *[f"{name}: {value}" for name, value in (headers or {}).items()], "", ""]).encode()


def http_chunked(data: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (data[: len(data) // 2], data[len(data) // 2 :])) + b"0\r\n\r\n"


def code_of(response: Response) -> str:
    found = re.search(rb"<Code>(\w+)</Code>", response.body)
    return found[1].decode() if found else ""


@pytest.fixture
def access_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "s3o_proxy.access")


async def one_request_over(served: Served) -> None:
    await asyncio.wait(served.server.server_state.tasks, return_when=asyncio.FIRST_COMPLETED)


async def is_alive(client: WireClient) -> bool:
    """The connection is in order: it serves another request."""
    return (await client.ask(request_head("GET", f"/{BUCKET}?list-type=2"))).status == 200


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
        (UNSIGNED_CHUNKS, CRC32, len(DATA), lambda wire: wire.replace(b"crc32:", b"crc3c:"), "InvalidRequest"),
        (UNSIGNED_CHUNKS, CRC32, len(DATA), lambda wire: wire.replace(b"10000\r\n", b"10001\r\n"), "InvalidRequest"),
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
        assert code_of(response) == "InvalidRequest"
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
        assert edge.application.taken_bytes < len(DATA) - 1


async def test_a_client_that_stalls_in_its_body_is_told_so() -> None:
    async with talking(Dictionary(ServerConfig(stall_timeout_ms=100))) as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": len(DATA)}) + DATA[:1000])
        assert (response.status, code_of(response), response.headers["connection"]) == (400, "RequestTimeout", "close")
        assert not edge.application.objects


async def test_http_chunks_that_break_are_a_bad_body() -> None:
    headers = {"Transfer-Encoding": "chunked", "x-amz-decoded-content-length": 10}
    async with talking() as (client, edge):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", headers) + b"5\r\nhelloXX")
        assert (response.status, code_of(response), response.headers["connection"]) == (400, "InvalidRequest", "close")
        assert not edge.application.objects


# --- answers -------------------------------------------------------------------------------------------------------------------------


async def test_an_object_comes_back_with_everything_that_was_said_of_it() -> None:
    said = {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "max-age=60",
        "Content-Disposition": "attachment; filename*=UTF-8''a%20b",
        "X-Amz-Meta-Owner": "ann",
        "x-amz-checksum-crc32": CRC32,
    }
    async with talking() as (client, _):
        await client.ask(request_head("PUT", f"/{BUCKET}/a%20key", {"Content-Length": len(DATA), **said}) + DATA)
        response = await client.ask(request_head("GET", f"/{BUCKET}/a%20key", {"x-amz-checksum-mode": "ENABLED"}))
        assert response.body == DATA
        for name, value in said.items():
            assert response.headers[name.lower()] == value
        assert response.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        head = await _ask_head(client, f"/{BUCKET}/a%20key")
        assert (head.status, head.headers["content-length"], head.headers["etag"]) == (200, str(len(DATA)), response.headers["etag"])
        assert "x-amz-checksum-crc32" not in head.headers


async def _ask_head(client: WireClient, path: str) -> Response:
    client.send(request_head("HEAD", path))
    return await client.response(bodiless=True)


async def test_parts_of_an_object_and_objects_that_did_not_change() -> None:
    async with talking() as (client, _):
        stored = await client.ask(
            request_head("PUT", f"/{BUCKET}/key", {"Content-Length": len(DATA), "x-amz-checksum-crc32": CRC32}) + DATA
        )
        part = await client.ask(request_head("GET", f"/{BUCKET}/key", {"Range": "bytes=-10", "x-amz-checksum-mode": "ENABLED"}))
        assert (part.status, part.body) == (206, DATA[-10:])
        assert part.headers["content-range"] == f"bytes {len(DATA) - 10}-{len(DATA) - 1}/{len(DATA)}"
        assert "x-amz-checksum-crc32" not in part.headers
        outside = await client.ask(request_head("GET", f"/{BUCKET}/key", {"Range": f"bytes={len(DATA)}-"}))
        assert (outside.status, code_of(outside), outside.headers["content-range"]) == (416, "InvalidRange", f"bytes */{len(DATA)}")
        unchanged = await client.ask(request_head("GET", f"/{BUCKET}/key", {"If-None-Match": stored.headers["etag"]}))
        assert (unchanged.status, unchanged.headers["etag"]) == (304, stored.headers["etag"])
        assert "content-length" not in unchanged.headers
        assert await is_alive(client)


async def test_an_answer_says_what_the_query_wants_it_to_say() -> None:
    async with talking() as (client, _):
        await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 2, "Content-Type": "text/css"}) + b"ab")
        response = await client.ask(request_head("GET", f"/{BUCKET}/key?response-content-type=text/html&response-expires=never"))
        assert (response.headers["content-type"], response.headers["expires"]) == ("text/html", "never")


async def test_metadata_from_a_query_cannot_write_headers() -> None:
    """A presigned query may carry any byte, encoded: a line break in it must not begin a header of the answer."""
    async with talking() as (client, edge):
        await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 2, "X-Amz-Meta-A": "b"}) + b"ab")
        found, data = edge.application.objects["key"]
        found.description.user_metadata["a"] = "b\r\nSet-Cookie: c\n\x00d"
        response = await client.ask(request_head("GET", f"/{BUCKET}/key"))
        assert (response.body, response.headers["x-amz-meta-a"]) == (data, "b  Set-Cookie: c  d")
        assert "set-cookie" not in response.headers


async def test_every_answer_carries_its_ids_and_an_error_names_them() -> None:
    async with talking() as (client, _):
        response = await client.ask(request_head("GET", f"/{BUCKET}/no%20such%20key"))
        assert (response.status, code_of(response), response.headers["content-type"]) == (404, "NoSuchKey", "application/xml")
        request_id, host_id = response.headers["x-amz-request-id"], response.headers["x-amz-id-2"]
        assert re.fullmatch("[0-9A-F]{16}", request_id)
        document = response.body.decode()
        assert f"<RequestId>{request_id}</RequestId><HostId>{host_id}</HostId>" in document
        assert f"<Resource>/{BUCKET}/no such key</Resource>" in document
        head = await _ask_head(client, f"/{BUCKET}/no%20such%20key")
        assert (head.status, head.headers["x-amz-request-id"] != request_id) == (404, True)
        assert await is_alive(client)


async def test_nobody_without_proof_is_served_and_his_body_is_not_asked_for() -> None:
    async with talking() as (client, edge):
        headers = {"Content-Length": 10**9, "Expect": "100-continue"}
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", headers, token="wrong"))
        assert (response.status, code_of(response), response.headers["connection"]) == (403, "AccessDenied", "close")
        assert edge.application.taken_bytes == 0


async def test_a_welcome_body_is_asked_for() -> None:
    async with talking() as (client, _):
        client.send(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 5, "Expect": "100-continue"}))
        assert (await client.response()).status == 100
        assert (await client.ask(b"hello")).status == 200


# --- failures of ours ----------------------------------------------------------------------------------------------------------------


class Failing(Dictionary):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        raise self._error


async def test_a_fault_of_ours_is_an_internal_error_and_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(Failing(ZeroDivisionError("the details"))) as (client, _):
        response = await client.ask(request_head("GET", f"/{BUCKET}/key"))
        assert (response.status, code_of(response)) == (500, "InternalError")
        assert b"details" not in response.body
    (record,) = caplog.records
    assert record.exc_info is not None
    assert vars(record)["request_id"] == response.headers["x-amz-request-id"]


async def test_what_backends_said_stands_in_the_log_and_not_in_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(Failing(AllBackendsFailed({"b2": "refused"}))) as (client, _):
        response = await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 0}))
        assert (response.status, response.headers["retry-after"]) == (503, "5")
        assert b"b2" not in response.body
    assert "b2: refused" in caplog.text


# --- admission -----------------------------------------------------------------------------------------------------------------------


class Gated(Dictionary):
    """Every operation waits for the gate."""

    def __init__(self, server: ServerConfig) -> None:
        super().__init__(server)
        self.gate, self.waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        self.waiting.release()
        await self.gate.wait()
        return await super().perform(credential, operation, body)


async def test_more_requests_than_allowed_are_told_to_slow_down_and_places_come_free_again() -> None:
    application = Gated(ServerConfig(max_concurrent_requests=2))
    async with (
        dictionary(application) as (served, edge),
        connected(served.port) as one,
        connected(served.port) as two,
        connected(served.port) as three,
    ):
        listing = request_head("GET", f"/{BUCKET}?list-type=2")
        for client in (one, two):
            client.send(listing)
            await application.waiting.acquire()
        refused = await three.ask(listing)
        assert (refused.status, code_of(refused), refused.headers["retry-after"]) == (503, "SlowDown", "1")
        # A client that goes away gives its place back.
        two.writer.transport.abort()
        await one_request_over(served)
        three.send(listing)
        await application.waiting.acquire()
        application.gate.set()
        assert [(await one.response()).status, (await three.response()).status] == [200, 200]
        exposition = edge.metrics.render()[0].decode()
        assert 's3o_inflight_requests{method="GET"} 0' in exposition
        assert "s3o_admission_rejections_total 1" in exposition
        assert 's3o_requests_total{method="GET",status_code="499"} 1' in exposition


# --- beside S3 -----------------------------------------------------------------------------------------------------------------------


async def test_health_and_metrics_are_answered_without_proof_on_the_same_connection() -> None:
    async with talking() as (client, edge):
        for path, status in [("/health", 200), ("/health/ready", 200), ("/metrics", 200)]:
            response = await client.ask(request_head("GET", path, token=""))
            assert response.status == status, path
        assert b"s3o_requests_total" in response.body
        head_of_health = request_head("HEAD", "/health", token="")
        client.send(head_of_health)
        assert (await client.response(bodiless=True)).status == 200
        edge.readiness.stop()
        response = await client.ask(request_head("GET", "/health/ready", token=""))
        assert (response.status, json.loads(response.body)) == (503, {"status": "not ready", "reason": "Stopping"})
        assert (await client.ask(request_head("GET", "/health", token=""))).status == 200
        assert await is_alive(client)


@pytest.mark.parametrize(
    ("method", "path", "token", "code"),
    [
        ("GET", "/health", TOKEN, "AccessDenied"),  # A bucket of this name, of others or of nobody.
        ("PUT", "/metrics", "", "AccessDenied"),
        ("GET", "/health/other", "", "AccessDenied"),
        ("GET", "/metrics/", "", "AccessDenied"),
        ("GET", "/metrics?X-Amz-Signature=0", "", "AuthorizationQueryParametersError"),
    ],
)
async def test_everything_else_is_a_matter_of_s3(method: str, path: str, token: str, code: str) -> None:
    async with talking() as (client, _):
        response = await client.ask(request_head(method, path, {"Content-Length": 0}, token=token))
        assert code_of(response) == code


# --- what is recorded ----------------------------------------------------------------------------------------------------------------


async def test_a_request_leaves_one_line_without_its_secrets(access_lines: None) -> None:
    async with talking() as (client, edge):
        client.send(request_head("PUT", f"/{BUCKET}/key?x-id=PutObject", {"Content-Length": len(DATA)}) + DATA)
        response = await client.response()
        edge.access_log.flush()
        line = json.loads(edge.log.getvalue())
        assert line["message"] == f"PUT /{BUCKET}/key 200"
        assert (line["request_id"], line["credential"]) == (response.headers["x-amz-request-id"], f"{BUCKET}/token")
        assert (line["operation"], line["status"], line["code"]) == ("PutObject", 200, "")
        assert (line["received_bytes"], line["sent_bytes"]) == (len(DATA), 0)
        assert line["peer"].startswith("127.0.0.1:")
        assert TOKEN.encode() not in edge.log.getvalue()
