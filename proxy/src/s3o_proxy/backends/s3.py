"""A bucket at an S3 provider, over HTTP.

Bodies stream in both directions; giving a download up closes its connection. Time-outs other than the one to connect belong to `guarded`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self

from aiobotocore.session import AioSession

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.client import new_session, open_client
from s3o_proxy.backends.port import GetResult, HeadResult, ListedKey, ListedMultipart, PutResult, Traits, Watch
from s3o_proxy.backends.requests import Pieces, Requests
from s3o_proxy.domain.errors import BackendNotFound, BackendRejected, BackendUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_SINGLE_DELETES = 10
"""At once, where DeleteObjects cannot be used; and so many in a row that reach nobody end it, the others would not either."""

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_BULK_DELETE = frozenset({"NotImplemented", "MethodNotAllowed"})


class S3Backend:
    """Open with `S3Backend.open`, end with `close`."""

    def __init__(self, config: BackendConfig, account: str, client: S3Client, unsigned_client: S3Client, stack: AsyncExitStack) -> None:
        self.name = config.name
        self.traits = Traits(etag_is_md5=config.etag_is_md5, verifies_content_md5=config.verifies_content_md5)
        self.bucket = config.bucket
        self.account = account
        self._client, self._stack = client, stack
        self._requests = Requests(config, client, unsigned_client)
        self._bulk_delete = True

    @classmethod
    async def open(cls, config: BackendConfig, secrets: Mapping[str, str], session: AioSession | None = None) -> Self:
        """`secrets`: the values that `config` refers to. Nothing is sent yet. Raises ValueError for a config that cannot work.

        `session`: share one among backends, it saves each of them a tenth of a second.
        """
        session = session or new_session()
        async with AsyncExitStack() as stack:
            unsigned = await open_client(stack, session, config, secrets, sign_payloads=False)
            client = unsigned if config.unsigned_payload else await open_client(stack, session, config, secrets, sign_payloads=True)
            account = f"{config.endpoint} {config.region} {secrets[config.access_key_id]}"
            return cls(config, account, client, unsigned, stack.pop_all())
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
        answer = await self._requests.upload("put_object", body, size_bytes, {"Key": key, **described})
        return PutResult(_etag(answer))

    def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AbstractAsyncContextManager[GetResult]:
        return self._got(key, byte_range)

    @asynccontextmanager
    async def _got(self, key: str, byte_range: tuple[int, int] | None) -> AsyncIterator[GetResult]:
        wanted = {} if byte_range is None else {"Range": f"bytes={byte_range[0]}-{byte_range[1]}"}
        answer = await self._requests.call(self._client.get_object, {"Key": key, **wanted}, attempts=2)
        response = answer["Body"].raw_stream
        try:
            size_bytes = self._size_of(answer, byte_range)
            yield GetResult(size_bytes, _etag(answer), Pieces(self.name, response.content, size_bytes))
        finally:
            # Leaving early must not drain a huge body; after its end this does nothing, the connection is already back in the pool.
            response.close()

    async def head(self, key: str) -> HeadResult:
        try:
            answer = await self._requests.call(self._client.head_object, {"Key": key}, attempts=2)
        except BackendRejected as error:
            if (error.status, error.code) != (404, "404"):
                raise
            # An answer to HEAD has no body to say what is missing: if it is the bucket, or the route to it, the object may well be there.
            await self._require_bucket()
            raise BackendNotFound(self.name, f"no object {key}") from error
        return HeadResult(answer["ContentLength"], _etag(answer), answer["Metadata"])

    async def delete(self, key: str) -> None:
        try:
            await self._requests.call(self._client.delete_object, {"Key": key}, attempts=2, mutates=True)
        except BackendNotFound:
            return

    async def delete_many(self, keys: Sequence[str], watch: Watch = nullcontext) -> dict[str, str]:
        in_xml = [key for key in keys if not _NOT_IN_XML.search(key)] if self._bulk_delete else []
        failed: dict[str, str] = {}
        if in_xml:
            try:
                with watch("DeleteObjects"):
                    failed = await self._delete_in_bulk(in_xml)
            except BackendRejected as error:
                if error.code not in _NO_BULK_DELETE:
                    raise
                self._bulk_delete, in_xml = False, []
        done = set(in_xml)
        return failed | await self._delete_singly([key for key in keys if key not in done], watch)

    async def copy(
        self,
        source_key: str,
        key: str,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        source_bucket: str = "",
    ) -> PutResult:
        described = _described(content_type, metadata)
        replaces = bool(content_type) or metadata is not None
        answer = await self._requests.call(
            self._client.copy_object,
            {
                "Key": key,
                "CopySource": {"Bucket": source_bucket or self.bucket, "Key": source_key},
                "MetadataDirective": "REPLACE" if replaces else "COPY",
                **described,
            },
            mutates=True,
        )
        return PutResult(_etag(answer["CopyObjectResult"]))

    async def list(self, prefix: str = "") -> AsyncIterator[ListedKey]:
        token: dict[str, str] = {}
        while True:
            page = await self._requests.call(self._client.list_objects_v2, {"Prefix": prefix, **token}, attempts=2)
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
        answer = await self._requests.call(self._client.create_multipart_upload, {"Key": key, **described}, mutates=True)
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
        answer = await self._requests.upload("upload_part", body, size_bytes, where | _with(ContentMD5=content_md5))
        return PutResult(_etag(answer))

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> PutResult:
        listed = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in parts]
        answer = await self._requests.call(
            self._client.complete_multipart_upload,
            {"Key": key, "UploadId": upload_id, "MultipartUpload": {"Parts": listed}},
            mutates=True,
        )
        return PutResult(_etag(answer))

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        try:
            await self._requests.call(self._client.abort_multipart_upload, {"Key": key, "UploadId": upload_id}, attempts=2, mutates=True)
        except BackendNotFound:
            return

    async def list_multipart(self) -> AsyncIterator[ListedMultipart]:
        marker: dict[str, str] = {}
        while True:
            # Without encoding-type: SeaweedFS says here that it encoded the keys, and did not.
            page = await self._requests.call(self._client.list_multipart_uploads, marker, attempts=2)
            for found in page.get("Uploads", ()):
                yield ListedMultipart(found["Key"], found["UploadId"])
            if not page.get("IsTruncated"):
                return
            following = {"KeyMarker": page.get("NextKeyMarker", ""), "UploadIdMarker": page.get("NextUploadIdMarker", "")}
            if not following["KeyMarker"] or following == marker:
                raise BackendUnavailable(self.name, "a list of uploads is truncated and does not say how it goes on")
            marker = following

    # --- what the verbs share ----------------------------------------------------------------------------------------

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
            await self._requests.call(self._client.head_bucket, {}, attempts=2)
        except BackendRejected as error:
            if error.status == 404:
                raise BackendRejected(self.name, 404, "NoSuchBucket", f"bucket {self.bucket} is not there") from error
            if error.status != 403:  # Not allowed to ask for the bucket: then it is there.
                raise

    async def _delete_in_bulk(self, keys: Sequence[str]) -> dict[str, str]:
        request = {"Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}}
        answer = await self._requests.call(self._client.delete_objects, request, attempts=2, mutates=True)
        failed = {
            error.get("Key", ""): f"{error.get('Code', '')}: {error.get('Message', '')}"
            for error in answer.get("Errors", ())
            if error.get("Code") != "NoSuchKey"
        }
        if not failed.keys() <= set(keys):
            # One of these keys was not deleted, and nobody says which: better all of them again than one forgotten.
            reason = next(reason for key, reason in failed.items() if key not in set(keys))
            return dict.fromkeys(keys, f"an error names none of the keys: {reason}")
        return failed

    async def _delete_singly(self, keys: Sequence[str], watch: Watch) -> dict[str, str]:
        failed: dict[str, str] = {}
        slots = asyncio.Semaphore(_SINGLE_DELETES)
        unreached: list[BackendUnavailable] = []
        """In a row."""

        async def delete(key: str) -> None:
            async with slots:
                if len(unreached) >= _SINGLE_DELETES:
                    failed[key] = f"not tried: {unreached[-1]}"
                    return
                try:
                    with watch("DeleteObject"):
                        await self.delete(key)
                except BackendUnavailable as error:
                    failed[key] = str(error)
                    unreached.append(error)
                    return
                except BackendRejected as error:
                    failed[key] = str(error)
                unreached.clear()

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
