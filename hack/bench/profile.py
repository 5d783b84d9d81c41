"""`make profile CASE=get4k`: where the processor time of one operation goes, as a flame graph.

One case of the benchmark is played, and py-spy looks at our process from outside some hundred times a second: it costs the process nothing.
Exit codes: 0; 2 when it cannot run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that a script in a folder finds the packages beside it

from hack.bench.cases import CASES, case_named
from hack.bench.processes import CannotRunError, process, tail
from hack.bench.rounds import sides_of
from hack.bench.turns import WrongAnswerError, job_for, play, prepared, seed

_HZ = 400
_SUFFIXES = {"flamegraph": ".svg", "speedscope": ".json", "raw": ".txt"}
_WRITING_SECONDS = 60.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make profile", description="A flame graph of one operation of our proxy.")
    parser.add_argument("case", choices=[case.name for case in CASES])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long it is played (default 5)")
    parser.add_argument("--connections", type=int, default=32, help="requests in flight, of small operations (default 32)")
    parser.add_argument("--database", choices=("postgres", "sqlite"), help="default: postgres where it is installed")
    parser.add_argument(
        "--format", choices=tuple(_SUFFIXES), default="flamegraph", help="default flamegraph; speedscope and raw are py-spy's"
    )
    parser.add_argument("--output", type=Path, help="default: profile-CASE.svg, .json or .txt")
    options = parser.parse_args(arguments)
    output = options.output or Path(f"profile-{options.case}{_SUFFIXES[options.format]}")
    try:
        _record(options, output)
    except (CannotRunError, WrongAnswerError) as problem:
        print(f"profile: {problem}", file=sys.stderr)
        return 2
    print(f"profile: {output}", file=sys.stderr)
    return 0


def _record(options: argparse.Namespace, output: Path) -> None:
    case = case_named(options.case)
    alone = argparse.Namespace(database=options.database, location_cache=None, without_ours=False, without_nginx=True)
    with tempfile.TemporaryDirectory(prefix="s3o-profile-") as scratch, sides_of(alone, Path(scratch)) as (side,):
        seed(side, [case])
        job = job_for(side, case.name, connections=case.connections or options.connections, seconds=options.seconds)
        job = prepared(side, case, replace(job, tag="profile"))
        log = Path(scratch) / "py-spy.log"
        with process("py-spy", _py_spy(side.watch["server"], options, output), log) as recorder:
            play(side, job)
            if recorder.wait(_WRITING_SECONDS):
                raise CannotRunError(f"py-spy failed (it needs ptrace, which containers and macOS may refuse):\n{tail(log)}")


def _py_spy(pid: int, options: argparse.Namespace, output: Path) -> list[str]:
    program = str(Path(sys.executable).with_name("py-spy"))
    seconds = str(max(1, round(options.seconds)))
    return [
        program,
        "record",
        "--pid",
        str(pid),
        "--duration",
        seconds,
        "--rate",
        str(_HZ),
        "--format",
        options.format,
        "--output",
        str(output),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
