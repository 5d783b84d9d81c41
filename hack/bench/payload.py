"""The bytes that every body of the benchmark is made of: the load sends a prefix of them, the stub gives a prefix of them back.

So each end checks each chunk by comparing it in place, which costs a twentieth of a digest, and a byte that was lost, doubled or moved is
seen: the bytes repeat with a period that divides no power of two.
"""

from __future__ import annotations

import random

_PERIOD = 1_048_573  # the largest prime below 1 MiB: no chunk size of anybody divides it


def payload(size_bytes: int) -> bytes:
    """The first `size_bytes` of the benchmark's bytes; the same in every process."""
    block = random.Random(20260320).randbytes(_PERIOD)
    return (block * (size_bytes // _PERIOD + 1))[:size_bytes]
