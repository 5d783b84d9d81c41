"""A guard around any backend: it times progress, counts every call, and can change the backend behind it while calls are in flight.

Time-outs bound waiting for the backend alone: `request_timeout` from the end of a request to its answer, `stall_timeout` between two
pieces of a body. The clock stands while a slow client feeds a body or takes one, so a long transfer lives as long as it moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

from s3o_proxy.backends.deadline import Deadline
from s3o_proxy.backends.port import GetResult, HeadResult, ListedKey, ListedMultipart, PutResult, Unguarded
from s3o_proxy.domain.errors import BackendError, BackendNotFound, BackendRejected, BackendThrottled, BackendTimeout, BackendUnavailable
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.patience import answer_ms
from s3o_proxy.sockets.pipe import Pipe, Pipeable

_T = TypeVar("_T")

_COUNTED = (bytes, Pipe)


@frozen
class Call:
    """One call that ended. `operation` is its S3 name. `status`: success, not_found, rejected, throttled, timeout, unavailable, or aborted
    (the caller gave up, or its body failed). `duration_s`: spent waiting for the backend. Bytes are those of bodies."""

    operation: str
    backend: str
    status: str
    duration_s: float
    sent_bytes: int
    received_bytes: int


_STATUS: tuple[tuple[type[BackendError], str], ...] = (
    (BackendNotFound, "not_found"),
    (BackendRejected, "rejected"),
    (BackendThrottled, "throttled"),
    (BackendTimeout, "timeout"),
    (BackendUnavailable, "unavailable"),
)


class Guarded:
    """`on_call` hears of every call when it ends; it must not raise."""

    def __init__(self, backend: Unguarded, *, request_timeout_ms: int, stall_timeout_ms: int, on_call: Callable[[Call], None]) -> None:
        self.name = backend.name
        self._on_call = on_call
        self._guard(backend, request_timeout_ms, stall_timeout_ms)

    def _guard(self, backend: Unguarded, request_timeout_ms: int, stall_timeout_ms: int) -> None:
        self._lease = _Lease(backend)
        self.traits, self.bucket, self.account = backend.traits, backend.bucket, backend.account
        self._request_ms = request_timeout_ms
        self._stall_s = stall_timeout_ms / 1000

    def replace(self, backend: Unguarded, *, request_timeout_ms: int, stall_timeout_ms: int) -> Coroutine[None, None, None]:
        """Calls from now on go to `backend`. Await the answer to wait for those in flight and close the old one (at once, if cancelled)."""
        old = self._lease
        self._guard(backend, request_timeout_ms, stall_timeout_ms)
        return old.retire()

    def retire(self) -> Coroutine[None, None, None]:
        """Calls from now on are refused. Await the answer to wait for those in flight and close the backend (at once, if cancelled)."""
        return self._lease.retire()

    async def close(self) -> None:
        """At once, whatever is in flight."""
        self._lease.retired = True
        await self._lease.backend.close()

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
        with self._call("PutObject") as call:
            paced = call.send(body, size_bytes, self._stall_s)
            return await call.backend.put(key, paced, size_bytes, content_type=content_type, metadata=metadata, content_md5=content_md5)

    def get(self, key: str, byte_range: tuple[int, int] | None = None) -> AbstractAsyncContextManager[GetResult]:
        return _Download(self._call, key, byte_range, self._stall_s)

    async def head(self, key: str) -> HeadResult:
        with self._call("HeadObject", mutates=False) as call:
            return await call.backend.head(key)

    async def delete(self, key: str) -> None:
        with self._call("DeleteObject") as call:
            await call.backend.delete(key)

    async def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        """Each of its requests has a deadline of its own, and goes to the backend that was there when the first one did, or nowhere."""
        lease = self._lease
        return await lease.backend.delete_many(keys, lambda operation: self._call(operation, lease=lease))

    async def copy(
        self,
        source_key: str,
        key: str,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        source_bucket: str = "",
    ) -> PutResult:
        with self._call("CopyObject") as call:
            return await call.backend.copy(source_key, key, content_type=content_type, metadata=metadata, source_bucket=source_bucket)

    async def list(self, prefix: str = "") -> AsyncIterator[ListedKey]:
        with self._call("ListObjectsV2", mutates=False) as call:
            async for found in call.receive(call.backend.list(prefix), self._request_ms / 1000):
                yield found

    # --- multipart uploads -------------------------------------------------------------------------------------------

    async def create_multipart(self, key: str, *, content_type: str = "", metadata: Mapping[str, str] | None = None) -> str:
        with self._call("CreateMultipartUpload") as call:
            return await call.backend.create_multipart(key, content_type=content_type, metadata=metadata)

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
        with self._call("UploadPart") as call:
            paced = call.send(body, size_bytes, self._stall_s)
            return await call.backend.upload_part(key, upload_id, part_number, paced, size_bytes, content_md5=content_md5)

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> PutResult:
        with self._call("CompleteMultipartUpload") as call:
            return await call.backend.complete_multipart(key, upload_id, parts)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        with self._call("AbortMultipartUpload") as call:
            await call.backend.abort_multipart(key, upload_id)

    async def list_multipart(self) -> AsyncIterator[ListedMultipart]:
        with self._call("ListMultipartUploads", mutates=False) as call:
            async for found in call.receive(call.backend.list_multipart(), self._request_ms / 1000):
                yield found

    # --- one call ----------------------------------------------------------------------------------------------------

    def _call(self, operation: str, *, mutates: bool = True, lease: _Lease | None = None) -> _Call:
        return _Call(operation, lease or self._lease, answer_ms(operation, self._request_ms) / 1000, self._on_call, mutates=mutates)


class _Call:
    """One call, entered and left (a class, since a generator for each call would cost more than all else here).

    `complete`: all that the request consists of was handed over, so it may be there in full.
    """

    __slots__ = ("_answer_s", "_lease", "_on_call", "_operation", "backend", "complete", "deadline", "received_bytes", "sent_bytes")

    def __init__(self, operation: str, lease: _Lease, answer_s: float, on_call: Callable[[Call], None], *, mutates: bool) -> None:
        self.backend = lease.backend
        self.deadline = Deadline()
        self.complete = mutates
        self.sent_bytes = 0
        self.received_bytes = 0
        self._operation, self._lease, self._answer_s, self._on_call = operation, lease, answer_s, on_call

    def __enter__(self) -> _Call:
        if self._lease.retired:
            raise BackendUnavailable(self.backend.name, "is not configured any more")
        self._lease.enter()
        self.deadline.start(self._answer_s)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        timeout = self.timeout(error)
        name, deadline = self.backend.name, self.deadline
        deadline.stop()
        self._lease.leave()
        status = _status(name, timeout or error)
        self._on_call(Call(self._operation, name, status, deadline.waited_s, self.sent_bytes, self.received_bytes))
        if timeout is not None:
            raise timeout from error

    def timeout(self, error: BaseException | None) -> BackendTimeout | None:
        """What a cancellation by our own deadline becomes; None for any other, which passes as it is."""
        if not isinstance(error, asyncio.CancelledError) or not self.deadline.take_back():
            return None
        return BackendTimeout(self.backend.name, f"{self._operation}: no progress for the allowed time", ambiguous=self.complete)

    def send(self, body: AsyncIterable[bytes], size_bytes: int, stall_s: float) -> AsyncIterator[bytes]:
        self.complete = size_bytes == 0
        return _Sent(self, aiter(body), size_bytes, stall_s, self._answer_s)

    def receive(self, body: AsyncIterator[_T], stall_s: float) -> AsyncIterator[_T]:
        self.deadline.pause()
        return _Received(self, body, stall_s)


def _status(backend: str, error: BaseException | None) -> str:
    if error is None:
        return "success"
    # What another backend did to a caller who copies between two is no fault of this one.
    if isinstance(error, BackendError) and error.backend == backend:
        return next(word for kind, word in _STATUS if isinstance(error, kind))
    return "aborted"


class _Download:
    """A GET that is entered and left by whoever reads its body."""

    def __init__(self, begin: Callable[..., _Call], key: str, byte_range: tuple[int, int] | None, stall_s: float) -> None:
        self._begin, self._key, self._range, self._stall_s = begin, key, byte_range, stall_s

    async def __aenter__(self) -> GetResult:
        self._call = call = self._begin("GetObject", mutates=False).__enter__()
        try:
            self._answer = call.backend.get(self._key, self._range)
            found = await self._answer.__aenter__()
        except BaseException as error:
            call.__exit__(type(error), error, error.__traceback__)
            raise
        call.deadline.pause()
        return GetResult(found.size_bytes, found.etag, call.receive(found.body, self._stall_s))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self._answer.__aexit__(kind, error, trace)
        except BaseException as raised:
            self._call.__exit__(type(raised), raised, raised.__traceback__)
            raise
        self._call.__exit__(kind, error, trace)


class _Sent:
    """A request's body (`upload.Timed`): the clock stands while its source is asked for more, and starts anew as bytes arrive."""

    def __init__(self, call: _Call, source: AsyncIterator[bytes], size_bytes: int, stall_s: float, answer_s: float) -> None:
        self._call, self._source, self._size_bytes = call, source, size_bytes
        self._stall_s, self._answer_s = stall_s, answer_s

    def __aiter__(self) -> _Sent:
        return self

    def leaves_by(self, unsent: Callable[[], int]) -> None:
        call = self._call
        call.deadline.watch(lambda: call.sent_bytes - unsent())

    async def __anext__(self) -> bytes:
        call = self._call
        call.deadline.pause()
        allowed_s = self._answer_s
        try:
            piece = await anext(self._source)
            call.sent_bytes += len(piece)
            call.complete = call.sent_bytes >= self._size_bytes
            if not call.complete:
                allowed_s = self._stall_s
            return piece
        finally:
            call.deadline.allow(allowed_s)


