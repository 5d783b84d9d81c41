"""How requests to an S3 server are made: what may be asked again, how a body goes along, and what a failure means.

An upload goes out with its exact length, as its source yields it, without any chunked encoding, and is never sent twice.

Where `unsignedPayload` is off, bodies to 1 MiB are held and signed. A larger one cannot be signed without holding it whole, so it goes
unsigned over TLS, which protects it as well, and is refused over plain HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import StreamReader

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.errors import FAILURES, translate, was_not_connected
from s3o_proxy.backends.transport import ConnectionBroke
from s3o_proxy.backends.upload import Upload, UploadBody
from s3o_proxy.domain.errors import BackendRejected, BackendUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_T = TypeVar("_T")

_PIECE_BYTES = 256 * 1024
SIGNED_BODY_BYTES = 1024 * 1024


class Requests:
    """Raises BackendError for whatever goes wrong with the backend or on the way to it; a cancellation passes through."""

    def __init__(self, config: BackendConfig, client: S3Client, unsigned_client: S3Client) -> None:
        self._name, self._bucket = config.name, config.bucket
        self._client, self._unsigned_client = client, unsigned_client
        self._signs_payloads = not config.unsigned_payload
        self._over_tls = config.endpoint.startswith("https://")

    async def call(
        self, method: Callable[..., Awaitable[_T]], arguments: Mapping[str, Any], *, attempts: int = 1, mutates: bool = False
    ) -> _T:
        """Ask a `method` of the client. `attempts`: 2 for what may be asked again, since a server may close an idle connection in the
        moment it is used."""
        sent = False
        while True:
            attempts -= 1
            try:
                return await method(Bucket=self._bucket, **arguments)
            except FAILURES as error:
                sent = sent or not was_not_connected(error)
                if not (attempts and isinstance(error, ConnectionBroke)):
                    raise translate(error, self._name, may_have_happened=mutates and sent) from error

    async def upload(self, verb: str, body: AsyncIterable[bytes], size_bytes: int, arguments: Mapping[str, Any]) -> Any:
        """Send `body` with `verb` of the client. What the body raises is raised as it is."""
        upload = Upload(body, size_bytes)
        client, sent = await self._ready_to_send(upload, size_bytes)
        failed: Exception
        try:
            answer = await getattr(client, verb)(Bucket=self._bucket, ContentLength=size_bytes, Body=sent, **arguments)
            if upload.complete:
                return answer
            failed = BackendUnavailable(self._name, "answered that it stored a body which was not sent to its end")
        except FAILURES as error:
            failed = translate(error, self._name, may_have_happened=upload.complete and not was_not_connected(error))
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
        if size_bytes <= SIGNED_BODY_BYTES:
            return self._client, b"".join([piece async for piece in upload])
        if not self._over_tls:
            limit = f"over plain HTTP with unsignedPayload off, a body has at most {SIGNED_BODY_BYTES} bytes"
            raise BackendRejected(self._name, 400, "EntityTooLarge", limit)
        return self._unsigned_client, UploadBody.of(upload)


class Pieces:
    """An answer's body as it arrives, in pieces of at most 256 KiB; a body of another size than was announced is an error."""

    def __init__(self, backend: str, content: StreamReader, size_bytes: int) -> None:
        self._backend, self._content, self._size_bytes = backend, content, size_bytes
        self._received_bytes = 0

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._content.read(_PIECE_BYTES)
        except FAILURES as error:
            raise translate(error, self._backend, may_have_happened=False) from error
        self._received_bytes += len(piece)
        if piece:
            return piece
        if self._received_bytes != self._size_bytes:
            raise BackendUnavailable(self._backend, f"sent {self._received_bytes} of {self._size_bytes} bytes")
        raise StopAsyncIteration
