"""A real Kubernetes API for tests: an etcd and a kube-apiserver on free ports, with a certificate of their own, as envtest does.

No controllers run: what is tested is what the API server itself does (schemas, CEL, defaults, subresources, server-side apply).
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hack.ports import free_ports

_BINARIES = ("kube-apiserver", "etcd", "kubectl")
_START_S = 60
_OURS = "/apis/s3orchestrator.io/v1alpha1/namespaces/{namespace}/{plural}"


class AssetsMissing(Exception):
    """The control plane's binaries are not there. Not a skip: a test that does not run proves nothing."""


class KubectlFailed(Exception):
    """kubectl ended with an error; the message is what it wrote."""


class Refused(Exception):
    """The API server said no; the message is its own."""


class Server:
    """One process of the control plane."""

    def __init__(self, log: Path, command: list[str]) -> None:
        self.log, self._command = log, command
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=_environment(self.log.parent)
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Asked first, killed when it does not go."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass(frozen=True)
class Cluster:
    """A running API server. `kubectl` and `api` speak to it as cluster-admin; `api` is a hundred times faster."""

    kubeconfig: Path
    assets: Path
    server: Server
    api: httpx.Client

    def kubectl(self, *arguments: str, documents: object = None, namespace: str = "default") -> str:
        """Its standard output. `documents` (one, or a list) go to standard input as JSON. Raises KubectlFailed."""
        command = [str(self.assets / "kubectl"), f"--kubeconfig={self.kubeconfig}", f"--namespace={namespace}", *arguments]
        listed = documents if isinstance(documents, list) else [documents]
        sent = None if documents is None else json.dumps({"apiVersion": "v1", "kind": "List", "items": listed})
        done = subprocess.run(
            command, input=sent, capture_output=True, text=True, check=False, timeout=60, env=_environment(self.server.log.parent)
        )
        if done.returncode != 0:
            raise KubectlFailed(done.stderr.strip())
        return done.stdout

    def apply(self, documents: Mapping[str, Any] | list[Any], namespace: str = "default", *, subresource: str = "") -> None:
        """Server-side apply with strict validation: an undeclared field is an error. Raises Refused."""
        query = {"fieldManager": "kubectl", "force": "true", "fieldValidation": "Strict"}
        for document in documents if isinstance(documents, list) else [documents]:
            url = self._url(document, namespace) + (f"/{subresource}" if subresource else "")
            kind = {"Content-Type": "application/apply-patch+yaml"}
            _answer(self.api.patch(url, content=json.dumps(document), headers=kind, params=query))

    def get(self, *what: str, namespace: str = "default") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *what, "-o", "json", namespace=namespace))
        return found

    def create(self, plural: str, document: Mapping[str, Any], namespace: str, *, dry_run: bool = False) -> dict[str, Any]:
        """What the API server made of it, with strict validation: an undeclared field is an error. Raises Refused."""
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return _answer(self.api.post(_OURS.format(namespace=namespace, plural=plural), json=document, params=query))

    def merge(self, plural: str, name: str, change: Mapping[str, Any], namespace: str) -> dict[str, Any]:
        """A merge patch: null takes a field out. Raises Refused."""
        url, kind = f"{_OURS.format(namespace=namespace, plural=plural)}/{name}", {"Content-Type": "application/merge-patch+json"}
        return _answer(self.api.patch(url, content=json.dumps(change), headers=kind, params={"fieldValidation": "Strict"}))

    def until_ready(self) -> None:
        """Ready, and the namespace `default` made: it comes a moment later."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                for path in ("/readyz", "/api/v1/namespaces/default"):
                    self.api.get(path).raise_for_status()
                return
            except httpx.HTTPError as error:
                if self.server.process.poll() is not None or time.monotonic() > deadline:
                    tail = self.server.log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"kube-apiserver did not come up: {error}\n{tail}") from error
            time.sleep(0.1)  # the server offers no event to wait for

    def new_namespace(self) -> str:
        """One per test keeps tests apart."""
        name = f"test-{secrets.token_hex(5)}"
        self.api.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        return name

    def _url(self, document: Mapping[str, Any], namespace: str) -> str:
        """Where it stands in the API, which lists a new kind a moment after it is established."""
        version, kind, metadata = document["apiVersion"], document["kind"], document["metadata"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        deadline = time.monotonic() + _START_S
        while True:
            response = self.api.get(base)
            listed = response.json()["resources"] if response.is_success else []
            found = [one for one in listed if one["kind"] == kind and "/" not in one["name"]]
            if found:
                below = f"/namespaces/{metadata.get('namespace', namespace)}" if found[0]["namespaced"] else ""
                return f"{base}{below}/{found[0]['name']}/{metadata['name']}"
            assert time.monotonic() < deadline, f"the API server knows no {kind} of {version}"
            time.sleep(0.1)


def _answer(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if response.is_error:
        raise Refused(body.get("message", response.text))
    return body


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[Cluster]:
    """An API server that knows no kinds of ours yet."""
    with cluster() as running:
        yield running


@contextmanager
def cluster() -> Iterator[Cluster]:
    assets = find_assets(os.environ)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3o-kube-")))
        etcd_port, peer_port, api_port = free_ports(3)
        certificate, key = _certificate(folder)
        token = secrets.token_hex(16)
        kubeconfig, tokens = _admin(folder, api_port, certificate, token)
        etcd = Server(folder / "etcd.log", _etcd(assets, folder, etcd_port, peer_port))
        stack.callback(etcd.end)
        server = Server(folder / "kube-apiserver.log", _api_server(assets, etcd_port, api_port, certificate, key, tokens))
        stack.callback(server.end)
        trusted = ssl.create_default_context(cafile=str(certificate))
        base, who = f"https://127.0.0.1:{api_port}", {"Authorization": f"Bearer {token}"}
        transport = _Patient(verify=trusted)
        api = stack.enter_context(httpx.Client(base_url=base, headers=who, transport=transport, trust_env=False, timeout=30))
        running = Cluster(kubeconfig, assets, server, api)
        running.until_ready()
        yield running


class _Patient(httpx.HTTPTransport):
    """Asks again after a 429, as kubectl does: the API server says that of a new kind until its cache is filled. And asks again
    what may be asked twice where the server closes an idle connection just as it is used."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + _START_S
        while (response := self._ask(request)).status_code == 429 and time.monotonic() < deadline:
            response.close()
            time.sleep(0.2)  # the server names a second, which is long for tests
        return response

    def _ask(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except httpx.RemoteProtocolError:
            if request.method not in ("GET", "PATCH"):
                raise
            return super().handle_request(request)


def find_assets(environment: Mapping[str, str]) -> Path:
    """The folder that KUBEBUILDER_ASSETS names. Raises AssetsMissing, which says how to get one."""
    named = environment.get("KUBEBUILDER_ASSETS", "")
    missing = [binary for binary in _BINARIES if not os.access(Path(named) / binary, os.X_OK)]
    if not named or missing:
        what = f"KUBEBUILDER_ASSETS={named} lacks {', '.join(missing)}" if named else "KUBEBUILDER_ASSETS is not set"
        raise AssetsMissing(
            f"{what}: these tests run against a real kube-apiserver. `export KUBEBUILDER_ASSETS=$(hack/kube/assets)`"
            " finds its binaries, or says how to download them; `make test` does that by itself."
        )
    return Path(named)


def _etcd(assets: Path, folder: Path, port: int, peer_port: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(assets / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
        "--unsafe-no-fsync",
    ]


def _api_server(assets: Path, etcd_port: int, port: int, certificate: Path, key: Path, tokens: Path) -> list[str]:
    return [
        str(assets / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--token-auth-file={tokens}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={certificate}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        "--anonymous-auth=false",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, which is its own authority; its key also signs service account tokens."""
    certificate, key = folder / "server.crt", folder / "server.key"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-subj", "/CN=kube-apiserver", "-addext", names, "-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def _admin(folder: Path, port: int, certificate: Path, token: str) -> tuple[Path, Path]:
    tokens, kubeconfig = folder / "tokens.csv", folder / "kubeconfig"
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certificate)}
    tokens.write_text(f'{token},admin,admin,"system:masters"\n')
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "clusters": [{"name": "test", "cluster": server}],
                "users": [{"name": "admin", "user": {"token": token}}],
            }
        )
    )
    return kubeconfig, tokens


def _environment(home: Path) -> dict[str, str]:
    """kubectl keeps its cache in HOME; no proxy stands between us and 127.0.0.1. Garbage is collected seldom: that takes a fifth less
    processor time than Go's default, for half as much memory again."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"HOME": str(home), "KUBECONFIG": "", "GOGC": "300"}
