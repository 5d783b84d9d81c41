"""A request body on its way to a backend: pulled from its source piece by piece, at the pace at which the connection takes it.

The last piece is let go only after the source has ended: so a source that fails, or that has another length than promised, never makes
a complete request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Protocol, runtime_checkable

from s3o_proxy.telemetry.unsent import unsent_bytes


@runtime_checkable
class Timed(Protocol):
    """A source that is told how its bytes get on: what was taken from it may wait for minutes in the buffers towards a slow backend."""

    def leaves_by(self, unsent: Callable[[], int]) -> None:
        """Its bytes go out over a connection; `unsent` says how many of them have not reached the other side."""
        ...


class Upload:
    """Iterated once, by the HTTP client, perhaps in a task of its own.

    `complete`: every byte was handed over, so the backend may have received all of them. `failure`: what the source raised; to be raised
    as it is, since the HTTP client wraps it.
    """

    def __init__(self, source: AsyncIterable[bytes], size_bytes: int) -> None:
        self._timed = source if isinstance(source, Timed) else None
        self._source: AsyncIterator[bytes] = aiter(source)
        self._size_bytes = size_bytes
        self._pulled_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.complete = False
        self.failure: Exception | None = None

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        if self.complete:
            raise StopAsyncIteration
        self._idle.clear()
        try:
            piece = await self._pull()
            if self._pulled_bytes == self._size_bytes:
                if piece and await self._pull():
                    raise AssertionError("unreachable: _pull refuses what exceeds the size")
                self.complete = True
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._idle.set()
        if not piece:
            raise StopAsyncIteration
        return piece

    def leaves_by(self, transport: asyncio.Transport) -> None:
        if self._timed is not None:
            self._timed.leaves_by(lambda: unsent_bytes(transport))

    async def drain(self) -> None:
        """Pull an empty body to its end, before a request that is complete with its head."""
        async for _ in self:
            pass

    async def settled(self) -> None:
        """Wait until nobody pulls any more: the HTTP client cancels its writer without waiting for it."""
        await self._idle.wait()

    async def _pull(self) -> bytes:
        """The next piece that is not empty, or b"" at the end of the source."""
        async for piece in self._source:
            self._pulled_bytes += len(piece)
            if self._pulled_bytes > self._size_bytes:
                raise ValueError(f"the body has more than the {self._size_bytes} bytes that were promised")
            if piece:
                return piece
        if self._pulled_bytes < self._size_bytes:
            raise ValueError(f"the body ended after {self._pulled_bytes} of {self._size_bytes} bytes")
        return b""


class UploadBody(bytes):
    """How an upload gets through botocore, which looks at a body's bytes even where it does not sign them: they stand for `upload`."""

    upload: Upload

    @classmethod
    def of(cls, upload: Upload) -> UploadBody:
        body = cls(b"streamed")
        body.upload = upload
        return body
