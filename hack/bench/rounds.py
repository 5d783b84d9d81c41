"""The benchmark from its command line to its table: start the servers, store the objects, play the rounds, end everything."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hack.bench import ours, scaling, servers
from hack.bench.accounting import pin
from hack.bench.cases import CASES
from hack.bench.flatness import measure
from hack.bench.processes import CannotRunError, Interrupted, interrupt
from hack.bench.report import row, table
from hack.bench.turns import MOST_SECONDS, Side, WrongAnswerError, seed, take_turns

_PLAIN_BUCKET = "plain"


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        (scaling.measure if options.processes else _measure)(options)
    except CannotRunError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    except WrongAnswerError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    except Interrupted:
        print("bench: interrupted; every server that it started has ended", file=sys.stderr)
        return 130
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="make bench", description="Processor time per operation, ours beside nginx.")
    parser.add_argument("--rounds", type=_at_least_one, default=3, help="windows of each server; the median counts (default 3)")
    parser.add_argument("--seconds", type=_positive, default=2.0, help="length of a window (default 2)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=names, help=f"some of: {','.join(names)}")
    parser.add_argument("--connections", type=_at_least_one, default=32, help="requests in flight, of small operations (default 32)")
    parser.add_argument("--database", choices=("postgres", "sqlite"), help="default: postgres where it is installed")
    parser.add_argument("--location-cache", metavar="AGE", help="with spec.server.locationCache of this maxAge: 60s (default: none)")
    parser.add_argument("--without-flatness", action="store_true", help="leave out the pages of LIST over a million keys")
    parser.add_argument("--processes", type=_numbers, help="compare so many processes on one port with each other, instead: 1,2")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--without-nginx", action="store_true", help="measure ours alone")
    alone.add_argument("--without-ours", action="store_true", help="measure nginx alone")
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(names):
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {','.join(names)}")
    return options


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _numbers(text: str) -> list[int]:
    return [_at_least_one(number) for number in text.split(",")]


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {MOST_SECONDS:.0f}")
    return number


def _measure(options: argparse.Namespace) -> None:
    cases = [case for case in CASES if case.name in options.only]
    with tempfile.TemporaryDirectory(prefix="s3o-bench-") as scratch, sides_of(options, Path(scratch)) as sides:
        for side in sides:
            seed(side, cases)
        rows = []
        for case in cases:
            measured = take_turns(case, sides, options)
            rows.append(row(case, measured.get("ours"), measured.get("nginx")))
            print(f"{case.title}: measured", file=sys.stderr)
        print(table(rows))
    if not options.without_flatness:
        for database in ["sqlite", *(["postgres"] if ours.postgres_programs() else [])]:
            with tempfile.TemporaryDirectory(prefix="s3o-bench-") as scratch:
                Path(scratch).chmod(0o711)  # as above
                print(measure(Path(scratch), database).line)


@contextlib.contextmanager
def sides_of(options: argparse.Namespace, scratch: Path) -> Iterator[list[Side]]:
    """Start everything: what is measured on a core of its own, all else (clients, backend, database) on the others."""
    scratch.chmod(0o711)  # PostgreSQL may run as another user, and has its own folder in here
    cores = sorted(os.sched_getaffinity(0))
    measured, others = {cores[0]}, set(cores[1:]) or {cores[0]}
    if len(cores) == 1:
        print("bench: one core only: clients and servers share it, the figures are worth little", file=sys.stderr)
    os.sched_setaffinity(0, others)  # everything that we start inherits this
    database = options.database or ("postgres" if ours.postgres_programs() else "sqlite")
    with contextlib.ExitStack() as running:
        _, upstream = running.enter_context(servers.stub(scratch))
        sides = []
        if not options.without_ours:
            watch, uri = {}, None
            if database == "postgres":
                engine, uri = running.enter_context(ours.postgres(scratch))
                watch = {"database": engine.pid}
            proxy, port = running.enter_context(ours.proxy(scratch, upstream, uri, location_cache=options.location_cache))
            sides.append(Side("ours", port, ours.BUCKET, {"server": proxy.pid, **watch}, scratch))
        if not options.without_nginx:
            plain, port = running.enter_context(servers.nginx(scratch, upstream))
            sides.append(Side("nginx", port, _PLAIN_BUCKET, {"server": plain.pid}, scratch))
        for side in sides:
            pin(side.watch["server"], measured)
        print(f"bench: database {database}, measured on core {cores[0]}, the rest on {sorted(others)}", file=sys.stderr)
        yield sides
