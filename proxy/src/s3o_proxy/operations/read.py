"""Reading an object's bytes from the copies that hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar

from s3o_proxy.backends.port import GetResult
from s3o_proxy.domain.errors import BackendError, BackendNotFound, BackendRejected, BackendUnavailable, MetadataError, NoCopyReadable
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import StoredObject
from s3o_proxy.operations.context import Context
from s3o_proxy.sockets.pipe import Pipe, Pipeable

_P = TypeVar("_P", bytes, bytes | Pipe)


class OpenBody:
    """Bytes of a copy, opened: enter it to iterate, leave it to release the backend's connection.

    A copy may move while it is read, and its old bytes be deleted: then the rest is read where they lie now.
    """

    def __init__(self, context: Context, found: StoredObject, byte_range: tuple[int, int], opened: _Opened) -> None:
        self._context, self._found, self._range, self._opened = context, found, byte_range, opened
        self._is_open = True

    async def __aenter__(self) -> OpenBody:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_open:
            self._is_open = False  # Before the await: whatever becomes of it, a call is not left twice.
            await self._opened.context.__aexit__(kind, error, trace)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces(lambda body: body)

    def into(self, pipe: Pipe) -> AsyncIterator[bytes | Pipe]:
        return self._pieces(lambda body: body.into(pipe) if isinstance(body, Pipeable) else body)

    async def _pieces(self, pieces_of: Callable[[AsyncIterator[bytes]], AsyncIterator[_P]]) -> AsyncIterator[_P]:
        first, last = self._range
        position = first
        while True:
            try:
                async for piece in pieces_of(self._opened.result.body):
                    position += len(piece)
                    yield piece
                    if position > last:
                        return  # Nothing comes after the last byte, so it is not waited for.
                if position != last + 1:
                    raise BackendUnavailable(self._opened.backend, f"sent {position - first} of {last + 1 - first} bytes")
                return
            except BackendError as error:
                if position > last or not await self._follow((position, last), error):
                    raise

    async def _follow(self, rest: tuple[int, int], error: BackendError) -> bool:
        moved = await _moved(self._context, self._found)
        if moved is None:
            return False
        # With the error: so the call is counted as one that failed.
        await self.__aexit__(type(error), error, error.__traceback__)
        try:
            self._opened = await _open_any(self._context, moved, rest)
        except (BackendError, NoCopyReadable):
            return False
        self._found, self._is_open = moved, True
        return True


@frozen
class _Opened:
    backend: str
    result: GetResult
    context: AbstractAsyncContextManager[GetResult]


class EmptyBody:
    """The bytes of an empty object: no backend needs to be asked for them."""

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    async def __aexit__(self, *_: object) -> None:
        return None

    async def _pieces(self) -> AsyncIterator[bytes]:
        return
        yield b""


async def open_copy(context: Context, found: StoredObject, byte_range: tuple[int, int] | None) -> OpenBody | EmptyBody:
    """Open the first copy that answers. Raises NoCopyReadable, or BackendNotFound when every copy is simply not there."""
    first, last = byte_range or (0, found.size_bytes - 1)
    if last < first:
        return EmptyBody()
    while True:
        try:
            return OpenBody(context, found, (first, last), await _open_any(context, found, byte_range and (first, last)))
        except (BackendNotFound, NoCopyReadable):
            moved = await _moved(context, found)
            if moved is None:
                raise
            found = moved


async def _moved(context: Context, found: StoredObject) -> StoredObject | None:
    """The same object where its bytes lie elsewhere by now; None where nothing moved."""
    try:
        again = await context.metadata.find_object(found.bucket, found.key)
    except MetadataError:
        return None
    return again if again is not None and again.write_id == found.write_id and again.copies != found.copies else None


async def _open_any(context: Context, found: StoredObject, byte_range: tuple[int, int] | None) -> _Opened:
    first, last = byte_range or (0, found.size_bytes - 1)
    failures: dict[str, str] = {}
    missing: BackendNotFound | None = None
    corrupt = True
    for copy in found.copies:
        try:
            opening = context.backends.get(copy.backend).get(copy.storage_key, byte_range)
            result = await opening.__aenter__()
            if result.size_bytes == last - first + 1:
                return _Opened(copy.backend, result, opening)
            failures[copy.backend] = f"holds {result.size_bytes} bytes where the ledger says {last - first + 1}"
            await opening.__aexit__(None, None, None)
        except BackendNotFound as error:
            missing = error
        except BackendError as error:
            failures[copy.backend] = str(error)
            # Of a range behind its end: it is shorter than it should be.
            corrupt &= isinstance(error, BackendRejected) and error.status == 416
    if missing is not None and not failures:
        raise missing
    raise NoCopyReadable(failures, corrupt=corrupt)
