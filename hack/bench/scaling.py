"""What several processes on one port carry, beside one: `bench.py --processes 1,2`.

The rate of a machine on which clients, backend and database have a share says little about the proxies. So the figure to look at is what
they could carry with a core for each process and nothing else on it: so many cores, by the processor time of an operation.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hack.bench import ours, servers
from hack.bench.accounting import pin
from hack.bench.cases import CASES, Case
from hack.bench.processes import CannotRunError
from hack.bench.report import Figures, table
from hack.bench.turns import Side, seed, take_turns

_COLUMNS = (
    *("operation", "processes", "CPU per op, µs", "±", "database", "clients", "stub"),
    *("rate", "times", "cores: proxies", "database", "clients", "stub", "p99 ms", "RSS MiB", "carry/s", "times"),
)
_PARTS = ("server", "database", "clients", "stub")


def measure(options: argparse.Namespace) -> None:
    """Play the rounds of every number of processes in turns, and print the table. The same PostgreSQL for all."""
    cases = [case for case in CASES if case.name in options.only and not case.large]
    if not cases:
        raise CannotRunError("--processes compares small operations: name one of them in --only")
    with tempfile.TemporaryDirectory(prefix="s3o-bench-") as scratch, _sides(options.processes, Path(scratch)) as sides:
        seed(sides[0], cases)
        rows: list[tuple[str, ...]] = []
        for case in cases:
            measured = take_turns(case, sides, options)
            rows += [
                row(case, number, measured[str(number)], measured[sides[0].name], options.processes[0]) for number in options.processes
            ]
            print(f"{case.title}: measured", file=sys.stderr)
        print(table(rows, _COLUMNS))


@contextlib.contextmanager
def _sides(processes: Sequence[int], scratch: Path) -> Iterator[list[Side]]:
    """A core for each process, and the others for the rest, where there are enough; else everybody shares all of them, in every row."""
    scratch.chmod(0o711)  # PostgreSQL may run as another user, and has its own folder in here
    cores = sorted(os.sched_getaffinity(0))
    enough = len(cores) > max(processes)
    if enough:
        os.sched_setaffinity(0, set(cores[max(processes) :]))
    where = f"cores {cores[: max(processes)]}, the rest on {cores[max(processes) :]}" if enough else f"all of them share the cores {cores}"
    print(f"bench: processes {processes}, database postgres, {where}", file=sys.stderr)
    with contextlib.ExitStack() as running:
        backend, upstream = running.enter_context(servers.stub(scratch))
        engine, uri = running.enter_context(ours.postgres(scratch))
        sides = []
        for number in processes:
            folder = scratch / str(number)
            folder.mkdir()
            proxy, port = running.enter_context(ours.proxy(folder, upstream, uri, number))
            if enough:
                pin(proxy.pid, set(cores[:number]))
            watch = {"server": proxy.pid, "database": engine.pid, "stub": backend.pid}
            sides.append(Side(str(number), port, ours.BUCKET, watch, scratch, tag=f"{number}-"))
        yield sides


def row(case: Case, processes: int, measured: Figures, first: Figures, first_processes: int) -> tuple[str, ...]:
    """The cells of one line, compared with the first number of processes."""
    carried, carried_by_first = capacity(processes, measured.costs), capacity(first_processes, first.costs)
    return (
        case.title,
        str(processes),
        f"{measured.server:.1f}",
        f"{measured.spread / 2:.0%}",
        *(f"{measured.costs[part]:.1f}" for part in _PARTS[1:]),
        f"{measured.per_second:,.0f}",
        f"{measured.per_second / first.per_second:.2f}",
        *(f"{measured.costs[part] * measured.per_second / 1e6:.2f}" for part in _PARTS),
        f"{measured.p99_seconds * 1e3:.1f}",
        f"{measured.resident_bytes / 2**20:.0f}",
        f"{carried:,.0f}",
        f"{carried / carried_by_first:.2f}",
    )


def capacity(processes: int, costs: Mapping[str, float]) -> float:
    """Operations per second of so many processes, each with a core to itself that is never idle. `costs`: in microseconds."""
    return processes * 1e6 / costs["server"]
