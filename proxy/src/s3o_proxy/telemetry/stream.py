"""Standard error, shared by several processes: what is written at once stays in one piece.

A pipe keeps only 4 KiB together, and a batch of access lines is longer. So whoever writes holds a lock on a file that all have open.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Sink(Protocol):
    def write(self, content: bytes, /) -> object: ...

    def flush(self) -> object: ...


class StandardError:
    """Implements Sink, and waits for whoever reads. `lock`: a descriptor of the file that all processes have open, None where there is one
    process; a dead process's lock is gone with it."""

    def __init__(self, lock: int | None = None, target: int = 2) -> None:
        self._lock, self._target = lock, target
        self._torn = False
        """What was written last ends in the midst of a line: the next one begins anew."""

    def write(self, content: bytes, /) -> None:
        """Raises OSError: a part may be written all the same."""
        with self._held():
            left = memoryview(b"\n" + content if self._torn else content)
            while left:
                try:
                    left = left[os.write(self._target, left) :]
                    self._torn = bool(left)
                except BlockingIOError:  # A terminal or a pipe belongs to others, too, and one of them may have made it so.
                    select.select((), (self._target,), ())

    def flush(self) -> None:
        """Everything is written already."""

    @contextmanager
    def _held(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
