"""The HTTP connections under the S3 client: aiohttp, bare of what an S3 SDK and aiohttp would add on their own.

No redirect is followed, no request is sent twice, no cookie is kept, no `Expect` is sent; what fails is raised as aiohttp raised it. A
connection that was left in the middle of a body, in either direction, is aborted and never used again.
"""

from __future__ import annotations

from typing import Any, cast

import aiohttp
import aiohttp.payload
from aiobotocore.awsrequest import AioAWSResponse
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from aiohttp.http_writer import StreamWriter
from botocore.awsrequest import AWSPreparedRequest
from multidict import CIMultiDict
from yarl import URL

from s3o_proxy.backends.upload import Upload, UploadBody

USER_AGENT = "s3-orchestrator"

_READ_BYTES = 256 * 1024
_MAX_CONNECTIONS = 1000
"""Per backend; opened when needed. As many as requests are admitted by default: a slow reader must not keep a writer waiting."""
_KEEPALIVE_S = 12.0
"""Shorter than servers keep an idle connection, so that it is rarely closed just when it is used."""


class ConnectionBroke(aiohttp.ClientConnectionError):
    """The connection ended before an answer. Unlike the errors it stands for, aiohttp does not answer it by sending again."""


class Answer(ClientResponse):
    """A response whose connection can be torn down at once, whatever is still unsent or unread."""

    _transport: Any = None

    async def start(self, connection: Connection) -> ClientResponse:
        self._transport = connection.transport
        return await super().start(connection)

    def close(self) -> None:
        # aiohttp would first send what it has buffered, to a server that may not be reading any more.
        if self.connection is not None:
            self.abort()
        super().close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _UploadPayload(aiohttp.payload.AsyncIterablePayload):
    def __init__(self, upload: Upload) -> None:
        super().__init__(upload)
        self._upload = upload

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if isinstance(writer, StreamWriter) and writer.transport is not None:
            self._upload.leaves_by(writer.transport)
        await super().write_with_length(writer, content_length)


class _ReadAnswer:
    """What botocore parses: an answer that has been read, its connection given back."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content


class HTTPSession:
    """Made by botocore for each client; the TLS context is `connector_args["ssl_context"]`, which plain HTTP does without."""

    def __init__(self, timeout: tuple[float, float], proxies: dict[str, str] | None, connector_args: dict[str, Any], **_: object) -> None:
        self._connect_timeout_s = timeout[0]
        self._proxies = proxies or {}
        self._ssl_context = connector_args.get("ssl_context", True)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HTTPSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._ssl_context, limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE_S),
            # Everything after the connection is timed by whoever knows what is being waited for.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers={"Content-Type", "User-Agent"},
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
            max_line_size=16 * 1024,
            max_field_size=16 * 1024,
            response_class=Answer,
            middlewares=(_send_once,),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def close(self) -> None:
        await self.__aexit__()

    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
        """Raises aiohttp's errors, OSError or TimeoutError."""
        if self._session is None:
            raise RuntimeError("the session was not entered")
        headers = CIMultiDict((name, value if isinstance(value, str) else value.decode()) for name, value in request.headers.items())
        headers["Accept-Encoding"] = "identity"
        headers["User-Agent"] = USER_AGENT
        body = request.body
        answer = await self._session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=headers,
            data=_UploadPayload(body.upload) if isinstance(body, UploadBody) else body,
            allow_redirects=False,
            proxy=self._proxies.get(request.url.split(":", 1)[0]),
        )
        raw: ClientResponse | _ReadAnswer = answer
        if not (request.stream_output and answer.status < 300):
            raw = _ReadAnswer(await _read(answer, body))
        received = {name.decode().lower(): value.decode("utf-8", "surrogateescape") for name, value in answer.raw_headers}
        return AioAWSResponse(request.url, answer.status, cast("Any", received), raw)


async def _read(answer: ClientResponse, body: object) -> bytes:
    try:
        return await answer.read()
    except (aiohttp.ClientError, OSError):
        if answer.status < 300:
            raise
        # The status alone says enough, when the server closed the connection on a body that it did not want.
        return b""
    finally:
        if isinstance(body, UploadBody) and not body.upload.complete and isinstance(answer, Answer):
            answer.abort()


async def _send_once(request: ClientRequest, handler: aiohttp.ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionBroke(str(error) or type(error).__name__) from error
