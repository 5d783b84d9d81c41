"""A pod whose process is real: `s3o serve` on what its volume holds, and a test in place of the kubelet that mounts it."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
from tests.support.operators import Namespace

Object = dict[str, Any]


class ServingPod:
    """One pod of the Deployment `main-proxy`. What the volume holds changes by `mount`, at once, as a kubelet turns its link."""

    def __init__(self, namespace: Namespace, folder: Path, name: str = "main-proxy-0") -> None:
        self.namespace, self.name = namespace, name
        self.folder = folder / name
        self.folder.mkdir()
        self.config = self.folder / "config"
        self.config.mkdir()
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.template: Object = {}
        """That of the Deployment when it was started last."""
        self._mounting = threading.Lock()

    def start(self) -> None:
        """With what the API server holds now; the pod is ready as soon as its process says so."""
        self.template = self._template_of_the_deployment()
        self.mount()
        token = self._secret("main-admin")["token"].decode()
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        command = [sys.executable, "-m", "s3o_proxy", "serve", str(self.config), "--listen", f"127.0.0.1:{self.port}"]
        with (self.folder / "log").open("wb") as output:
            self.process = subprocess.Popen(
                command, env=inherited | {"S3O_ADMIN_TOKEN": token}, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            )
        self.namespace.pods.put(self.name, self.template, self.port)

    def mount(self) -> None:
        """What the volume `config` of the template names, as it is now."""
        with self._mounting:  # The test itself, and a Kubelet beside it.
            self._mount()

    def _mount(self) -> None:
        (volume,) = [one for one in self.template["spec"]["volumes"] if one["name"] == "config"]
        sources = volume["projected"]["sources"] if "projected" in volume else [{"secret": {"name": volume["secret"]["secretName"]}}]
        fresh = self.config / f"..{secrets.token_hex(4)}"
        fresh.mkdir()
        for source in sources:
            named = source["secret"]
            found = self._secret(named["name"], optional=named.get("optional", False))
            paths = {item["key"]: item["path"] for item in named.get("items", [])}
            for key, value in found.items():
                if not paths or key in paths:
                    (fresh / paths.get(key, key)).write_bytes(value)
        link = self.config / "..data_tmp"
        link.symlink_to(fresh.name)
        before = (self.config / "..data").resolve() if (self.config / "..data").exists() else None
        link.rename(self.config / "..data")
        for path in fresh.iterdir():
            if not (self.config / path.name).is_symlink():
                (self.config / path.name).symlink_to(f"..data/{path.name}")
        if before is not None:
            shutil.rmtree(before)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            print(f"{self.name}:\n{(self.folder / 'log').read_text(errors='replace')[-4000:]}")  # shown with a test that failed

    def _template_of_the_deployment(self) -> Object:
        found = self.namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
        template: Object = found["spec"]["template"]
        return template

    def _secret(self, name: str, *, optional: bool = False) -> dict[str, bytes]:
        found = self.namespace.get("Secret", name)
        if found is None and optional:
            return {}
        assert found is not None, name
        return {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}


class Kubelet(threading.Thread):
    """Mounts what was written, as soon as it is."""

    def __init__(self, namespace: Namespace, pod: ServingPod) -> None:
        super().__init__(daemon=True)
        self._namespace, self._pod = namespace, pod
        self._over = threading.Event()

    def run(self) -> None:
        mounted = ""
        while not self._over.wait(0.1):
            try:
                secret = self._namespace.get("Secret", "main-config")
                version = (secret or {"metadata": {"resourceVersion": ""}})["metadata"]["resourceVersion"]
                if version != mounted:
                    self._pod.mount()
                    mounted = version
            except httpx.HTTPError:
                continue  # Without an API server that answers, what is mounted stays.

    def end(self) -> None:
        self._over.set()
        self.join()
