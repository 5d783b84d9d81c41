"""`make run`: one S3 endpoint on this machine, with real S3 servers behind it, from config/local.

Starts a SeaweedFS server at the address of every StorageBackend of config/local, creates its bucket, and runs `s3o run` over them.
Everything they store lies in .run/ and is there again at the next start. Ctrl-C, SIGTERM, the end of the terminal, or the end of any of the
processes ends all.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from hack.seaweedfs import SeaweedFSFailed, Server

from s3o_crds.compiled import BackendConfig
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.loader import load
from s3o_proxy.config.snapshot import Snapshot

ROOT = Path(__file__).parents[1]
_READY_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30


class CannotRun(Exception):
    """With the sentence that the user reads."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run", description="One S3 endpoint on this machine, with real S3 servers behind it.")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "local", help="directory of custom resources")
    parser.add_argument("--data", type=Path, default=ROOT / ".run", help="where everything is stored")
    parser.add_argument("--listen", default="127.0.0.1:9000", metavar="ADDR:PORT")
    options = parser.parse_args(arguments)
    if not options.listen.rpartition(":")[2].isdecimal():
        parser.error(f"argument --listen: {options.listen!r} is not ADDR:PORT")
    stop = threading.Event()
    ending = [signal.SIGINT, signal.SIGTERM]
    # Of the terminal that is closed, which nohup has ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.append(signal.SIGHUP)
    for number in ending:
        signal.signal(number, lambda *_: stop.set())
    try:
        with ExitStack() as started:
            return _run(options.config.resolve(), options.data.resolve(), options.listen, started, stop)
    except ConfigError as error:
        print(*error.reasons, sep="\n", file=sys.stderr)
    except (CannotRun, SeaweedFSFailed, OSError) as error:
        print(f"make run: {error}", file=sys.stderr)
    return 1


def _run(config: Path, data: Path, listen: str, started: ExitStack, stop: threading.Event) -> int:
    """Every process that is started is ended by leaving `started`, the last one first: the proxy before its backends."""
    snapshot = load(config, os.environ).snapshot
    data.mkdir(exist_ok=True)
    _take_lock(data, started)
    _refuse_taken_ports([*(_port_of(backend) for backend in snapshot.backends), int(listen.rpartition(":")[2])])
    print(f"starting {len(snapshot.backends)} S3 servers …", flush=True)
    servers = _start_servers(snapshot.backends, data, started)
    if stop.is_set():
        return 0
    proxy = _start_proxy(config, data, listen, started)
    endpoint = f"{'https' if snapshot.server.tls else 'http'}://{listen}"
    _wait_until_ready(proxy, endpoint, data, stop)
    if stop.is_set():
        return 0
    _write_environment(data / "env", endpoint, snapshot)
    print(_welcome(config, data, endpoint, snapshot), flush=True)
    processes = {"the proxy": proxy, **{f"the S3 server {name}": server.process for name, server in servers.items()}}
    while not stop.wait(0.5):
        for name, process in processes.items():
            if process.poll() is not None:
                raise CannotRun(f"{name} ended with {process.returncode}; its log is in {data}. Ending the others.")
    print("\nending …", flush=True)
    return 0


def _take_lock(data: Path, started: ExitStack) -> None:
    lock = started.enter_context((data / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotRun(f"another one is running on {data}") from None


def _refuse_taken_ports(ports: Sequence[int]) -> None:
    for port in ports:
        try:
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            raise CannotRun(f"port {port} is in use by another program") from None


def _start_servers(backends: Sequence[BackendConfig], data: Path, started: ExitStack) -> dict[str, Server]:
    """All at once: each takes seconds to come up."""

    def start(backend: BackendConfig) -> Server:
        server = Server.start(data / backend.name, port=_port_of(backend))
        started.callback(server.stop)
        server.create_bucket(backend.bucket)
        return server

    with ThreadPoolExecutor(max_workers=max(1, len(backends))) as pool:
        return dict(zip((backend.name for backend in backends), pool.map(start, backends), strict=True))


def _port_of(backend: BackendConfig) -> int:
    url = urlsplit(backend.endpoint)
    if url.scheme != "http" or url.hostname not in {"127.0.0.1", "localhost"} or url.port is None:
        raise CannotRun(f"StorageBackend {backend.name} lies at {backend.endpoint}: only http://127.0.0.1:PORT can be started here")
    return url.port


def _start_proxy(config: Path, data: Path, listen: str, started: ExitStack) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).parent / "s3o"
    with (data / "proxy.log").open("ab") as log:
        # In .run/, because the path of the database is relative. In a session of its own, so that Ctrl-C reaches us alone, and the
        # proxy ends before its backends.
        process = subprocess.Popen(
            [program, "run", config, "--listen", listen], cwd=data, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    started.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(proxy: subprocess.Popen[bytes], endpoint: str, data: Path, stop: threading.Event) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # The certificate is our own, or none that anybody trusts.
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    while not stop.is_set():
        if proxy.poll() is not None or time.monotonic() > deadline_s:
            what = f"is not ready after {_READY_TIMEOUT_S} s" if proxy.returncode is None else f"ended with {proxy.returncode}"
            log = (data / "proxy.log").read_text(errors="replace")
            raise CannotRun(f"the proxy {what}; its log ends:\n{log[-2000:]}")
        try:
            with urlopen(f"{endpoint}/health/ready", timeout=2, context=trusting):
                return
        except (URLError, OSError):
            stop.wait(0.1)


def _write_environment(path: Path, endpoint: str, snapshot: Snapshot) -> None:
    bucket, key_id, secret = _first_key(snapshot)
    values = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": snapshot.region,
        "AWS_DEFAULT_REGION": snapshot.region,  # The name that the older aws program reads.
        "S3_BUCKET": bucket,
    }
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))


def _first_key(snapshot: Snapshot) -> tuple[str, str, str]:
    for bucket in snapshot.buckets:
        for credential in bucket.credentials:
            if credential.type == "SigV4":
                return bucket.name, snapshot.secret(credential.access_key_id), snapshot.secret(credential.secret_access_key)
    raise CannotRun("no VirtualBucket has a credential of type SigV4")


def _welcome(config: Path, data: Path, endpoint: str, snapshot: Snapshot) -> str:
    bucket, key_id, secret = _first_key(snapshot)
    aws = Path(sys.executable).parent / "aws"
    shown = aws.relative_to(Path.cwd()) if aws.is_relative_to(Path.cwd()) else aws
    place = data.relative_to(Path.cwd()) if data.is_relative_to(Path.cwd()) else data
    return f"""
endpoint           {endpoint}
bucket             {bucket}
access key id      {key_id}
secret access key  {secret}
backends           {", ".join(f"{backend.name} ({backend.endpoint})" for backend in snapshot.backends)}
log                {place}/proxy.log

Try, in another shell in this directory:

    . {place}/env
    {shown} s3 cp README.md s3://$S3_BUCKET/
    {shown} s3 ls s3://$S3_BUCKET/
    curl -s "$({shown} s3 presign s3://$S3_BUCKET/README.md)" | head -n 3

Does everything agree? In {place}/, because the path of the database is relative:

    (cd {place} && {_from(data, aws.parent / "s3o")} audit {_from(data, config)})

Ctrl-C ends everything; {place}/ keeps the data."""


def _from(data: Path, path: Path) -> str:
    """As somebody writes it who has changed there; whole, when that is somewhere else altogether."""
    near = data.is_relative_to(Path.cwd()) and path.is_relative_to(Path.cwd())
    return os.path.relpath(path, data) if near else str(path)


if __name__ == "__main__":
    sys.exit(main())
