"""What a process that serves asks of its allocator and of its garbage collector."""

from __future__ import annotations

import ctypes
import gc


def tune_memory() -> None:
    """Keep the pages of freed network buffers: with glibc's defaults every 256 KiB read would fault them in again.

    All three together: setting any alone freezes the others at values that are worse (mallopt(3), M_MMAP_THRESHOLD and its kin).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((-3, 32 << 20), (-1, 64 << 20), (-2, 1 << 20)):
            mallopt(option, value)


def tune_garbage() -> None:
    """Look for garbage a fifteenth as often as by default, and never among what was made before the first request.

    A request makes hundreds of objects and few cycles: by default a tenth of its time would go into looking for them. More rarely still,
    and the pieces of a body that a failed request's traceback holds could pile up to what a container is allowed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
