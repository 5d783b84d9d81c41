"""Coverage-guided fuzzing of what reads foreign bytes: `python -m hack.fuzz TARGET --seconds 3600`.

Starts from tests/corpus/TARGET, keeps inputs that reach something new under .run/fuzz/TARGET, and ends with an error on the first one that
breaks a promise of the target (see hack/fuzz/wire.py and words.py), raises, or takes more than a second: it is left there as `crash-…` or
`timeout-…`. `--shrink FILE` makes such an input smaller. `--keep` afterwards copies from the new inputs into tests/corpus what
adds coverage to it. Further arguments are libFuzzer's, such as `-max_len=100000`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import traceback
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("python -m hack.fuzz: there is no atheris for this Python; it has wheels for Linux on x86_64 and Python before 3.14")
from hack.fuzz.names import NAMES

COUNTED = ["s3o_proxy.auth", "s3o_proxy.backends.wire", "s3o_proxy.domain", "s3o_proxy.http", "s3o_proxy.s3", "httptools"]
ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--shrink", type=Path, metavar="FILE")
    parser.add_argument("--keep", action="store_true")
    asked, further = parser.parse_known_args()
    kept, found = ROOT / "tests" / "corpus" / asked.target, ROOT / ".run" / "fuzz" / asked.target
    found.mkdir(parents=True, exist_ok=True)
    if asked.shrink:
        run(
            asked.target,
            found,
            [f"-max_total_time={asked.seconds}", "-minimize_crash=1", f"-artifact_prefix={found}/", str(asked.shrink), *further],
        )
    elif asked.keep:
        # One process fuzzes, the next merges: libFuzzer ends the process that it ran in.
        command = [sys.executable, "-m", "hack.fuzz", asked.target, f"--seconds={asked.seconds}", *further]
        subprocess.run(command, check=True, cwd=ROOT)
        run(asked.target, found, ["-merge=1", str(kept), str(found)])
    else:
        limits = [f"-max_total_time={asked.seconds}", "-timeout=1", "-print_final_stats=1", f"-artifact_prefix={found}/"]
        run(asked.target, found, [*limits, *further, str(found), str(kept)])


def run(target: str, found: Path, arguments: list[str]) -> None:
    """Does not return."""
    with atheris.instrument_imports(include=COUNTED):
        from hack.fuzz.targets import TARGETS
    check = TARGETS[target]

    def checked(data: bytes) -> None:
        try:
            check(data)
        except BaseException:  # noqa: BLE001 - the input is kept whatever was raised, then the process ends
            traceback.print_exc()
            asked_for = [argument.partition("=")[2] for argument in arguments if argument.startswith("-exact_artifact_path=")]
            name = Path(asked_for[0]) if asked_for else found / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            name.write_bytes(data)
            print(f"{name}: {data!r}", file=sys.stderr, flush=True)
            os._exit(1)  # as libFuzzer would; Python's own end takes longer than an input may

    # libFuzzer starts itself again by its first argument, for merging and shrinking.
    atheris.Setup([f"{sys.executable} -m hack.fuzz {target}", *arguments], checked)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
