"""Where a process puts its log lines: it is rid of them at once, and a thread passes them on.

Whoever reads standard error may stand still or be gone, and the disk it goes to may be full. That is no reason to serve nobody: lines are
lost then, and counted, and the first that gets through again says how many.
"""

from __future__ import annotations

import threading
import time

import orjson

from s3o_proxy.telemetry.logs import timestamp
from s3o_proxy.telemetry.stream import Sink

_HELD_BYTES = 8 * 2**20
"""Some seconds of a busy process. As much again may be on its way."""

_LOOK_AGAIN_S = 1.0
_LAST_WORDS_S = 2.0


class Outlet:
    """Implements Sink, for any thread, until `close`."""

    def __init__(self, target: Sink, held_bytes: int = _HELD_BYTES) -> None:
        self._target, self._held_bytes = target, held_bytes
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._closing = False
        self.lost_lines = 0
        self._told_lines = 0
        """Of the lost."""
        self._why = ""
        # Reentrant: the garbage collector may run in the midst of it, and with it a finalizer that logs.
        self._changed = threading.Condition(threading.RLock())
        # One that hangs in a write does not keep the process from ending.
        self._thread = threading.Thread(target=self._pass_on, name="log", daemon=True)
        self._thread.start()

    def write(self, content: bytes, /) -> None:
        with self._changed:
            if self._waiting and self._waiting_bytes + len(content) > self._held_bytes:
                self._lose(content, "nobody read them in time")
                return
            self._waiting.append(content)
            self._waiting_bytes += len(content)
            self._changed.notify()

    def flush(self) -> None:
        """The thread does, after each write."""

    def close(self, timeout_s: float = _LAST_WORDS_S) -> None:
        """What is waiting is still written, if it can be within this time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    # --- the thread's ----------------------------------------------------------------------------------------------------------------

    def _pass_on(self) -> None:
        while content := self._next():
            told = self.lost_lines
            notice = _notice(told - self._told_lines, self._why) if told > self._told_lines else b""
            try:
                self._target.write(notice + content)
                self._target.flush()
            except OSError as error:
                self._lose(content, error.strerror or type(error).__name__)
            else:
                self._told_lines = told

    def _next(self) -> bytes:
        """Empty when it is closed and nothing is left."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait(_LOOK_AGAIN_S)  # What a finalizer logs while we begin to wait wakes nobody.
            content, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
            return content

    def _lose(self, content: bytes, why: str) -> None:
        with self._changed:
            self.lost_lines += content.count(b"\n")
            self._why = why


def _notice(lines: int, why: str) -> bytes:
    fields = {"time": timestamp(time.time()), "level": "error", "logger": __name__, "message": f"{lines} log lines are lost: {why}"}
    return orjson.dumps(fields | {"lost_lines": lines}, option=orjson.OPT_APPEND_NEWLINE)
