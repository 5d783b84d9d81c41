"""The verbs of the data path over our own client; what is asked less often is left to aiobotocore."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self
from urllib.parse import quote

from aiobotocore.session import AioSession

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.client import connect_timeout_s, secret_of, ssl_context
from s3o_proxy.backends.errors import FAILURES, translate
from s3o_proxy.backends.port import GetResult, HeadResult, PutResult
from s3o_proxy.backends.s3 import S3Backend
from s3o_proxy.backends.wire.address import Address, is_behind_a_proxy
from s3o_proxy.backends.wire.answer import Answer
from s3o_proxy.backends.wire.asking import Asking
from s3o_proxy.backends.wire.dialer import Dialer
from s3o_proxy.backends.wire.pool import Pool
from s3o_proxy.backends.wire.request import RequestWriter
from s3o_proxy.backends.wire.signer import Signer
from s3o_proxy.domain.errors import BackendNotFound, BackendRejected, BackendUnavailable
from s3o_proxy.sockets.pipe import Pipe

_METADATA = "x-amz-meta-"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")
_SOME_KEY = "key"


class WireBackend(S3Backend):
    """Open with `WireBackend.open`, end with `close`."""

    _asking: Asking
    _pool: Pool

    @classmethod
    async def open(cls, config: BackendConfig, secrets: Mapping[str, str], session: AioSession | None = None) -> Self:
        """As S3Backend.open."""
        tls = ssl_context(config, secrets)
        backend = await super().open(config, secrets, session)
        await backend.connect(config, secrets, tls)
        return backend

    async def connect(self, config: BackendConfig, secrets: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        """Prepare for requests; nothing is sent yet."""
        address = await self.address()
        access_key_id, secret = (secret_of(config, secrets, name) for name in (config.access_key_id, config.secret_access_key))
        writer = RequestWriter(address, Signer(access_key_id, secret, config.region, address.authority))
        self._pool = Pool(Dialer(address, tls).dial, connect_timeout_s(config))
        self._asking = Asking(config, writer, self._pool)

    async def address(self) -> Address:
        """Where its bucket lies."""
        # Whether a bucket can be a host's name is full of rules (dots under TLS, capitals, numeric hosts), and botocore knows them all.
        url = await self._client.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": _SOME_KEY})
        return Address.of(url, _SOME_KEY)

    async def close(self) -> None:
        self._pool.close()
        await super().close()

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
        headers = _given(("content-md5", content_md5), ("content-type", content_type))
        if metadata:
            headers += self._metadata_headers(metadata)
        answer = await self._asking.upload(key, body, size_bytes, headers=headers)
        return PutResult(_etag(answer))

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
        query = f"partNumber={part_number}&uploadId={quote(upload_id, safe='')}"
        answer = await self._asking.upload(key, body, size_bytes, query=query, headers=_given(("content-md5", content_md5)))
        return PutResult(_etag(answer))

    def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AbstractAsyncContextManager[GetResult]:
        return _Got(self.name, self._asking, key, byte_range)

    async def head(self, key: str) -> HeadResult:
        try:
            answer = await self._asking.ask("HEAD", key)
        except BackendRejected as error:
            if (error.status, error.code) != (404, "404"):
                raise
            # An answer to HEAD has no body to say what is missing: if it is the bucket, or the route to it, the object may well be there.
            await self._require_bucket()
            raise BackendNotFound(self.name, f"no object {key}") from error
        if answer.size_bytes is None:
            raise BackendUnavailable(self.name, "answered without a Content-Length")
        named = [(name.decode("latin-1"), name) for name in answer.headers]
        metadata = {text.removeprefix(_METADATA): answer.header(name) for text, name in named if text.startswith(_METADATA)}
        return HeadResult(answer.size_bytes, _etag(answer), metadata)

    async def delete(self, key: str) -> None:
        try:
            await self._asking.change("DELETE", key)
        except BackendNotFound:
            return

    def _metadata_headers(self, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
        for name, value in metadata.items():
            if not (name.isascii() and value.isascii()):
                raise BackendRejected(self.name, 400, "InvalidArgument", f"metadata has to be ASCII: {name}: {value}")
        return [(_METADATA + name.lower(), value) for name, value in metadata.items()]


class _Got:
    """An object that is being read: enter it to ask for it, leave it to be done with its connection."""

    def __init__(self, backend: str, asking: Asking, key: str, byte_range: tuple[int, int] | None) -> None:
        self._backend, self._asking, self._key, self._range = backend, asking, key, byte_range
        self._answer: Answer | None = None

    async def __aenter__(self) -> GetResult:
        headers = () if self._range is None else (("range", f"bytes={self._range[0]}-{self._range[1]}"),)
        self._answer = answer = await self._asking.ask("GET", self._key, headers=headers)
        try:
            size_bytes = self._size_of(answer)
        except BaseException:
            answer.leave()
            raise
        return GetResult(size_bytes, _etag(answer), _Bytes(self._backend, answer))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._answer is not None:
            self._answer.leave()

    def _size_of(self, answer: Answer) -> int:
        size_bytes = answer.size_bytes
        if size_bytes is None:
            raise BackendUnavailable(self._backend, "answered without a Content-Length")
        if answer.status == 206:
            self._require_range(answer, size_bytes)
        elif self._range is not None and (self._range[0] or self._range[1] + 1 < size_bytes):
            # Bytes of the whole object must not pass as those of the range.
            raise BackendUnavailable(self._backend, "answered a range with the whole object")
        return size_bytes

    def _require_range(self, answer: Answer, size_bytes: int) -> None:
        text = answer.header(b"content-range")
        found = _CONTENT_RANGE.fullmatch(text)
        first, last = (int(found[1]), int(found[2])) if found else (0, -1)
        wanted = self._range
        if wanted is None or first != wanted[0] or last > wanted[1] or last - first + 1 != size_bytes:
            asked = f"bytes {wanted[0]}-{wanted[1]}" if wanted else "the whole object"
            raise BackendUnavailable(self._backend, f"was asked for {asked}, answered {size_bytes} bytes as {text!r}")


class _Bytes:
    """The bytes of an answer; that they are as many as announced is the connection's care."""

    def __init__(self, backend: str, answer: Answer) -> None:
        self._backend, self._answer = backend, answer

    def __aiter__(self) -> _Bytes:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._answer.receive()
        except FAILURES as error:
            raise translate(error, self._backend, may_have_happened=False) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    def into(self, pipe: Pipe) -> _Piped:
        return _Piped(self._backend, self._answer, pipe)


class _Piped:
    """As _Bytes, but some of them in a pipe."""

    def __init__(self, backend: str, answer: Answer, pipe: Pipe) -> None:
        self._backend, self._answer, self._pipe = backend, answer, pipe

    def __aiter__(self) -> _Piped:
        return self

    async def __anext__(self) -> bytes | Pipe:
        try:
            piece = await self._answer.receive_into(self._pipe)
        except FAILURES as error:
            raise translate(error, self._backend, may_have_happened=False) from error
        if not piece:
            raise StopAsyncIteration
        return piece


def _etag(answer: Answer) -> str:
    return answer.header(b"etag").strip('"')


def _given(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    return [header for header in headers if header[1]]


async def open_backend(config: BackendConfig, secrets: Mapping[str, str], session: AioSession | None = None) -> S3Backend:
    """By default a WireBackend. Behind an HTTP proxy of the environment, whose tunnels and forms of address aiohttp knows, everything is
    aiobotocore's. Raises ValueError for a config that cannot work."""
    opens = S3Backend if is_behind_a_proxy(config.endpoint) else WireBackend
    return await opens.open(config, secrets, session)
