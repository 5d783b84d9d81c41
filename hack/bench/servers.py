"""The servers beside ours: the stub, and nginx as a plain reverse proxy."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hack.bench.processes import CannotRunError, answers, process, until_ready
from hack.ports import free_port


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
