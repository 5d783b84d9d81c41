"""A bucket at an S3 provider, over HTTP.

Bodies stream: an upload goes out with its exact length, unsigned or signed without any chunked encoding, as its source yields it; a
download comes in pieces of at most 256 KiB, and is given up by closing its connection. No request with a body is ever sent twice. Time-outs
other than the one to connect belong to `guarded`.

Where `unsignedPayload` is off, bodies to 1 MiB are held and signed. A larger one cannot be signed without holding it whole, so it goes
unsigned over TLS, which protects it as well, and is refused over plain HTTP.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aiobotocore.session import AioSession

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.client import open_client
from s3o_proxy.backends.errors import FAILURES, translate, was_not_connected
from s3o_proxy.backends.port import GetResult, HeadResult, ListedKey, ListedMultipart, PutResult, Traits
from s3o_proxy.backends.transport import ConnectionBroke
from s3o_proxy.backends.upload import Upload, UploadBody
from s3o_proxy.domain.errors import BackendNotFound, BackendRejected, BackendUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_T = TypeVar("_T")

_PIECE_BYTES = 256 * 1024
_SIGNED_BODY_BYTES = 1024 * 1024
_SINGLE_DELETES = 10
"""At once, where DeleteObjects cannot be used."""

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_BULK_DELETE = frozenset({"NotImplemented", "MethodNotAllowed"})


class S3Backend:
    """Open with `S3Backend.open`, end with `close`."""

    def __init__(self, config: BackendConfig, client: S3Client, unsigned_client: S3Client, stack: AsyncExitStack) -> None:
        self.name = config.name
        self.traits = Traits(etag_is_md5=config.etag_is_md5, verifies_content_md5=config.verifies_content_md5)
        self._bucket = config.bucket
        self._client, self._unsigned_client, self._stack = client, unsigned_client, stack
        self._signs_payloads = not config.unsigned_payload
        self._over_tls = config.endpoint.startswith("https://")
        self._bulk_delete = True

    @classmethod
    async def open(cls, config: BackendConfig, secrets: Mapping[str, str], session: AioSession | None = None) -> S3Backend:
        """`secrets`: the values that `config` refers to. Nothing is sent yet. Raises ValueError for a config that cannot work.

        `session`: share one among backends, it saves each of them a tenth of a second.
        """
        session = session or AioSession()
        async with AsyncExitStack() as stack:
            unsigned = await open_client(stack, session, config, secrets, sign_payloads=False)
            client = unsigned if config.unsigned_payload else await open_client(stack, session, config, secrets, sign_payloads=True)
            return cls(config, client, unsigned, stack.pop_all())
        raise AssertionError("unreachable")

    async def close(self) -> None:
        await self._stack.aclose()

    # --- objects -----------------------------------------------------------------------------------------------------

    async def put(
        self,
        key: str,
        body: AsyncIterable[bytes],
        size_bytes: int,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        content_md5: str = "",
    ) -> PutResult:
        described = _described(content_type, metadata) | _with(ContentMD5=content_md5)
        answer = await self._upload("put_object", Upload(body, size_bytes), size_bytes, Key=key, **described)
        return PutResult(_etag(answer))

    @asynccontextmanager
    async def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AsyncIterator[GetResult]:
        wanted = {} if byte_range is None else {"Range": f"bytes={byte_range[0]}-{byte_range[1]}"}
        answer = await self._call(self._client.get_object, {"Key": key, **wanted}, attempts=2)
        response = answer["Body"].raw_stream
        try:
            size_bytes = self._size_of(answer, byte_range)
            yield GetResult(size_bytes, _etag(answer), self._pieces(response, size_bytes))
        finally:
            # Leaving early must not drain a huge body; after its end this does nothing, the connection is already back in the pool.
            response.close()

    async def head(self, key: str) -> HeadResult:
        try:
            answer = await self._call(self._client.head_object, {"Key": key}, attempts=2)
        except BackendRejected as error:
            if (error.status, error.code) != (404, "404"):
                raise
            # An answer to HEAD has no body to say what is missing: if it is the bucket, or the route to it, the object may well be there.
            await self._require_bucket()
            raise BackendNotFound(self.name, f"no object {key}") from error
        return HeadResult(answer["ContentLength"], _etag(answer), answer["Metadata"])

    async def delete(self, key: str) -> None:
        try:
            await self._call(self._client.delete_object, {"Key": key}, attempts=2, mutates=True)
        except BackendNotFound:
            return

    async def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        in_xml = [key for key in keys if not _NOT_IN_XML.search(key)] if self._bulk_delete else []
        failed: dict[str, str] = {}
        if in_xml:
            try:
                failed = await self._delete_in_bulk(in_xml)
            except BackendRejected as error:
                if error.code not in _NO_BULK_DELETE:
                    raise
                self._bulk_delete, in_xml = False, []
        done = set(in_xml)
        return failed | await self._delete_singly([key for key in keys if key not in done])

    async def copy(self, source_key: str, key: str, *, content_type: str = "", metadata: Mapping[str, str] | None = None) -> PutResult:
        described = _described(content_type, metadata)
        answer = await self._call(
            self._client.copy_object,
            {
                "Key": key,
                "CopySource": {"Bucket": self._bucket, "Key": source_key},
                "MetadataDirective": "REPLACE" if described else "COPY",
                **described,
            },
            mutates=True,
        )
        return PutResult(_etag(answer["CopyObjectResult"]))

    async def list(self, prefix: str = "") -> AsyncIterator[ListedKey]:
        token: dict[str, str] = {}
        while True:
            page = await self._call(self._client.list_objects_v2, {"Prefix": prefix, **token}, attempts=2)
            for found in page.get("Contents", ()):
                yield ListedKey(found["Key"], found["Size"])
            if not page.get("IsTruncated"):
                return
            following = page.get("NextContinuationToken", "")
            if not following or following == token.get("ContinuationToken"):
                raise BackendUnavailable(self.name, "a listing is truncated and does not say how it goes on")
            token = {"ContinuationToken": following}

    # --- multipart uploads -------------------------------------------------------------------------------------------

    async def create_multipart(self, key: str, *, content_type: str = "", metadata: Mapping[str, str] | None = None) -> str:
        described = _described(content_type, metadata)
        answer = await self._call(self._client.create_multipart_upload, {"Key": key, **described}, mutates=True)
        return str(answer["UploadId"])

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: AsyncIterable[bytes],
        size_bytes: int,
        *,
        content_md5: str = "",
    ) -> PutResult:
        where = {"Key": key, "UploadId": upload_id, "PartNumber": part_number}
        answer = await self._upload("upload_part", Upload(body, size_bytes), size_bytes, **where, **_with(ContentMD5=content_md5))
        return PutResult(_etag(answer))

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> PutResult:
        listed = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in parts]
        answer = await self._call(
            self._client.complete_multipart_upload,
            {"Key": key, "UploadId": upload_id, "MultipartUpload": {"Parts": listed}},
            mutates=True,
        )
        return PutResult(_etag(answer))

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        try:
            await self._call(self._client.abort_multipart_upload, {"Key": key, "UploadId": upload_id}, attempts=2, mutates=True)
        except BackendNotFound:
            return

    async def list_multipart(self) -> AsyncIterator[ListedMultipart]:
        marker: dict[str, str] = {}
        while True:
            # Without encoding-type: SeaweedFS says here that it encoded the keys, and did not.
            page = await self._call(self._client.list_multipart_uploads, marker, attempts=2)
            for found in page.get("Uploads", ()):
                yield ListedMultipart(found["Key"], found["UploadId"])
            if not page.get("IsTruncated"):
                return
            following = {"KeyMarker": page.get("NextKeyMarker", ""), "UploadIdMarker": page.get("NextUploadIdMarker", "")}
            if not following["KeyMarker"] or following == marker:
                raise BackendUnavailable(self.name, "a list of uploads is truncated and does not say how it goes on")
            marker = following

    # --- how calls are made ------------------------------------------------------------------------------------------

    async def _call(
        self, method: Callable[..., Awaitable[_T]], arguments: Mapping[str, Any], *, attempts: int = 1, mutates: bool = False
    ) -> _T:
        """`attempts`: 2 for what may be asked again, since a server may close an idle connection in the moment it is used."""
        sent = False
        while True:
            attempts -= 1
            try:
                return await method(Bucket=self._bucket, **arguments)
            except FAILURES as error:
                sent = sent or not was_not_connected(error)
                if not (attempts and isinstance(error, ConnectionBroke)):
                    raise translate(error, self.name, may_have_happened=mutates and sent) from error

    async def _upload(self, verb: str, upload: Upload, size_bytes: int, **arguments: Any) -> Any:
        client, sent = await self._ready_to_send(upload, size_bytes)
        failed: Exception
        try:
            answer = await getattr(client, verb)(Bucket=self._bucket, ContentLength=size_bytes, Body=sent, **arguments)
            if upload.complete:
                return answer
            failed = BackendUnavailable(self.name, "answered that it stored a body which was not sent to its end")
        except FAILURES as error:
            failed = translate(error, self.name, may_have_happened=upload.complete and not was_not_connected(error))
            failed.__cause__ = error
        finally:
            await upload.settled()
        # A refusal says more than a source that was cut off because of it; otherwise what the source raised is the reason for the rest.
        if upload.failure is not None and not isinstance(failed, BackendRejected):
            raise upload.failure
        raise failed

    async def _ready_to_send(self, upload: Upload, size_bytes: int) -> tuple[S3Client, bytes]:
        if size_bytes == 0:
            await upload.drain()
            return self._client, b""
        if not self._signs_payloads:
            return self._client, UploadBody.of(upload)
        if size_bytes <= _SIGNED_BODY_BYTES:
            return self._client, b"".join([piece async for piece in upload])
        if not self._over_tls:
            raise BackendRejected(
                self.name, 400, "EntityTooLarge", f"over plain HTTP with unsignedPayload off, a body has at most {_SIGNED_BODY_BYTES} bytes"
            )
        return self._unsigned_client, UploadBody.of(upload)

    async def _pieces(self, response: Any, size_bytes: int) -> AsyncIterator[bytes]:
        received = 0
        try:
            while piece := await response.content.read(_PIECE_BYTES):
                received += len(piece)
                yield piece
        except FAILURES as error:
            raise translate(error, self.name, may_have_happened=False) from error
        if received != size_bytes:
            raise BackendUnavailable(self.name, f"sent {received} of {size_bytes} bytes")

    def _size_of(self, answer: Any, byte_range: tuple[int, int] | None) -> int:
        size_bytes = answer.get("ContentLength")
        if size_bytes is None:
            raise BackendUnavailable(self.name, "answered without a Content-Length")
        partial = answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        if byte_range is not None and not partial and (byte_range[0] or byte_range[1] + 1 < size_bytes):
            # Bytes of the whole object must not pass as those of the range.
            raise BackendUnavailable(self.name, "answered a range with the whole object")
        return int(size_bytes)

    async def _require_bucket(self) -> None:
        try:
            await self._call(self._client.head_bucket, {}, attempts=2)
        except BackendRejected as error:
            if error.status == 404:
                raise BackendRejected(self.name, 404, "NoSuchBucket", f"bucket {self._bucket} is not there") from error
            if error.status != 403:  # Not allowed to ask for the bucket: then it is there.
                raise

    async def _delete_in_bulk(self, keys: Sequence[str]) -> dict[str, str]:
        request = {"Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}}
        answer = await self._call(self._client.delete_objects, request, attempts=2, mutates=True)
        return {
            failed["Key"]: f"{failed.get('Code', '')}: {failed.get('Message', '')}"
            for failed in answer.get("Errors", ())
            if failed.get("Code") != "NoSuchKey"
        }

    async def _delete_singly(self, keys: Sequence[str]) -> dict[str, str]:
        failed: dict[str, str] = {}
        slots = asyncio.Semaphore(_SINGLE_DELETES)

        async def delete(key: str) -> None:
            async with slots:
                try:
                    await self.delete(key)
                except (BackendRejected, BackendUnavailable) as error:
                    failed[key] = str(error)

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(delete(key))
        return failed


def _etag(answer: Any) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _with(**optional: str) -> dict[str, str]:
    return {name: value for name, value in optional.items() if value}


def _described(content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    described: dict[str, Any] = _with(ContentType=content_type)
    return described | ({"Metadata": dict(metadata)} if metadata else {})
