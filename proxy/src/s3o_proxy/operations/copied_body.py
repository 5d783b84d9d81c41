"""The bytes of a stored object as the body of another write; and the body where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from s3o_proxy.domain.errors import BackendNotFound, BytesDiffer, DocumentTooLong, NoCopyReadable
from s3o_proxy.domain.model import StoredObject
from s3o_proxy.operations.context import Context
from s3o_proxy.operations.read import open_copy
from s3o_proxy.s3.checksums import Hasher, new_hasher


class CopiedBody:
    """Implements `s3.body.Body` over a copy; the whole object is held against its content hash before its last piece is handed on."""

    def __init__(self, context: Context, source: StoredObject, byte_range: tuple[int, int] | None) -> None:
        self._context, self._source, self._range = context, source, byte_range
        self.size_bytes = byte_range[1] - byte_range[0] + 1 if byte_range else source.size_bytes
        self.content_md5 = ""
        self.md5_hex = ""
        self._md5: hashlib._Hash | None = None
        self._crc = new_hasher("CRC64NVME")
        self._wanted: dict[str, Hasher] = {}

    def hand_on_md5(self) -> None:
        """There is none to hand on."""

    def want_md5(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)

    def want_checksum(self, algorithm: str) -> None:
        self._wanted[algorithm] = new_hasher(algorithm)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held: bytes | None = None
        try:
            async with await open_copy(self._context, self._source, self._range) as pieces:
                async for piece in pieces:
                    self._digest(piece)
                    if held is not None:
                        yield held
                    held = piece
        except BackendNotFound as error:
            # Not as it is: whoever stores this body would take it for the answer of the backend that he stores on.
            raise NoCopyReadable({error.backend: "404"}) from error
        self._verify()
        if held is not None:
            yield held

    def _digest(self, piece: bytes) -> None:
        self._crc.update(piece)
        if self._md5 is not None:
            self._md5.update(piece)
        for hasher in self._wanted.values():
            hasher.update(piece)

    def _verify(self) -> None:
        if self._md5 is not None:
            self.md5_hex = self._md5.hexdigest()
        if self.size_bytes == self._source.size_bytes and self.content_hash != self._source.digests.content_hash:
            raise BytesDiffer(self._source.copies[0].backend, f"{self._source.key!r} does not match its content hash")

    @property
    def content_hash(self) -> str:
        return self._crc.base64()

    @property
    def checksums(self) -> Mapping[str, str]:
        return {algorithm: hasher.base64() for algorithm, hasher in self._wanted.items()}

    async def read_all(self, limit_bytes: int) -> bytes:
        if self.size_bytes > limit_bytes:
            raise DocumentTooLong(self.size_bytes, limit_bytes)
        return b"".join([piece async for piece in self])


class NoBody:
    """Implements `s3.body.Body` where no client asks: there is nothing to read."""

    size_bytes = 0
    content_md5 = ""
    md5_hex = ""
    content_hash = new_hasher("CRC64NVME").base64()
    checksums: Mapping[str, str] = MappingProxyType({})

    def hand_on_md5(self) -> None: ...

    def want_md5(self) -> None: ...

    def want_checksum(self, algorithm: str) -> None: ...

    async def __aiter__(self) -> AsyncIterator[bytes]:
        return
        yield b""

    async def read_all(self, limit_bytes: int) -> bytes:  # noqa: ARG002  # the port's
        return b""
