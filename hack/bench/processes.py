"""Processes of the benchmark: each runs in a session of its own and has ended when its `with` block has, whatever ends that."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]

_READY_SECONDS = 30.0
_END_SECONDS = 15.0


class CannotRunError(Exception):
    """Something that the benchmark needs is missing, or did not start; the text says what to do."""


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; as KeyboardInterrupt it is no Exception."""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal ends the run; the processes are then ended in peace, whoever presses Ctrl-C again."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals back: between the start of a process and the line that remembers it, nobody would end it."""
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda number, _frame: held.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


@contextlib.contextmanager
def process(
    name: str, command: list[str], log: Path, cwd: Path = ROOT, user: str | None = None, ending: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, in a session of its own, so that the Ctrl-C of a terminal reaches only us, who end it by its pid."""
    started = None
    try:
        with log.open("wb") as output, _undisturbed():
            started = subprocess.Popen(
                command, cwd=cwd, user=user, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        yield started
    finally:
        if started is not None:
            _end(name, started, ending)


def _end(name: str, running: subprocess.Popen[bytes], ending: signal.Signals) -> None:
    running.send_signal(ending)
    try:
        running.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"bench: {name} did not end within {_END_SECONDS:.0f} s of {ending.name}: killed", file=sys.stderr)
        running.kill()
        running.wait()


def tail(log: Path) -> str:
    """The end of what a process printed."""
    return log.read_text(errors="replace")[-3000:]


def until_ready(name: str, server: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    """Ask until the answer is yes. Raises CannotRunError with the end of its log when it ends or takes too long."""
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready():
        if server.poll() is not None or time.monotonic() > deadline:
            state = "is not ready" if server.poll() is None else f"ended with code {server.returncode}"
            raise CannotRunError(f"{name} {state}; the end of its log:\n{tail(log)}")
        time.sleep(0.05)


def answers(port: int, path: str) -> bool:
    """Whether `path` is answered, and not with an error of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
