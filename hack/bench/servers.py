"""The servers of the benchmark: the stub, nginx and our proxy, each a process of ours that ends with the `with` block."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_READY_SECONDS = 30.0
_END_SECONDS = 15.0


class CannotRunError(Exception):
    """Something that the benchmark needs is missing, or did not start; the text says what to do."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def process(
    name: str, command: list[str], log: Path, cwd: Path = ROOT, user: str | None = None, ending: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a session of its own, so that the Ctrl-C of a terminal reaches only us, who end it by its pid."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=cwd, user=user, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield server
    finally:
        _end(name, server, ending)


def _end(name: str, server: subprocess.Popen[bytes], ending: signal.Signals) -> None:
    server.send_signal(ending)
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"bench: {name} did not end within {_END_SECONDS:.0f} s of {ending.name}: killed", file=sys.stderr)
        server.kill()
        server.wait()


def until_ready(name: str, server: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    """Ask until the answer is yes. Raises CannotRunError with the end of its log when it ends or takes too long."""
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready():
        if server.poll() is not None or time.monotonic() > deadline:
            state = "is not ready" if server.poll() is None else f"ended with code {server.returncode}"
            raise CannotRunError(f"{name} {state}; the end of its log:\n{log.read_text(errors='replace')[-3000:]}")
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


@contextlib.contextmanager
def stub(scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The backend; yields its process and port."""
    port, log = free_port(), scratch / "stub.log"
    with process("the stub", [sys.executable, "-m", "hack.bench.stub", str(port)], log) as server:
        until_ready("the stub", server, log, lambda: answers(port, "/"))
        yield server, port


@contextlib.contextmanager
def nginx(scratch: Path, upstream_port: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """nginx as a reverse proxy that does nothing else; yields its process and port. Raises CannotRunError when it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise CannotRunError(
            "nginx is missing: install it (Debian, Ubuntu: apt-get install nginx-light), or leave it out with --without-nginx"
        )
    home, port, log = scratch / "nginx", free_port(), scratch / "nginx.log"
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(_NGINX_CONF.format(home=home, port=port, upstream=upstream_port))
    with process("nginx", [program, "-p", str(home), "-e", "stderr", "-c", str(config)], log) as server:
        until_ready("nginx", server, log, lambda: answers(port, "/"))
        yield server, port


# One worker; connections to the backend are kept; request bodies stream through; answers are buffered in memory only, which costs nginx
# less than not buffering; no access log. So these are the best figures that nginx has.
_NGINX_CONF = """\
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    upstream backend {{
        server 127.0.0.1:{upstream};
        keepalive 128;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_buffers 8 64k;
            proxy_buffer_size 64k;
            proxy_busy_buffers_size 128k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""
