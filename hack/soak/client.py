"""A small asynchronous S3 client: kept connections, one try for each request, and no opinion about the answer.

A client library takes a millisecond of processor time for a request; with a million of them on the machine that also runs the proxies, that
would be most of what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import cast
from urllib.parse import quote
from xml.etree import ElementTree

import httptools
from hack.bench.signing import Signer, canonical_query
from hack.soak.model import digest

_NOTHING: Mapping[str, str] = MappingProxyType({})
_CONNECT_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 60.0
_SIGNER_AGE_S = 240.0
"""A signature's date is accepted for fifteen minutes (RequestTimeTooSkewed)."""


class NotSentError(Exception):
    """Nobody listens there: certainly nothing was done."""


class UnansweredError(Exception):
    """Something was sent, and no whole answer came."""


@dataclass(frozen=True)
class Access:
    """A bucket at an endpoint of this machine, and the keys to it."""

    port: int
    bucket: str
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")

    @property
    def code(self) -> str:
        """Of an S3 error, from its document."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()

    def xml(self) -> ElementTree.Element:
        """The document, without its namespace."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class S3:
    """Requests to one bucket. Connections are kept and used again after a whole answer only."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._idle: list[_Connection] = []
        self._signer, self._signer_since_s = self._new_signer(), time.monotonic()

    async def request(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] = _NOTHING,
        body: bytes = b"",
        headers: Mapping[str, str] = _NOTHING,
        timeout_s: float = _ANSWER_TIMEOUT_S,
    ) -> Answer:
        """`headers` in lower case. Raises NotSentError, UnansweredError."""
        head = self._head(method, key, query, body, headers)
        connection = await self._connection()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await connection.ask(head, body, has_no_body=method == "HEAD")
        except TimeoutError:
            raise UnansweredError(f"{method} {key}: no answer within {timeout_s:g} s") from None
        finally:
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # A socket is closed one turn of the loop after its transport.

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                return (await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", self.access.port))[1]
        except (OSError, TimeoutError) as error:
            raise NotSentError(str(error)) from error

    def _head(self, method: str, key: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]) -> bytes:
        if time.monotonic() - self._signer_since_s > _SIGNER_AGE_S:
            self._signer, self._signer_since_s = self._new_signer(), time.monotonic()
        path = f"/{self.access.bucket}/{key}" if key else f"/{self.access.bucket}"
        amz = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
        sent = {**headers, **self._signer.headers(method, path, query, digest(body), amz), "content-length": str(len(body))}
        target = quote(path, safe="/-_.~") + (f"?{canonical_query(query)}" if query else "")
        lines = (f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()))
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _new_signer(self) -> Signer:
        access = self.access
        return Signer(access.access_key_id, access.secret_access_key, access.region, f"127.0.0.1:{access.port}", datetime.now(UTC))


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[Answer] | None = None
        self._open = True
        self._begin()

    @property
    def is_reusable(self) -> bool:
        """The last answer came whole, and the other end keeps the connection."""
        return self._open and self._answered is None

    async def ask(self, head: bytes, body: bytes, *, has_no_body: bool) -> Answer:
        """Raises UnansweredError. A connection whose answer did not come is of no use any more."""
        self._answered = asyncio.get_running_loop().create_future()
        self._has_no_body = has_no_body
        self._begin()
        # An empty piece would stay in the buffer of asyncio's own transports for ever, from Python 3.12 on.
        self._transport.writelines([head, body] if body else [head])
        return await self._answered

    def close(self) -> None:
        self._open = False
        if not self._transport.is_closing():
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's transports are of no class of asyncio

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection ended: {exc}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        # No body follows the answer to HEAD, but a parser that knows nothing of the request waits for one: it is left behind.
        if self._has_no_body:
            self._finish()
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, chunk: bytes) -> None:
        self._pieces.append(chunk)

    def on_message_complete(self) -> None:
        self._finish()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    def _finish(self) -> None:
        status = int(self._parser.get_status_code())
        if self._answered is None or self._answered.done() or status < 200:
            return
        if not self._parser.should_keep_alive() or self._transport.get_write_buffer_size():
            self._open = False
        self._answered.set_result(Answer(status, self._headers, b"".join(self._pieces)))
        self._answered = None

    def _fail(self, reason: str) -> None:
        self._open = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(UnansweredError(reason))
