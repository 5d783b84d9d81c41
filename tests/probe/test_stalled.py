"""Clients and backends that stand still are given up, alone and for the right reason; the slow are not. Nothing stays reserved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from botocore.config import Config
from tests.probe.bystanders import undisturbed
from tests.support.edge import Response, WireClient, connected
from tests.support.fleet import BackendShape, Fleet, Launch
from tests.support.proxy import wait_until
from tests.support.seaweedfs import SeaweedFS
from tests.support.signed import signed_head
from tests.support.trees import random_bytes
from tests.support.valve import Valve

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.metadata.open import open_ledger

KIB, MIB = 1024, 1024**2

pytestmark = pytest.mark.slow

CLIENT_S = 4.0
"""How long a client may stand still, and its head may take."""
BACKEND_S = 2.0
"""How long the backend behind the valve may."""
BETWEEN_S = 2.8
"""A pause that a client may make, and that backend may not."""
FILM = random_bytes(16 * MIB)
"""More than all buffers on its way hold."""


@dataclass
class Stage:
    """Objects above 64 KiB, and uploads, go to the backend `lame`, which is reached through the valve; the others to `sound`."""

    fleet: Fleet
    valve: Valve

    def __post_init__(self) -> None:
        self._signer = self.fleet.client(config=Config(signature_version="s3v4"))

    @property
    def port(self) -> int:
        return self.fleet.proxies[0].port

    def calls(self, operation: str) -> dict[str, int]:
        """How the calls of one operation to `lame` ended so far: how many by status."""
        found = {status: self._calls(operation, status) for status in ("success", "aborted", "timeout", "unavailable")}
        return {status: count for status, count in found.items() if count}

    def gone(self, method: str) -> int:
        """Requests whose client did not take the answer."""
        return int(self.fleet.proxies[0].metric("s3o_requests_total", method=method, status_code="499") or 0)

    def head(self, method: str, key: str, size_bytes: int = 0, **parameters: object) -> bytes:
        """Of a presigned request. `method` and `parameters` in the words of boto3."""
        named = {"Bucket": self.fleet.bucket, "Key": key, **parameters}
        url = urlsplit(self._signer.generate_presigned_url(method, Params=named, ExpiresIn=60))
        verb = "GET" if method == "get_object" else "PUT"
        length = f"Content-Length: {size_bytes}\r\n" if verb == "PUT" else ""
        return f"{verb} {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n{length}\r\n".encode()

    def _calls(self, operation: str, status: str) -> int:
        return int(self.fleet.proxies[0].metric("s3o_backend_requests_total", backend="lame", operation=operation, status=status) or 0)


@pytest.fixture(scope="module")
def stage(launch: Launch, seaweedfs: SeaweedFS) -> Iterator[Stage]:
    with Valve(seaweedfs.server().endpoint) as valve:
        limits, timeouts = {"maxObjectSize": "64Ki", "bytes": "4Mi"}, {"request": f"{BACKEND_S:.0f}s", "stall": f"{BACKEND_S:.0f}s"}
        fleet = launch(
            backends=[BackendShape("sound", 1, spec={"quota": limits}), BackendShape("lame", 2, endpoint=valve.url)],
            server={"stallTimeout": f"{CLIENT_S:.0f}s", "readHeaderTimeout": f"{CLIENT_S:.0f}s"},
        )
        # With time to spare: a bucket's first write makes its server's volumes.
        for key, content in (("film", FILM), ("small", b"small")):
            fleet.client().put_object(Bucket=fleet.bucket, Key=key, Body=content)
        with fleet.next_generation():
            fleet.write_backend(BackendShape("lame", 2, endpoint=valve.url, spec={"timeouts": timeouts}))
        yield Stage(fleet, valve)
        for name in ("s3o_pending_intents", "s3o_active_multipart_uploads"):
            wait_until(partial(_is_zero, fleet, name), f"{name} is not 0")
        for backend in ("sound", "lame"):
            assert fleet.proxies[0].metric("s3o_quota_bytes_reserved", backend=backend) == 0
        assert fleet.audit() == []


@pytest.fixture(autouse=True)
async def nothing_is_left(stage: Stage) -> AsyncIterator[None]:
    """After each test, at once, no intent and no reserved byte. That bytes and rows agree is seen once, in the end: a leak stays."""
    yield
    stage.valve.narrow(None)
    stage.valve.open()
    ledger = await open_ledger(DatabaseConfig(path=str(stage.fleet.directory / "s3o.db")), {}, read_only=True)
    try:
        depths, usage = await ledger.queue_depths(), await ledger.usage()
    finally:
        await ledger.close()
    assert (depths["intents"], depths["uploads"]) == (0, 0)
    assert {name: each.reserved_bytes for name, each in usage.items()} == {"sound": 0, "lame": 0}


# --- clients ------------------------------------------------------------------------------------------------------------------------


async def test_clients_that_stop_sending_are_told_so(stage: Stage) -> None:
    async with an_upload(stage) as upload_id:
        before, parts_before = stage.calls("PutObject"), stage.calls("UploadPart")
        async with undisturbed(stage.fleet, slower_than_s=CLIENT_S), asyncio.TaskGroup() as group:
            halves = [
                stage.head("put_object", "half", MIB) + FILM[: MIB // 2],
                stage.head("upload_part", "parts", MIB, UploadId=upload_id, PartNumber=1) + FILM[: MIB // 2],
                _half_a_chunk(stage.fleet, "chunks"),
            ]
            waiting = [group.create_task(_ask_and_hang_up(stage, half)) for half in halves]
        for answer in (task.result() for task in waiting):
            assert code(answer) == (400, "RequestTimeout")
            assert answer.headers["connection"] == "close"
        # None of it is the backend's fault.
        assert stage.calls("PutObject") == before | {"aborted": before.get("aborted", 0) + 2}
        assert stage.calls("UploadPart") == parts_before | {"aborted": parts_before.get("aborted", 0) + 1}
        client, bucket = stage.fleet.client(), stage.fleet.bucket
        assert "Parts" not in client.list_parts(Bucket=bucket, Key="parts", UploadId=upload_id)
    assert {each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]}.isdisjoint({"half", "chunks"})


async def test_a_client_that_stops_reading_is_cut(stage: Stage) -> None:
    gone, before = stage.gone("GET"), stage.calls("GetObject")
    async with undisturbed(stage.fleet, slower_than_s=CLIENT_S), connected(stage.port, receive_buffer_bytes=64 * KIB) as client:
        client.send(stage.head("get_object", "film"))
        await client.reader.readuntil(b"\r\n\r\n")
        await asyncio.to_thread(wait_until, lambda: stage.gone("GET") > gone, "it still waits for its reader", timeout_s=10)
        assert len(await _rest(client)) < len(FILM)
    assert stage.calls("GetObject") == before | {"aborted": before.get("aborted", 0) + 1}


async def test_a_head_has_its_time_however_it_drips(stage: Stage) -> None:
    begun = stage.head("get_object", "film")[:40]
    async with undisturbed(stage.fleet, slower_than_s=CLIENT_S), connected(stage.port) as silent, connected(stage.port) as dripping:
        started = time.monotonic()
        silent.send(begun)
        dripping.send(begun)
        answer = asyncio.create_task(dripping.response())
        while not answer.done():
            dripping.send(b"a")
            await asyncio.sleep(0.1)
        assert code(await answer) == code(await silent.response()) == (400, "RequestTimeout")
        assert CLIENT_S <= time.monotonic() - started < 2 * CLIENT_S
        for client in (silent, dripping):
            client.writer.write_eof()
            assert await client.is_closed()


async def test_who_is_slow_is_waited_for(stage: Stage) -> None:
    """A writer byte by byte, and a reader of now and then: slower than the backend may be, and longer than a client may stand still."""
    content = FILM[: 100 * KIB]
    reads, writes = stage.calls("GetObject"), stage.calls("PutObject")
    async with (
        connected(stage.port) as writer,
        connected(stage.port, receive_buffer_bytes=64 * KIB) as reader,
        asyncio.TaskGroup() as group,
    ):
        reader.send(stage.head("get_object", "film"))
        await reader.reader.readuntil(b"\r\n\r\n")
        reading = group.create_task(_read_now_and_then(reader, len(FILM)))
        writer.send(stage.head("put_object", "slow", len(content)) + content[:-3])
        for last in content[-3:]:
            await asyncio.sleep(BETWEEN_S)
            writer.send(bytes([last]))
        assert (await writer.response()).status == 200
    assert reading.result() == FILM
    client, bucket = stage.fleet.client(), stage.fleet.bucket
    assert client.get_object(Bucket=bucket, Key="slow")["Body"].read() == content
    assert stage.calls("PutObject") == writes | {"success": writes["success"] + 1}
    assert stage.calls("GetObject") == reads | {"success": reads.get("success", 0) + 2}


# --- backends -----------------------------------------------------------------------------------------------------------------------


async def test_writes_to_a_backend_that_stops_fail_and_may_be_tried_again(stage: Stage) -> None:
    async with an_upload(stage) as upload_id:
        writes, parts = stage.calls("PutObject"), stage.calls("UploadPart")
        stage.valve.shut()
        started = time.monotonic()
        async with undisturbed(stage.fleet, slower_than_s=BACKEND_S), asyncio.TaskGroup() as group:
            requests = [
                stage.head("put_object", "unanswered", 128 * KIB) + FILM[: 128 * KIB],
                stage.head("put_object", "stuck", len(FILM)) + FILM,
                stage.head("upload_part", "parts", len(FILM), UploadId=upload_id, PartNumber=1) + FILM,
            ]
            waiting = [group.create_task(_ask_and_hang_up(stage, request)) for request in requests]
        assert BACKEND_S <= time.monotonic() - started < CLIENT_S + BACKEND_S
        assert [told_to_come_back(task.result()) for task in waiting] == [True] * 3
        assert stage.calls("PutObject") == writes | {"timeout": writes.get("timeout", 0) + 2}
        assert stage.calls("UploadPart") == parts | {"timeout": parts.get("timeout", 0) + 1}
        stage.valve.open()
        listed = stage.fleet.client().list_objects_v2(Bucket=stage.fleet.bucket)["Contents"]
        assert {each["Key"] for each in listed}.isdisjoint({"unanswered", "stuck"})


async def test_reads_from_a_backend_that_stops_fail_and_never_look_whole(stage: Stage) -> None:
    before = stage.calls("GetObject")
    async with (
        undisturbed(stage.fleet, slower_than_s=BACKEND_S),
        connected(stage.port, receive_buffer_bytes=64 * KIB) as begun,
        connected(stage.port) as late,
    ):
        begun.send(stage.head("get_object", "film"))
        head = await begun.reader.readuntil(b"\r\n\r\n")
        assert f"content-length: {len(FILM)}".encode() in head
        stage.valve.shut()
        rest = asyncio.create_task(_rest(begun))
        assert told_to_come_back(await late.ask(stage.head("get_object", "film")))
        assert len(await rest) < len(FILM)
        assert FILM.startswith(rest.result())
    assert stage.calls("GetObject") == before | {"timeout": before.get("timeout", 0) + 2}


async def test_a_deletion_does_not_wait_for_its_backend(stage: Stage) -> None:
    fleet, before = stage.fleet, stage.calls("DeleteObjects")
    client = fleet.client()
    client.put_object(Bucket=fleet.bucket, Key="unwanted", Body=FILM[:MIB])
    stage.valve.shut()
    async with undisturbed(fleet, slower_than_s=BACKEND_S):
        started = time.monotonic()
        await asyncio.to_thread(client.delete_object, Bucket=fleet.bucket, Key="unwanted")
        assert time.monotonic() - started < BACKEND_S
        timed_out = before | {"timeout": before.get("timeout", 0) + 1}
        await asyncio.to_thread(wait_until, lambda: stage.calls("DeleteObjects") == timed_out, "the cleanup did not try it", timeout_s=10)
    assert list(fleet.stored("lame", "unwanted").values()) == [MIB]


async def test_a_backend_that_is_slow_is_waited_for_and_its_client_not_blamed(stage: Stage) -> None:
    """The client cannot send for longer than it may stand still, and each piece takes longer than the backend may."""
    content, before = FILM[: 5 * MIB], stage.calls("PutObject")
    stage.valve.narrow(512 * KIB)
    async with connected(stage.port) as client:
        client.send(stage.head("put_object", "thick", len(content)) + content)
        await asyncio.sleep(2 * CLIENT_S)
        assert stage.calls("PutObject") == before
        stage.valve.narrow(None)
        assert (await client.response()).status == 200
    assert stage.calls("PutObject") == before | {"success": before["success"] + 1}


# --- helpers ------------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def an_upload(stage: Stage) -> AsyncIterator[str]:
    client, bucket = stage.fleet.client(), stage.fleet.bucket
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    try:
        yield upload_id
    finally:
        client.abort_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload_id)


def _is_zero(fleet: Fleet, metric: str) -> bool:
    return fleet.proxies[0].metric(metric) == 0


def code(answer: Response) -> tuple[int, str | None]:
    return answer.status, ElementTree.fromstring(answer.body).findtext("Code")


def told_to_come_back(answer: Response) -> bool:
    return code(answer) == (503, "ServiceUnavailable") and int(answer.headers["retry-after"]) > 0


def _half_a_chunk(fleet: Fleet, key: str) -> bytes:
    """The signed head of an aws-chunked PUT of 1 MiB, its first chunk, and of the second the size and a little more."""
    size, chunk = MIB, 256 * KIB
    headers = {
        "Content-Encoding": "aws-chunked",
        "Content-Length": str(size + 4 * len(b"40000\r\n\r\n") + len(b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n")),
        "x-amz-decoded-content-length": str(size),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    keys, host = fleet.keys, urlsplit(fleet.endpoint).netloc
    head, _ = signed_head(
        "PUT",
        f"/{fleet.bucket}/{key}",
        headers,
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        host=host,
        key_id=keys.access_key_id,
        secret=keys.secret_access_key,
    )
    return head + b"40000\r\n" + FILM[:chunk] + b"\r\n40000\r\nno more"


async def _ask_and_hang_up(stage: Stage, request: bytes) -> Response:
    """The answer to `request`; then the connection is ended, and it is not kept by the other side."""
    async with connected(stage.port) as client:
        answer = await client.ask(request)
        client.writer.write_eof()
        assert await client.is_closed()
        return answer


async def _rest(client: WireClient) -> bytes:
    """Everything to the end of the connection, however that comes."""
    pieces = []
    try:
        while piece := await client.reader.read(MIB):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)


async def _read_now_and_then(client: WireClient, size_bytes: int) -> bytes:
    pieces, third = [], size_bytes // 3
    for size in (third, third, size_bytes - 2 * third):
        await asyncio.sleep(BETWEEN_S)
        pieces.append(await client.reader.readexactly(size))
    return b"".join(pieces)
