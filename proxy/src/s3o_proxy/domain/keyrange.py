"""Where a listing starts and ends, as half-open ranges of keys in byte order.

Python compares strings by code point, which is the order of their UTF-8 bytes: the order of S3 and of both engines.
"""

from __future__ import annotations

from s3o_proxy.domain.frozen import frozen

LAST_CODE_POINT = 0x10FFFF
BEHIND_ALL = chr(LAST_CODE_POINT) * 257
"""Sorts behind every key, and `x + BEHIND_ALL` behind every key that starts with `x`: a key has at most 1,024 UTF-8 bytes."""

JUST_BEHIND = "\x01"
"""`key + JUST_BEHIND` is the least key greater than `key`: no key holds U+0000 (PostgreSQL cannot store it, callers refuse it)."""


def successor(prefix: str) -> str:
    """The least string behind every key that starts with `prefix`."""
    for end in range(len(prefix), 0, -1):
        last = ord(prefix[end - 1])
        if last < LAST_CODE_POINT:
            # U+D800..U+DFFF are surrogates: no UTF-8 text holds them.
            following = 0xE000 if last == 0xD7FF else last + 1
            return prefix[: end - 1] + chr(following)
    return BEHIND_ALL


@frozen
class KeyRange:
    """Keys `start ≤ key < stop`."""

    start: str
    stop: str

    @property
    def empty(self) -> bool:
        return self.start >= self.stop


def key_range(prefix: str, delimiter: str, after: str) -> KeyRange:
    """The keys that a listing may show.

    `after` is exclusive. When it is itself a common prefix of this listing, everything below it was shown already as that
    one entry and is skipped; when it only lies below one, the rest of that group is shown (again) as its common prefix, as S3 does.
    """
    start = after + JUST_BEHIND if after else ""
    if delimiter and after.startswith(prefix):
        below = after[len(prefix) :]
        if below.find(delimiter) == len(below) - len(delimiter) >= 0:
            start = successor(after)
    return KeyRange(max(start, prefix), successor(prefix))
