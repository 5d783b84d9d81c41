"""Reading an object's bytes from the copies that hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType

from s3o_proxy.backends.port import GetResult
from s3o_proxy.domain.errors import BackendError, BackendNotFound, BackendUnavailable, NoCopyReadable
from s3o_proxy.domain.model import StoredObject
from s3o_proxy.operations.context import Context


class OpenBody:
    """Bytes of a copy, opened: enter it to iterate, leave it to release the backend's connection."""

    def __init__(self, backend: str, result: GetResult, stack: AsyncExitStack, size_bytes: int) -> None:
        self._backend, self._result, self._stack, self._size_bytes = backend, result, stack, size_bytes

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def _pieces(self) -> AsyncIterator[bytes]:
        received = 0
        async for piece in self._result.body:
            received += len(piece)
            yield piece
        if received != self._size_bytes:
            raise BackendUnavailable(self._backend, f"sent {received} of {self._size_bytes} bytes")


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
    failures: dict[str, str] = {}
    missing: BackendNotFound | None = None
    for copy in found.copies:
        stack = AsyncExitStack()
        try:
            backend = context.backends.get(copy.backend)
            result = await stack.enter_async_context(backend.get(copy.storage_key, byte_range))
            if result.size_bytes == last - first + 1:
                return OpenBody(copy.backend, result, stack, result.size_bytes)
            failures[copy.backend] = f"holds {result.size_bytes} bytes where the ledger says {last - first + 1}"
            await stack.aclose()
        except BackendNotFound as error:
            missing = error
        except BackendError as error:
            failures[copy.backend] = str(error)
    if missing is not None and not failures:
        raise missing
    raise NoCopyReadable(failures)
