"""One real proxy: a process of the `s3o` program that can be stopped, killed and asked how it is."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psutil
from hack.ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from tests.support import programs

ADMIN_TOKEN = "token-of-the-tests"
"""Opens the admin API of every proxy."""

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_LOG_TAIL_BYTES = 20_000


class Proxy:
    """One `s3o run` on a port that stays its own through restarts."""

    def __init__(self, number: int, directory: Path, config: Path, *, scheme: str, program: Sequence[str] = ("run",)) -> None:
        """`program`: command and options."""
        self.port = free_port()
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}"
        self.log = directory / f"proxy-{number}.log"
        self._directory, self._config, self._program = directory, config, program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "this proxy was never started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def resident_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def start(self) -> None:
        """Returns when it says that it is ready."""
        name, *options = self._program
        # Behind a `--`, as who takes the directory from a variable writes it: also the processes of several are started so.
        command = [str(programs.find("s3o")), name, *options, "--listen", f"127.0.0.1:{self.port}", "--", str(self._config)]
        environment = os.environ | {"S3O_ADMIN_TOKEN": ADMIN_TOKEN}
        with self.log.open("ab") as log:
            # Its own session: Ctrl-C at the tests is theirs to handle, by ending each proxy by its pid.
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_until(self._is_ready, "the proxy is not ready; its log is below", timeout_s=_READY_TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self.process.terminate()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.terminate()
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(_STOP_TIMEOUT_S)

    def ask_to_end(self) -> None:
        """SIGTERM if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.terminate()

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        self.ask_to_end()
        if self._process is None:
            return
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()

    def health(self, path: str = "/health/ready") -> int:
        """The status that `path` answers. Raises httpx.TransportError while nobody listens."""
        # The certificate of a test is not what is asked about here.
        return httpx.get(f"{self.endpoint}{path}", verify=False, timeout=5, trust_env=False).status_code

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of the one sample of `name` with `labels`; None when there is none."""
        text = httpx.get(f"{self.endpoint}/metrics", verify=False, timeout=5, trust_env=False).text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next((sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()), None)

    @property
    def generation(self) -> int:
        """Of the configuration that it serves."""
        value = self.metric("s3o_config_generation")
        assert value is not None, "no s3o_config_generation in /metrics"
        return int(value)

    def tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"the proxy ended with {self.process.returncode} at its start:\n{self.tail()}"
        try:
            return self.health() == 200
        except httpx.TransportError:
            return False


def wait_until(holds: Callable[[], bool], otherwise: str, *, timeout_s: float = 30) -> None:
    """Ask `holds` again and again. Raises AssertionError(`otherwise`) after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
