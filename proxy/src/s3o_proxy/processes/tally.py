"""How many connections each member has, in memory that all of them share: who has more than another leaves a new one to that one.

One listening socket for all, for none of its connections is lost with the process that would have taken it. But a kernel wakes whom it
likes: left alone, one of two processes took none to all of 32 connections. (SO_REUSEPORT spreads by chance, which is uneven for few
connections, and would let a second program listen on the same port unnoticed.)
"""

from __future__ import annotations

import mmap

_AWAY = 2**32 - 1
"""In place of a number: this member takes no connections, so nobody leaves any to it."""
_SLOT_BYTES = 4


class Tally:
    """A slot for each member, written by that member alone (and by the parent when it is dead): so nothing needs a lock."""

    def __init__(self, file_descriptor: int, number: int) -> None:
        """`number`: of the member whose connections are counted here; the file has a slot for each."""
        self._slots = memoryview(mmap.mmap(file_descriptor, 0)).cast("I")
        self._number, self._count = number, 0

    def open(self) -> None:
        self._slots[self._number] = self._count

    def close(self) -> None:
        self.absent(self._number)

    def absent(self, number: int) -> None:
        """This member takes no more."""
        self._slots[number] = _AWAY

    def entered(self) -> None:
        self._change(1)

    def left(self) -> None:
        self._change(-1)

    def has_more_than_another(self) -> bool:
        return self._count > min(self._slots)

    def _change(self, by: int) -> None:
        self._count += by
        if self._slots[self._number] != _AWAY:
            self._slots[self._number] = self._count


def slots_bytes(members: int) -> int:
    return _SLOT_BYTES * members
