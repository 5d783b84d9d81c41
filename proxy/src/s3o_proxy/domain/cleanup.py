"""When a failed deletion is tried again, and when a person has to look."""

from __future__ import annotations

MAX_ATTEMPTS = 10
SETTLE_MS = 60_000
"""How long bytes whose arrival is unknown may still be on their way before the cleanup deletes them."""
_FIRST_MS = 60_000
_LONGEST_MS = 24 * 3600 * 1000


def next_try_ms(now_ms: int, attempts: int) -> int:
    """After `attempts` earlier failures: one minute, doubled each time, a day at most."""
    return now_ms + min(_FIRST_MS << attempts, _LONGEST_MS)
