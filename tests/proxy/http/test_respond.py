"""Answers as they leave: headers, ranges, overrides, errors."""

from __future__ import annotations

import base64
import re
import zlib

from tests.support.dictionary import (
    BUCKET,
    code_of,
    is_alive,
    request_head,
    talking,
)
from tests.support.edge import Response, WireClient

from s3o_proxy.domain.model import Description, Digests, StoredObject
from s3o_proxy.http.head import Head
from s3o_proxy.http.respond import Asked, answer_result
from s3o_proxy.s3.operation import GetObject, ObjectRead

DATA = bytes(range(256)) * 3000
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()


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


def test_an_empty_part_of_an_object_is_a_part_of_it_without_bytes() -> None:
    """Content-Range has no words for no bytes; a 200 would say that they are all there are."""
    found = StoredObject(BUCKET, "key", "w", 5, "e-2", 0, Description(), Digests("AAAAAAAAAAA="), (), (5, 0))
    asked = Asked(Head("GET", f"/{BUCKET}/key".encode(), [(b"host", b"localhost")]), "r", "request", "host")
    answer = answer_result(ObjectRead(found, (5, 4), None, 2), GetObject(BUCKET, "key", part_number=2), asked)
    assert (answer.status, answer.size_bytes) == (206, 0)
    assert ("x-amz-mp-parts-count", "2") in answer.headers
    assert "content-range" not in dict(answer.headers)


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


async def test_names_of_metadata_cannot_write_headers_either() -> None:
    """Rows of an earlier version may hold such names; S3 counts what it cannot return as headers."""
    async with talking() as (client, edge):
        await client.ask(request_head("PUT", f"/{BUCKET}/key", {"Content-Length": 2, "X-Amz-Meta-A": "b"}) + b"ab")
        found, _ = edge.application.objects["key"]
        found.description.user_metadata["x\r\nSet-Cookie: c\r\ny"] = "1"
        response = await client.ask(request_head("GET", f"/{BUCKET}/key"))
        assert (response.status, response.headers["x-amz-meta-a"], response.headers["x-amz-missing-meta"]) == (200, "b", "1")
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
