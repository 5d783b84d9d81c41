"""One line for each request, in batches, without what a client must not find in a log."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator

import orjson
import pytest

from s3o_proxy.telemetry.access_log import Access, AccessLog


@pytest.fixture(autouse=True)
def level() -> Iterator[logging.Logger]:
    logger = logging.getLogger("s3o_proxy.access")
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)


def access(path: str = "/photos/a%20b", status: int = 200, code: str = "") -> Access:
    return Access("REQ1", "10.0.0.1", "photos/writer", "PUT", path, "PutObject", status, code, 0.0123456, 4096, 0)


async def test_a_line_names_who_did_what_and_how_it_went() -> None:
    stream = io.BytesIO()
    log = AccessLog(stream, clock_s=lambda: 0.0)
    log.write(access(status=403, code="AccessDenied"))
    log.flush()
    assert orjson.loads(stream.getvalue()) == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "logger": "s3o_proxy.access",
        "message": "PUT /photos/a%20b 403",
        "request_id": "REQ1",
        "peer": "10.0.0.1",
        "credential": "photos/writer",
        "operation": "PutObject",
        "status": 403,
        "code": "AccessDenied",
        "duration_ms": 12.346,
        "received_bytes": 4096,
        "sent_bytes": 0,
    }


async def test_a_presigned_url_whose_question_mark_was_encoded_gives_no_signature_away() -> None:
    """Whoever reads the log could mend it, and use it until it expires."""
    stream = io.BytesIO()
    log = AccessLog(stream)
    log.write(access(path="/photos/key%3FX-Amz-Date=20261122T000000Z&X-Amz-Signature=0123abcd"))
    log.flush()
    line = orjson.loads(stream.getvalue())
    assert line["message"].startswith("PUT /photos/key%3FX-Amz-Date=20261122T000000Z&X-Amz-Signature=[redacted] ")
    assert b"0123abcd" not in stream.getvalue()


async def test_lines_are_written_without_being_asked_in_the_order_of_the_requests() -> None:
    flushed = asyncio.Event()

    class Stream(io.BytesIO):
        def flush(self) -> None:
            flushed.set()

    stream = Stream()
    log = AccessLog(stream)
    for number in range(3):
        log.write(access(f"/b/{number}"))
    assert stream.getvalue() == b"", "a busy proxy writes in batches"
    await asyncio.wait_for(flushed.wait(), 5)
    assert [orjson.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["PUT /b/0 200", "PUT /b/1 200", "PUT /b/2 200"]


async def test_a_full_batch_is_written_at_once() -> None:
    stream = io.BytesIO()
    log = AccessLog(stream)
    for _ in range(500):
        log.write(access())
    assert stream.getvalue().count(b"\n") == 500


async def test_above_info_nothing_is_kept(level: logging.Logger) -> None:
    level.setLevel(logging.WARNING)
    stream = io.BytesIO()
    log = AccessLog(stream)
    log.write(access())
    log.flush()
    assert stream.getvalue() == b""
