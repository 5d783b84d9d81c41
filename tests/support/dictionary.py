"""A whole S3 in a dictionary, behind the real edge: enough of the application's port to try clients and wire forms against."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext

from starlette.routing import Route
from tests.support.edge import Response, Served, WireClient, connected, serving

from s3o_crds.compiled import BucketConfig, CredentialConfig, FleetConfig, ServerConfig
from s3o_proxy.config.snapshot import Credential, Snapshot, take_snapshot
from s3o_proxy.domain.errors import NoSuchKey
from s3o_proxy.domain.model import Digests, ListedObject, StoredObject, Upload
from s3o_proxy.domain.ranges import resolve
from s3o_proxy.domain.read_conditions import Reading, evaluate
from s3o_proxy.http.endpoint import Endpoint
from s3o_proxy.http.health import Readiness
from s3o_proxy.http.site import make_site
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.body import Body
from s3o_proxy.s3.documents import parse_complete_multipart_upload, parse_delete
from s3o_proxy.telemetry.access_log import AccessLog
from s3o_proxy.telemetry.metrics import Metrics

KEY_ID, SECRET, TOKEN = "AKIAEXAMPLE", "secret-of-the-example", "token-of-the-example"
BUCKET = "photos"
_PIECE_BYTES = 256 * 1024


class Dictionary:
    """Implements `http.endpoint.Application`. `objects`: by key. `taken_bytes` and `taking`: of the last body, also of a broken one."""

    def __init__(self, server: ServerConfig | None = None) -> None:
        credentials = (
            CredentialConfig(name="app", access_key_id="ns/keys/id", secret_access_key="ns/keys/secret"),
            CredentialConfig(name="token", type="Token", token="ns/keys/token"),
        )
        config = FleetConfig(name="test", server=server or ServerConfig(), buckets=(BucketConfig(name=BUCKET, credentials=credentials),))
        self._snapshot = take_snapshot(config, {"ns/keys/id": KEY_ID, "ns/keys/secret": SECRET, "ns/keys/token": TOKEN})
        self.objects: dict[str, tuple[StoredObject, bytes]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.taken_bytes = 0
        self.taking = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def clock(self) -> int:
        return time.time_ns() // 1_000_000

    async def ready(self) -> bool:
        return True

    async def perform(self, credential: Credential, operation: ops.Operation, body: Body) -> ops.Result:
        match operation:
            case ops.PutObject():
                return await self._put(operation, body)
            case ops.GetObject():
                return self._get(operation)
            case ops.DeleteObject():
                self.objects.pop(operation.key, None)
                return ops.Deleted()
            case ops.DeleteObjects():
                keys = tuple(each.key for each in parse_delete(await body.read_all(2**20)).keys)
                for key in keys:
                    self.objects.pop(key, None)
                return ops.ObjectsDeleted(keys, ())
            case ops.ListObjectsV2():
                return self._list(operation)
            case ops.HeadBucket() | ops.CreateBucket():
                return ops.BucketExists()
            case ops.GetUnconfigured():
                return ops.NothingConfigured(operation.subresource)
            case _:
                return await self._multipart(operation, body)

    async def _put(self, operation: ops.PutObject, body: Body) -> ops.ObjectWritten:
        body.want_md5()
        data = await self._read(body)
        digests = Digests(body.content_hash, dict(body.checksums) or {"CRC64NVME": body.content_hash})
        self._store(operation.bucket, operation.key, body.md5_hex, digests, data, operation)
        return ops.ObjectWritten(body.md5_hex, digests)

    async def _read(self, body: Body) -> bytes:
        pieces = io.BytesIO()
        self.taken_bytes = 0
        async for piece in body:
            assert len(piece) <= _PIECE_BYTES
            self.taken_bytes += pieces.write(piece)
            self.taking.set()
        return pieces.getvalue()

    def _store(self, bucket: str, key: str, etag: str, digests: Digests, data: bytes, described: ops.PutObject | Upload) -> None:
        found = StoredObject(bucket, key, "w", len(data), etag, self.clock(), described.description, digests, ())
        self.objects[key] = (found, data)

    def _get(self, operation: ops.GetObject) -> ops.ObjectRead | ops.NotModified:
        if operation.key not in self.objects:
            raise NoSuchKey(operation.bucket, operation.key)
        found, data = self.objects[operation.key]
        if evaluate(operation.conditions, found.etag, found.modified_ms) is Reading.NOT_MODIFIED:
            return ops.NotModified(found)
        byte_range = resolve(operation.range, found.size_bytes) if operation.range else None
        first, last = byte_range or (0, found.size_bytes - 1)
        stream = None if isinstance(operation, ops.HeadObject) else self._open(data[first : last + 1])
        return ops.ObjectRead(found, byte_range, stream)

    @asynccontextmanager
    async def _open(self, data: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), _PIECE_BYTES):
                yield data[start : start + _PIECE_BYTES]

        yield pieces()

    def _list(self, operation: ops.ListObjectsV2) -> ops.ObjectsListed:
        found = sorted(key for key in self.objects if key.startswith(operation.prefix))
        listed = [self.objects[key][0] for key in found]
        rows = tuple(ListedObject(each.key, each.size_bytes, each.etag, each.modified_ms, (), "FULL_OBJECT") for each in listed)
        return ops.ObjectsListed(operation, rows, (), None)

    async def _multipart(self, operation: ops.Operation, body: Body) -> ops.Result:
        match operation:
            case ops.CreateMultipartUpload():
                upload = Upload(
                    f"upload-{len(self.uploads)}", operation.bucket, operation.key, "w", "b", "s", "u", self.clock(), operation.description
                )
                self.uploads[upload.upload_id] = {}
                return ops.UploadCreated(upload)
            case ops.UploadPart():
                body.want_md5()
                self.uploads[operation.upload_id][operation.part_number] = await self._read(body)
                return ops.PartWritten(body.md5_hex, Digests(body.content_hash, dict(body.checksums)))
            case ops.CompleteMultipartUpload():
                parts = self.uploads.pop(operation.upload_id)
                numbers = [part.part_number for part in parse_complete_multipart_upload(await body.read_all(2**20))]
                data = b"".join(parts[number] for number in numbers)
                self._store(operation.bucket, operation.key, f"{'0' * 32}-{len(numbers)}", Digests("AAAAAAAAAAA="), data, ops.PutObject())
                return ops.UploadCompleted(operation.bucket, operation.key, f"{'0' * 32}-{len(numbers)}", Digests("AAAAAAAAAAA="))
        raise AssertionError(f"{operation.name} is not in the dictionary")


class DictionaryEdge:
    """The real endpoint over a Dictionary. `log`: what the access log wrote."""

    def __init__(self, application: Dictionary, admin: Sequence[Route] = (), *, serves_s3: bool = True) -> None:
        self.application = application
        self.metrics = Metrics("test")
        self.log = io.BytesIO()
        self.access_log = AccessLog(self.log)
        self.readiness = Readiness(application.ready)
        site = make_site(self.readiness.reason, self.metrics.answer, admin)
        self.endpoint = Endpoint(application, site, self.metrics, self.access_log, "instance", serves_s3=serves_s3)


@asynccontextmanager
async def dictionary(application: Dictionary | None = None, tls: SSLContext | None = None) -> AsyncIterator[tuple[Served, DictionaryEdge]]:
    edge = DictionaryEdge(application or Dictionary())
    async with serving(edge.endpoint, tls, edge.readiness) as served:
        yield served, edge


# --- talking to the dictionary -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def talking(application: Dictionary | None = None) -> AsyncIterator[tuple[WireClient, DictionaryEdge]]:
    async with dictionary(application) as (served, edge), connected(served.port) as client:
        yield client, edge


def request_head(method: str, path: str, headers: Mapping[str, object] | None = None, *, token: str = TOKEN) -> bytes:
    """Without a `token` the request proves nothing."""
    proof = {"X-Proxy-Token": token} if token else {}
    lines = [f"{name}: {value}" for name, value in {"Host": "localhost", **proof, **(headers or {})}.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


def code_of(response: Response) -> str:
    found = re.search(rb"<Code>(\w+)</Code>", response.body)
    return found[1].decode() if found else ""


async def is_alive(client: WireClient) -> bool:
    """The connection is in order: it serves another request."""
    return (await client.ask(request_head("GET", f"/{BUCKET}?list-type=2"))).status == 200


async def one_request_over(served: Served) -> None:
    await asyncio.wait(served.server.server_state.tasks, return_when=asyncio.FIRST_COMPLETED)
