"""The five checksum algorithms of S3: computed piece by piece, written as S3 writes them, joined over the parts of an upload.

Source: AWS, S3 User Guide, "Checking object integrity" (algorithms, full object and composite checksums).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

from awscrt import checksums as crt

from s3o_proxy.domain.model import ChecksumType

Bytes = bytes | bytearray | memoryview

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")

DIGEST_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}

TYPES: dict[str, tuple[ChecksumType, ...]] = {
    "CRC32": ("COMPOSITE", "FULL_OBJECT"),
    "CRC32C": ("COMPOSITE", "FULL_OBJECT"),
    "CRC64NVME": ("FULL_OBJECT",),
    "SHA1": ("COMPOSITE",),
    "SHA256": ("COMPOSITE",),
}
"""What a multipart upload may have by each algorithm; the first is what it has when the client names none."""


class Hasher(Protocol):
    """One running checksum."""

    def update(self, data: Bytes) -> None: ...

    def digest(self) -> bytes: ...

    def base64(self) -> str: ...


class _Crc:
    __slots__ = ("_function", "_length", "_value")

    def __init__(self, function: Callable[[Bytes, int], int], length: int) -> None:
        self._function, self._length, self._value = function, length, 0

    def update(self, data: Bytes) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")

    def base64(self) -> str:
        return to_base64(self.digest())


class _Sha:
    __slots__ = ("_hash",)

    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)

    def update(self, data: Bytes) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()

    def base64(self) -> str:
        return to_base64(self.digest())


def new_hasher(algorithm: str) -> Hasher:
    """A checksum of nothing yet, by one of ALGORITHMS."""
    match algorithm:
        case "CRC32":
            return _Crc(zlib.crc32, 4)
        case "CRC32C":
            return _Crc(crt.crc32c, 4)
        case "CRC64NVME":
            return _Crc(crt.crc64nvme, 8)
        case "SHA1" | "SHA256":
            return _Sha(algorithm.lower())
    raise ValueError(f"no checksum algorithm {algorithm!r}")


def to_base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def from_base64(value: str, length: int) -> bytes | None:
    """The `length` bytes that `value` stands for, or None: strict base64 with its padding."""
    try:
        digest = base64.b64decode(value.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return digest if len(digest) == length else None


def is_checksum(algorithm: str, value: str) -> bool:
    return from_base64(value, DIGEST_BYTES[algorithm]) is not None


def composite(algorithm: str, part_values: Sequence[str]) -> str:
    """The checksum of the parts' checksums, with `-N` for N parts."""
    hasher = new_hasher(algorithm)
    for value in part_values:
        hasher.update(base64.b64decode(value))
    return f"{hasher.base64()}-{len(part_values)}"


def combine_full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of the whole out of its parts' (base64 value, size in bytes), without reading a byte of them."""
    combine = _COMBINE[algorithm]
    value = 0
    for part_value, size_bytes in parts:
        value = combine(value, int.from_bytes(base64.b64decode(part_value), "big"), size_bytes)
    return to_base64(value.to_bytes(DIGEST_BYTES[algorithm], "big"))


def multipart_etag(part_etags: Sequence[str]) -> str:
    """The ETag of a completed upload: MD5 over its parts' MD5s (hex in `part_etags`), with `-N`."""
    joined = hashlib.md5(b"".join([bytes.fromhex(etag) for etag in part_etags]), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(part_etags)}"


_COMBINE: dict[str, Callable[[int, int, int], int]] = {
    "CRC32": crt.combine_crc32,
    "CRC32C": crt.combine_crc32c,
    "CRC64NVME": crt.combine_crc64nvme,
}
