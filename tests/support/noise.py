"""Objects of any size that nobody stores: made while they are sent, and made again while what came back is held against them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.support.trees import random_bytes

MIB = 1024**2
_BLOCK = random_bytes(MIB)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Noise:
    """Every MiB is the same noise behind `number`, which tells objects apart, and its own: so a block at a wrong place is seen."""

    number: int
    size_bytes: int

    def blocks(self, first: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `first` to before `end`, a MiB or less at a time."""
        end = self.size_bytes if end is None else end
        while first < end:
            block, skipped = divmod(first, MIB)
            piece = self._block(block)[skipped : skipped + end - first]
            yield piece
            first += len(piece)

    def piece(self, first: int, end: int) -> bytes:
        return b"".join(self.blocks(first, end))

    def assert_is(self, body: Readable) -> None:
        """Read `body` to its end. Raises AssertionError at the first block that differs."""
        position = 0
        for expected in self.blocks():
            found = _read_exactly(body, len(expected))
            assert found == expected, f"{len(found)} bytes at {position} of {self.size_bytes} are not those that were sent"
            position += len(expected)
        assert not body.read(1), f"more than the {self.size_bytes} bytes that were sent"

    def file(self) -> io.BufferedReader:
        return io.BufferedReader(_File(self), MIB)

    def _block(self, number: int) -> bytes:
        return self.number.to_bytes(8, "big") + number.to_bytes(8, "big") + _BLOCK[16:]


class _File(io.RawIOBase):
    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self._noise, self._position = noise, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._noise.size_bytes)[whence]
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's own name for it is private
        end = min(self._position + len(buffer), self._noise.size_bytes)
        piece = self._noise.piece(self._position, end)
        buffer[: len(piece)] = piece
        self._position = end
        return len(piece)


def _read_exactly(body: Readable, size: int) -> bytes:
    pieces = []
    while size and (piece := body.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
