"""The servers that are compared, and the windows that they play in turns."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hack.bench import ours
from hack.bench.cases import Case
from hack.bench.load import Job, Window
from hack.bench.processes import process, tail
from hack.bench.report import Figures, figures

MOST_SECONDS = 60.0
_LOAD_SECONDS = MOST_SECONDS + 120.0
_SEED_CONNECTIONS = 8


class WrongAnswerError(Exception):
    """A server gave an answer that no client must get: its speed is of no interest."""


@dataclass(frozen=True)
class Side:
    """One of the servers that are compared. `watch`: see load.Job."""

    name: str
    port: int
    bucket: str
    watch: dict[str, int]
    scratch: Path
    tag: str = ""
    """What makes its keys others than those of another side with the same database."""


def seed(side: Side, cases: Sequence[Case]) -> None:
    """Store what GET, HEAD and LIST read, through the server that is to read it."""
    large = any(case.large and case.method == "GET" for case in cases)
    small = any(not case.large and case.method != "PUT" for case in cases)
    for name in ["put4k"] * small + ["put64m"] * large:
        play(side, job_for(side, name, connections=_SEED_CONNECTIONS if name == "put4k" else 1, seconds=60.0))


def take_turns(case: Case, sides: Sequence[Side], options: argparse.Namespace) -> dict[str, Figures]:
    """The servers take turns, so that a noisy minute of the machine falls on both."""
    windows: dict[str, list[Window]] = {side.name: [] for side in sides}
    for number in range(options.rounds):
        for side in sides:
            job = job_for(side, case.name, connections=case.connections or options.connections, seconds=options.seconds)
            windows[side.name].append(play(side, prepared(side, case, replace(job, tag=f"{side.tag}{number}"))))
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
