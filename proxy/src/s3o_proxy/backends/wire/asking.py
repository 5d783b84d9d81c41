"""One request and its answer: what may be asked again, how a body goes along, and what a failure means.

What changes nothing, or can be done twice, is asked once more on a new connection when an idle one turned out to be dead. An upload is
never sent twice. Signed payloads: as `backends/requests.py` has them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from hashlib import sha256
from http.client import responses

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.errors import FAILURES, translate, translate_answer, was_not_connected
from s3o_proxy.backends.requests import SIGNED_BODY_BYTES
from s3o_proxy.backends.upload import Upload
from s3o_proxy.backends.wire.answer import Answer
from s3o_proxy.backends.wire.connection import Connection
from s3o_proxy.backends.wire.failures import ConnectionBrokeError
from s3o_proxy.backends.wire.pool import Pool
from s3o_proxy.backends.wire.refusal import BODY_LIMIT_BYTES, code_and_message
from s3o_proxy.backends.wire.request import RequestWriter
from s3o_proxy.backends.wire.signer import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD
from s3o_proxy.domain.errors import BackendError, BackendRejected, BackendUnavailable

_HELD_BODY_BYTES = 64 * 1024
"""Up to here a body goes out in one piece with its head."""

Headers = Sequence[tuple[str, str]]


class Asking:
    """Raises BackendError for whatever goes wrong with the backend or on the way to it; a cancellation passes through."""

    def __init__(self, config: BackendConfig, writer: RequestWriter, pool: Pool) -> None:
        self._name = config.name
        self._writer, self._pool = writer, pool
        self._signs_payloads = not config.unsigned_payload
        self._over_tls = config.endpoint.startswith("https://")
        self._no_payload = EMPTY_PAYLOAD if self._signs_payloads else UNSIGNED_PAYLOAD
        self._held_bytes = SIGNED_BODY_BYTES if self._signs_payloads else _HELD_BODY_BYTES

    async def ask(self, method: str, key: str, *, headers: Headers = (), changes: bool = False) -> Answer:
        """Ask what may be asked again. The answer is one of success, its body is yet to be read."""
        request = self._writer.head(method, key, self._no_payload, headers=headers)
        broke: ConnectionBrokeError | None = None
        reused = False
        while True:
            try:
                connection = await self._pool.take(fresh=broke is not None)
                reused = connection.reused
                answer = await connection.ask(request, asks_for_head=method == "HEAD")
                break
            except FAILURES as error:
                if broke is None and reused and isinstance(error, ConnectionBrokeError) and error.unanswered:
                    broke = error
                    continue
                # Where it cannot be asked again, what counts is the first time: then it may have arrived.
                failed = broke if broke is not None and was_not_connected(error) else error
                raise translate(failed, self._name, may_have_happened=changes) from error
        if answer.status >= 300:
            raise await self._refused(answer, may_have_happened=changes)
        return answer

    async def change(self, method: str, key: str) -> Answer:
        """Ask for a change that may be asked for again, and read its answer."""
        answer = await self.ask(method, key, changes=True)
        try:
            await self._require_success(answer)
        except FAILURES as error:
            raise translate(error, self._name, may_have_happened=True) from error
        return answer

    async def upload(self, key: str, body: AsyncIterable[bytes], size_bytes: int, *, query: str = "", headers: Headers = ()) -> Answer:
        """PUT `body`. What the body raises is raised as it is. The answer is one of success, and was read."""
        if size_bytes <= self._held_bytes:
            return await self._upload_held(key, body, size_bytes, query, headers)
        if self._signs_payloads and not self._over_tls:
            limit = f"over plain HTTP with unsignedPayload off, a body has at most {SIGNED_BODY_BYTES} bytes"
            raise BackendRejected(self._name, 400, "EntityTooLarge", limit)
        return await self._upload_streamed(key, body, size_bytes, query, headers)

    async def _upload_held(self, key: str, body: AsyncIterable[bytes], size_bytes: int, query: str, headers: Headers) -> Answer:
        # Connected first: where nobody listens the body stays untouched, and can go elsewhere.
        connection = await self._connect()
        try:
            content = await _whole(body, size_bytes)
            payload_hash = sha256(content).hexdigest() if self._signs_payloads else UNSIGNED_PAYLOAD
            head = self._writer.head("PUT", key, payload_hash, query=query, headers=headers, size_bytes=size_bytes)
        except BaseException:
            connection.abort()
            raise
        if not self._pool.is_good(connection):  # A client may take its time.
            connection.abort()
            connection = await self._connect(fresh=True)
        try:
            answer = await connection.ask(head + content)
            return await self._stored(answer)
        except FAILURES as error:
            raise translate(error, self._name, may_have_happened=True) from error

    async def _upload_streamed(self, key: str, body: AsyncIterable[bytes], size_bytes: int, query: str, headers: Headers) -> Answer:
        head = self._writer.head("PUT", key, UNSIGNED_PAYLOAD, query=query, headers=headers, size_bytes=size_bytes)
        upload = Upload(body, size_bytes)
        connection = await self._connect()
        upload.leaves_by(connection.transport)
        failed: BackendError
        try:
            answer = await connection.ask_with_body(head, upload)
            return await self._stored(answer, whole=upload.complete)
        except FAILURES as error:
            failed = translate(error, self._name, may_have_happened=upload.complete)
            failed.__cause__ = error
        except BackendError as error:
            failed = error
        # A refusal says more than a source that was cut off because of it; otherwise what the source raised is the reason for the rest.
        if upload.failure is not None and not isinstance(failed, BackendRejected):
            raise upload.failure
        raise failed

    # --- helpers -------------------------------------------------------------------------------------------------------

    async def _connect(self, *, fresh: bool = False) -> Connection:
        try:
            return await self._pool.take(fresh=fresh)
        except FAILURES as error:
            raise translate(error, self._name, may_have_happened=False) from error

    async def _stored(self, answer: Answer, *, whole: bool = True) -> Answer:
        """Raises BackendError where the answer to an upload is none of success, or comes too early to be believed."""
        if answer.status >= 300:
            # Also where it seems to come before the end was sent: that may have left a moment before.
            raise await self._refused(answer, may_have_happened=whole)
        await self._require_success(answer)
        if answer.early or not whole:
            raise BackendUnavailable(self._name, "answered that it stored a body which was not sent to its end")
        return answer

    async def _require_success(self, answer: Answer) -> None:
        """A 200 may turn out to be an error after its head was sent; then its body says so."""
        if answer.is_empty:
            return
        try:
            content = await answer.read(BODY_LIMIT_BYTES)
        finally:
            answer.leave()
        if content and answer.status == 200:
            said = _said(content)
            if said is not None:
                raise translate_answer(self._name, 500, *said, may_have_happened=True)

    async def _refused(self, answer: Answer, *, may_have_happened: bool) -> BackendError:
        try:
            content = await answer.read(BODY_LIMIT_BYTES)
        except FAILURES:
            content = b""  # The status alone says enough, when the server closed the connection on a body that it did not want.
        finally:
            answer.leave()
        code, message = (_said(content) if content else None) or ("", "")
        return translate_answer(
            self._name, answer.status, code, message or responses.get(answer.status, ""), may_have_happened=may_have_happened
        )


def _said(content: bytes) -> tuple[str, str] | None:
    """The code and message of an error, both "" where it is no XML; None for another document."""
    try:
        return code_and_message(content)
    except ValueError:
        return "", ""


async def _whole(body: AsyncIterable[bytes], size_bytes: int) -> bytes:
    """All bytes of `body`. Raises ValueError when they are not as many as was said."""
    content = b""
    async for piece in body:
        content = content + piece if content else piece
        if len(content) > size_bytes:
            raise ValueError(f"the body has more than the {size_bytes} bytes that were promised")
    if len(content) < size_bytes:
        raise ValueError(f"the body ended after {len(content)} of {size_bytes} bytes")
    return content