class _Received(Generic[_T]):
    """An answer's body, or a listing: the clock runs only while the next piece is waited for, in whatever task waits."""

    def __init__(self, call: _Call, body: AsyncIterator[_T], stall_s: float) -> None:
        self._call, self._body, self._stall_s = call, body, stall_s

    def __aiter__(self) -> _Received[_T]:
        return self

    async def __anext__(self) -> _T:
        deadline = self._call.deadline
        deadline.start(self._stall_s)
        try:
            piece = await anext(self._body)
        except asyncio.CancelledError as error:
            timeout = self._call.timeout(error)
            if timeout is None:
                raise
            raise timeout from error
        finally:
            deadline.pause()
        if isinstance(piece, _COUNTED):
            self._call.received_bytes += len(piece)
        return piece

    def into(self, pipe: Pipe) -> AsyncIterator[_T | bytes | Pipe]:
        body = self._body
        return _Received(self._call, body.into(pipe), self._stall_s) if isinstance(body, Pipeable) else self


class _Lease:
    """A backend and how many calls use it."""

    def __init__(self, backend: Unguarded) -> None:
        self.backend = backend
        self.retired = False
        self._users = 0
        self._idle: asyncio.Event | None = None
        """Somebody waits for it."""

    def enter(self) -> None:
        self._users += 1

    def leave(self) -> None:
        self._users -= 1
        if self._idle is not None and not self._users:
            self._idle.set()

    def retire(self) -> Coroutine[None, None, None]:
        self.retired = True
        return self._close_when_idle()

    async def _close_when_idle(self) -> None:
        self._idle = self._idle or asyncio.Event()
        try:
            if self._users:
                await self._idle.wait()
        finally:
            await self.backend.close()
