"""When a failed deletion is tried again, and when a person has to look."""

from __future__ import annotations

from typing import Literal, get_args

Leftover = Literal[
    "deleted", "replaced", "moved", "move_superseded", "purged", "write_failed", "copy_failed", "move_failed", "complete_lost"
]
"""Bytes of an object, or of none."""
LeftUpload = Literal[
    "upload_aborted",
    "upload_stale",
    "upload_purged",
    "upload_never_opened",
    "upload_create_failed",
    "upload_precondition_failed",
    "upload_move_failed",
]
"""Also an upload on the backend, which is to be aborted."""
Reason = Leftover | LeftUpload | Literal["reaped"]
"""Why bytes are to be deleted. Of a write whose process died, nobody knows whether it was sent in one piece."""

MAX_ATTEMPTS = 10
_FIRST_MS = 60_000
_LONGEST_MS = 24 * 3600 * 1000


def may_leave_upload(reason: str, size_bytes: int, max_put_bytes: int) -> bool:
    """Also where the reason is a word of another version: a look at uploads costs little, and a forgotten one costs for ever."""
    if reason == "reaped":
        # What was written beyond the size of one PUT was moved, by parts.
        return size_bytes > max_put_bytes
    return reason not in get_args(Leftover)


def next_try_ms(now_ms: int, attempts: int) -> int:
    """After `attempts` earlier failures: one minute, doubled each time, a day at most."""
    return now_ms + min(_FIRST_MS << attempts, _LONGEST_MS)
