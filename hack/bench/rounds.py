"""The benchmark from its command line to its table: start the servers, store the objects, play the rounds, end everything."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hack.bench import ours, servers
from hack.bench.accounting import pin
from hack.bench.cases import CASES, Case
from hack.bench.flatness import measure
from hack.bench.load import Job, Window
from hack.bench.processes import CannotRunError, Interrupted, interrupt, process, tail
from hack.bench.report import Figures, figures, row, table

_PLAIN_BUCKET = "plain"
_MOST_SECONDS = 60.0
_LOAD_SECONDS = _MOST_SECONDS + 120.0
_SEED_CONNECTIONS = 8


class WrongAnswerError(Exception):
    """A server gave an answer that no client must get: its speed is of no interest."""


@dataclass(frozen=True)
class Side:
    """One of the two servers that are compared. `watch`: see load.Job."""

    name: str
    port: int
    bucket: str
    watch: dict[str, int]
    scratch: Path


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        _measure(options)
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
    parser.add_argument("--without-flatness", action="store_true", help="leave out the pages of LIST over a million keys")
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


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {_MOST_SECONDS:.0f}")
    return number


def _measure(options: argparse.Namespace) -> None:
    cases = [case for case in CASES if case.name in options.only]
    with tempfile.TemporaryDirectory(prefix="s3o-bench-") as scratch, sides_of(options, Path(scratch)) as sides:
        for side in sides:
            seed(side, cases)
        rows = []
        for case in cases:
            measured = _rounds(case, sides, options)
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
            proxy, port = running.enter_context(ours.proxy(scratch, upstream, uri))
            sides.append(Side("ours", port, ours.BUCKET, {"server": proxy.pid, **watch}, scratch))
        if not options.without_nginx:
            plain, port = running.enter_context(servers.nginx(scratch, upstream))
            sides.append(Side("nginx", port, _PLAIN_BUCKET, {"server": plain.pid}, scratch))
        for side in sides:
            pin(side.watch["server"], measured)
        print(f"bench: database {database}, measured on core {cores[0]}, the rest on {sorted(others)}", file=sys.stderr)
        yield sides


def seed(side: Side, cases: Sequence[Case]) -> None:
    """Store what GET, HEAD and LIST read, through the server that is to read it."""
    large = any(case.large and case.method == "GET" for case in cases)
    small = any(not case.large and case.method != "PUT" for case in cases)
    for name in ["put4k"] * small + ["put64m"] * large:
        play(side, job_for(side, name, connections=_SEED_CONNECTIONS if name == "put4k" else 1, seconds=60.0))


def _rounds(case: Case, sides: Sequence[Side], options: argparse.Namespace) -> dict[str, Figures]:
    """The servers take turns, so that a noisy minute of the machine falls on both."""
    windows: dict[str, list[Window]] = {side.name: [] for side in sides}
    for number in range(options.rounds):
        for side in sides:
            job = job_for(side, case.name, connections=case.connections or options.connections, seconds=options.seconds)
            windows[side.name].append(play(side, prepared(side, case, replace(job, tag=str(number)))))
    return {name: figures(case, played) for name, played in windows.items()}


def job_for(side: Side, case: str, *, connections: int, seconds: float) -> Job:
    return Job(
        case=case,
        port=side.port,
        bucket=side.bucket,
        access_key_id=ours.ACCESS_KEY_ID,
        secret_access_key=ours.SECRET_ACCESS_KEY,
        region=ours.REGION,
        connections=connections,
        seconds=seconds,
        warm_up_seconds=0.0,
        watch=side.watch,
    )


def prepared(side: Side, case: Case, job: Job) -> Job:
    """What a window needs before it. What a DELETE deletes is stored first, which warms the server up: each object can be deleted once."""
    if case.method != "DELETE":
        return replace(job, warm_up_seconds=min(0.5, job.seconds))
    job = replace(job, tag=f"gone/{job.tag}")
    return replace(job, count=play(side, replace(job, case="put4k")).operations)


def play(side: Side, job: Job) -> Window:
    """One window, in a process of its own. Raises WrongAnswerError when one answer was wrong."""
    log = side.scratch / "clients.log"
    with process("the clients", [sys.executable, "-m", "hack.bench.load", json.dumps(asdict(job))], log) as clients:
        if clients.wait(_LOAD_SECONDS):
            raise WrongAnswerError(f"{side.name}, {job.case}: the clients gave up:\n{tail(log)}")
    window = Window(**json.loads(log.read_text()))
    if window.failed:
        raise WrongAnswerError(f"{side.name}, {job.case}: {window.failed} wrong answers, such as:\n" + "\n".join(window.failures))
    return window
