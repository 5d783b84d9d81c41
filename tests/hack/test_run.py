"""`make run` when something is in its way; what it is good for is typed in tests/clients/test_make_run.py."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hack.ports import free_port
from tests.support.repository import ROOT

_STARTED_S = 120


class Run:
    """`make run` with its resources on ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.config, self.data = directory / "local", directory / "data"
        self.config.mkdir()
        *server_ports, self.port = (free_port() for _ in range(4))
        for path in (ROOT / "config" / "local").glob("*.yaml"):
            text = path.read_text()
            for number, port in enumerate(server_ports, 9101):
                text = text.replace(f":{number}\n", f":{port}\n")
            (self.config / path.name).write_text(text)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """What it prints until it is ready, or until it ends."""
        options = [f"--config={self.config}", f"--data={self.data}", f"--listen=127.0.0.1:{self.port}"]
        command = [sys.executable, "-m", "hack.run", *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.process, printed = process, ""
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if line.startswith("Ctrl-C ends everything"):
                break
        return printed

    def descendants(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        self.process.communicate(timeout=_STARTED_S)
        return self.process.returncode


def gone(started: list[psutil.Process]) -> bool:
    return psutil.wait_procs(started, timeout=5)[1] == []


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    if run.process is not None and run.process.poll() is None:
        run.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "the end of the terminal"])
def test_it_ends_as_by_ctrl_c(run: Run, number: signal.Signals) -> None:
    assert f"http://127.0.0.1:{run.port}" in run.start()
    assert (run.data / "env").stat().st_mode & 0o077 == 0, "it holds a secret"
    started = run.descendants()
    assert len(started) == 4
    assert run.end(number) == 0
    assert gone(started)


def test_one_of_them_ends_and_so_do_the_others(run: Run) -> None:
    run.start()
    started = run.descendants()
    next(process for process in started if "weed" in process.name()).kill()
    assert run.wait() == 1
    assert gone(started)


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    with socket.create_server(("127.0.0.1", run.port)):
        printed = run.start()
        assert run.wait() == 1
    assert printed == f"make run: port {run.port} is in use by another program\n"


def test_an_invalid_sample_is_named_by_its_document(run: Run) -> None:
    path = run.config / "storagebackends.yaml"
    path.write_text(re.sub(r"\border: 20", "ordre: 20", path.read_text()))
    assert run.start() == "storagebackends.yaml, document 2: StorageBackend two: spec.ordre: is not a field of this kind\n"
    assert run.wait() == 1
