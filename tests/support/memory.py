"""How much memory a proxy holds while something goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.proxy import Proxy

MIB = 1024**2
LIMIT_BYTES = 300 * MIB
_PERIOD_S = 0.1


@contextmanager
def held_to_limit(proxy: Proxy, what: str, moved_bytes: int) -> Iterator[None]:
    """Look at the proxy's resident memory until the block ends, again and again; it must stay below LIMIT_BYTES. Prints what was seen, and
    how fast the `moved_bytes` of the block went."""
    seen, over, started = [proxy.resident_bytes], threading.Event(), time.monotonic()

    def look() -> None:
        while not over.wait(_PERIOD_S):
            seen.append(proxy.resident_bytes)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    most, taken_s = max(seen), time.monotonic() - started
    print(f"{what}: at most {most / MIB:.0f} MiB resident, {moved_bytes / 1e6 / taken_s:.0f} MB/s")
    assert most < LIMIT_BYTES, f"{what}: {most / MIB:.0f} MiB resident"
