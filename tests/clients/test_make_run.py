"""`make run`, as somebody who has just cloned the repository uses it: the commands that it prints are typed as they stand."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hack.ports import free_port
from tests.support import programs
from tests.support.proxy import wait_until

ROOT = Path(__file__).parents[2]
_START_S = 90.0
_STOP_S = 40.0


class MakeRun:
    """`make run` on a directory of its own and on free ports, so that another one is not in its way."""

    def __init__(self, directory: Path) -> None:
        self.data, self._config, self._log = directory / "data", directory / "config", directory / "make-run.log"
        self._listen = f"127.0.0.1:{free_port()}"
        self._config.mkdir()
        for sample in (ROOT / "config" / "local").glob("*.yaml"):
            text = sample.read_text()
            for port in (9101, 9102, 9103):
                text = text.replace(f":{port}\n", f":{free_port()}\n")
            (self._config / sample.name).write_text(text)

    @contextmanager
    def running(self) -> Iterator[list[str]]:
        """The commands that it tells its user to try. Ctrl-C at the end, which leaves nothing behind."""
        arguments = f"ARGS=--config {self._config} --data {self.data} --listen {self._listen}"
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [programs.find("make"), "run", arguments],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        started: list[psutil.Process] = []
        try:
            wait_until(lambda: self._is_up(process), "make run is not there yet", timeout_s=_START_S)
            started = psutil.Process(process.pid).children(recursive=True)
            text = self._log.read_text()
            yield [line.strip() for line in text.splitlines() if line.startswith("    ")]
        finally:
            # A terminal sends Ctrl-C to everything in front of it, not to make alone.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(_STOP_S)
        alive = psutil.wait_procs(started, timeout=5)[1]
        for left in alive:
            left.kill()
        assert alive == [], "left behind"
        # The proxy, three servers, and the script itself.
        assert len(started) >= 5
        assert "ending" in self._log.read_text()

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        text = self._log.read_text()
        assert process.poll() is None, f"make run ended with {process.returncode}:\n{text}"
        return "Ctrl-C ends everything" in text


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    return MakeRun(tmp_path_factory.mktemp("make-run"))


def type_in(*commands: str) -> str:
    """Typed one after the other into one shell, by somebody without any AWS settings; the output of the last one."""
    script = "\n".join(["set -e", *commands])
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    ended = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, f"{script}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_the_printed_commands_work_and_ctrl_c_ends_everything(make_run: MakeRun) -> None:
    with make_run.running() as commands:
        source, copy, show, presign, audit = commands
        assert source == f". {make_run.data}/env"
        type_in(source, copy)
        assert "README.md" in type_in(source, show)
        assert type_in(source, presign).strip()
        assert type_in(audit) == ""
        named = "$AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_REGION $S3_BUCKET"
        assert len(type_in(source, "set -u", f"echo {named}").split()) == 5


def test_what_was_stored_is_there_at_the_next_start(make_run: MakeRun) -> None:
    with make_run.running() as (source, _, show, presign, _):
        assert "README.md" in type_in(source, show)
        first_lines = type_in(source, presign)
    assert (ROOT / "README.md").read_text().startswith(first_lines)
