"""What a server costs: processor time and resident memory of a process and all its children, as the kernel counts them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """The process and everything it started. Raises psutil.NoSuchProcess when it has ended."""
    root = psutil.Process(pid)
    return [pid, *(child.pid for child in root.children(recursive=True))]


def cpu_ns(pid: int) -> int:
    """User and system time of one process with its threads, also those that have ended, in nanoseconds; 0 when it has ended itself.

    The clock of a process (clock_getcpuclockid(3)) is exact, where the ticks of /proc/PID/stat are 10 ms. Python has no name for it, so
    its number is made as the C library makes it: the complement of the pid, shifted by three, and 2 for scheduled time.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def spent_ns(before: dict[int, int], after: dict[int, int]) -> int:
    """Time spent between two snapshots. A process that ended in between takes its share with it: no server here forks for a request."""
    return sum(total - before.get(pid, 0) for pid, total in after.items() if total)


def snapshot(pid: int) -> dict[int, int]:
    """cpu_ns of every process of a tree."""
    return {member: cpu_ns(member) for member in tree(pid)}


def resident_bytes(pids: list[int]) -> int:
    """Resident memory, shared pages counted once for each process. A process that has ended counts nothing."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except FileNotFoundError:
            continue
    return total


def pin(pid: int, cores: set[int]) -> None:
    """Move a tree of processes, with the threads that it has, to these cores; what they start later stays there, too."""
    for member in tree(pid):
        for thread in psutil.Process(member).threads():
            os.sched_setaffinity(thread.id, cores)
