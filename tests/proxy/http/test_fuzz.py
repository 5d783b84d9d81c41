"""The whole edge against bytes that are nearly requests: each is answered by something other than a 500, or the connection ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Sequence
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dictionary import TOKEN, Dictionary, dictionary, is_alive
from tests.support.edge import connected

from s3o_crds.compiled import ServerConfig
from s3o_proxy.config.snapshot import Credential
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.body import Body
from s3o_proxy.s3.documents import parse_complete_multipart_upload, parse_create_bucket, parse_delete
from s3o_proxy.s3.errors import S3Error

IMPATIENT = ServerConfig(header_timeout_ms=60, stall_timeout_ms=60, idle_timeout_ms=60)


class Anything(Dictionary):
    """Reads every body as its operation would, and does nothing."""

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        match operation:
            case ops.PutObject() | ops.UploadPart():
                await self._read(body)
            case ops.DeleteObjects():
                parse_delete(await body.read_all(10_000))
            case ops.CompleteMultipartUpload():
                parse_complete_multipart_upload(await body.read_all(10_000))
            case ops.CreateBucket():
                parse_create_bucket(await body.read_all(10_000))
            case ops.ListObjectsV2():
                return self._list(operation)
            case ops.Unsupported():
                raise S3Error("NotImplemented", operation.operation)
        return ops.Deleted()


# --- bytes that are nearly requests --------------------------------------------------------------------------------------------------

PUT, POST = b"PUT /photos/key", b"POST /photos?delete"
ASKED = st.sampled_from(
    [
        *[PUT] * 6,
        *[POST] * 3,
        b"PUT /photos/key?uploadId=u&partNumber=1",
        b"POST /photos/key?uploadId=u",
        b"PUT /photos",
        b"PUT /photos/key?acl",
        b"PUT /photos/%FF",
        b"GET http://localhost/photos/key",
        b"HEAD /photos/key",
        b"DELETE /photos/%00",
        b"PATCH /photos/key",
        b"OPTIONS *",
        b"FROB /",
    ]
)
HEADERS = [
    b"Expect: 100-continue",
    b"Connection: close",
    b"Range: bytes=0-1",
    b"Content-MD5: AAAA",
    b"Content-MD5: XUFAKrxLKna5cZ2REBfFkg==",
    b"x-amz-decoded-content-length: 5",
    b"x-amz-decoded-content-length: 5",
    b"x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    b"x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    b"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    b"x-amz-trailer: x-amz-checksum-crc32",
    b"x-amz-checksum-crc32: NhCmhg==",
    b"x-amz-checksum-crc32: AAAAAA==",
    b"x-amz-meta-a: \xff",
]
BROKEN = [
    b"Content-Length: 500",
    b"Content-Length: -1",
    b"Transfer-Encoding: gzip",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b" folded",
    b"no colon",
    b"a: \x00",
    b"x-amz-copy-source: /photos/key",
]
PIECES = [
    b"hello",
    b"5\r\nhello\r\n",
    b"5\r\nhello\r\n0\r\n",
    b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n",
    b"0\r\n",
    b"0;x=y\r\n",
    b"\r\n",
    b"\n",
    b"x-amz-checksum-crc32:NhCmhg==\r\n",
    b"<Delete><Object><Key>a</Key></Object></Delete>",
    b"<!DOCTYPE x>",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" * 300,
]


def _request(asked: bytes, version: bytes, lines: list[bytes], broken: list[bytes], body: bytes, framing: str) -> bytes:
    """With `framing`, the body is whole for HTTP, whatever it is for S3."""
    if framing == "length":
        lines = [*lines, b"Content-Length: %d" % len(body)]
    elif framing == "chunked":
        lines, body = [*lines, b"Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    start = [asked + b" HTTP/" + version, b"Host: localhost", b"X-Proxy-Token: " + TOKEN.encode()]
    return b"\r\n".join([*start, *lines, *broken, b"", body])


REQUESTS = st.builds(
    _request,
    ASKED,
    st.sampled_from([b"1.1"] * 8 + [b"1.0", b"2.0"]),
    st.lists(st.sampled_from(HEADERS), max_size=5, unique=True),
    st.sampled_from([[]] * 6 + [[line] for line in BROKEN]) | st.lists(st.binary(max_size=20), max_size=1),
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=4).map(b"".join),
    st.sampled_from(["length", "length", "chunked", "none"]),
)
STREAMS = REQUESTS | REQUESTS | REQUESTS | st.tuples(REQUESTS, REQUESTS).map(b"".join) | st.binary(max_size=100)


async def _answers(streams: Sequence[bytes]) -> list[bytes]:
    """What each stream, on a connection of its own, is answered. The server is in order afterwards."""
    async with dictionary(Anything(IMPATIENT)) as (served, edge):
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            tasks = [group.create_task(_answer(served.port, stream)) for stream in streams]
        if left := set(served.server.server_state.tasks):
            await asyncio.wait(left)
        in_flight = [sample for family in edge.metrics.collect() if family.name == "s3o_inflight_requests" for sample in family.samples]
        assert all(sample.value == 0 for sample in in_flight), in_flight
        async with connected(served.port) as client:
            assert await is_alive(client)
        return [task.result() for task in tasks]


async def _answer(port: int, stream: bytes) -> bytes:
    """All that comes until the server ends the connection, or is silent for longer than it waits for anything."""
    answer = b""
    async with connected(port) as client:
        client.send(stream)
        with suppress(ConnectionError, TimeoutError):
            while piece := await asyncio.wait_for(client.reader.read(65536), 0.3):
                answer += piece
    return answer


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@settings(max_examples=10)
@given(st.lists(STREAMS, min_size=20, max_size=60))
def test_any_bytes_get_an_answer_that_is_no_internal_error(streams: list[bytes]) -> None:
    errors = _Errors()
    gc.collect()  # What earlier tests have left is complained of now, and is none of ours.
    logging.getLogger().addHandler(errors)
    try:
        answers = asyncio.run(_answers(streams))
    finally:
        logging.getLogger().removeHandler(errors)
    assert errors.messages == []
    for answer in answers:
        assert not answer or re.match(rb"HTTP/1\.1 [1-5]\d\d ", answer)
        statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)}
        assert statuses <= {100, 204, 400, 403, 404, 405, 411, 414, 501}, answer
