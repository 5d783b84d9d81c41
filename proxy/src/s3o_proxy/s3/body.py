"""The port to a request's body, as operations see it: decoded bytes, already held against everything its sender promised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol


class Body(Protocol):
    """A client's request body: iterate it once.

    The last piece is yielded only after every promise held: length, x-amz-content-sha256, Content-MD5 (unless handed on), checksums,
    chunk and trailer signatures. A broken one raises `domain.errors.BodyError`, so a backend never receives a whole bad body.
    Starting to iterate is what sends `100 Continue`.
    """

    size_bytes: int
    """Decoded length; always known before the first byte."""

    content_md5: str
    """base64 as the client sent it, or empty."""

    def hand_on_md5(self) -> None:
        """Somebody behind vouches for the MD5, and verifies Content-MD5: do not compute it. Call before iterating; the last call counts."""
        ...

    def want_md5(self) -> None:
        """Compute the MD5 here: nobody behind verifies Content-MD5, or the ETag needs it. Call before iterating; the last call counts."""
        ...

    def want_checksum(self, algorithm: str) -> None:
        """Compute this checksum too (an upload was created with it). Call before iterating."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    @property
    def md5_hex(self) -> str:
        """After the end, where it was computed; else empty."""
        ...

    @property
    def content_hash(self) -> str:
        """base64 CRC64NVME, after the end."""
        ...

    @property
    def checksums(self) -> Mapping[str, str]:
        """Algorithm → base64, after the end: what the client sent (header or trailer) or asked for, and what was wanted."""
        ...

    async def read_all(self, limit_bytes: int) -> bytes:
        """A small body as a whole (XML). Raises domain.errors.DocumentTooLong above `limit_bytes`."""
        ...
