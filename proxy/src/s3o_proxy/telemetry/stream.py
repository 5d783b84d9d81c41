"""Standard error, shared by several processes: what is written at once stays in one piece.

A pipe keeps only 4 KiB together, and a batch of access lines is longer. So whoever writes holds a lock on a file that all have open.
"""

from __future__ import annotations

import fcntl
import os
from typing import Protocol


class Sink(Protocol):
    def write(self, content: bytes, /) -> object: ...

    def flush(self) -> object: ...


class SharedStream:
    """Implements Sink. `lock`: a descriptor of the file that all processes have open; a dead process's lock is gone with it."""

    def __init__(self, lock: int, target: int = 2) -> None:
        self._lock, self._target = lock, target

    def write(self, content: bytes, /) -> None:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(self._target, left) :]
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def flush(self) -> None:
        """Everything is written already."""
