"""Operators as processes, under the shipped roles, each for one namespace of a real API server."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hack.ports import free_port
from tests.support.kube import Cluster
from tests.support.pods import Pods

from s3o_operator.kube.kinds import OPTIONAL, WATCHED

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/s3o-proxy:test"
WITHIN_S = 20.0

Object = dict[str, Any]


def install(cluster: Cluster) -> None:
    """What a user applies, less the operator's Deployment: no node would run it."""
    for folder in ("config/crd", "config/rbac"):
        command = ("apply", "--server-side", "--validate=strict", "-k", str(ROOT / folder))
        cluster.kubectl(*command, namespace="s3-orchestrator-system")
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@pytest.fixture(scope="session", name="cluster")
def installed_cluster(bare_cluster: Cluster) -> Cluster:
    """An API server that knows our kinds and roles."""
    install(bare_cluster)
    return bare_cluster


_RBAC = "rbac.authorization.k8s.io"


def authorize(cluster: Cluster, namespace: str, folder: Path) -> Path:
    """The kubeconfig of a ServiceAccount that has the shipped ClusterRole in `namespace`, and the Lease there; nothing elsewhere."""
    lease = _binding(namespace, "RoleBinding", "Role", "lease")
    cluster.apply(
        [*_account_with_lease(cluster), lease, _binding(namespace, "RoleBinding", "ClusterRole", "s3orchestrator-operator")], namespace
    )
    _until_allowed(cluster, namespace)
    return kubeconfig_of(cluster, "operator", namespace, folder)


def authorize_everywhere(cluster: Cluster, folder: Path, namespace: str = "") -> Path:
    """The kubeconfig of a ServiceAccount that has the shipped ClusterRole in all namespaces: made once, for tests with many namespaces. The
    Lease is in `namespace`, or in a new one."""
    namespace = namespace or cluster.new_namespace()
    everywhere = _binding(namespace, "ClusterRoleBinding", "ClusterRole", "s3orchestrator-operator", f"operator-of-{namespace}")
    lease = _binding(namespace, "RoleBinding", "Role", "lease")
    cluster.apply([*_account_with_lease(cluster), lease, everywhere], namespace)
    _until_allowed(cluster, namespace)
    return kubeconfig_of(cluster, "operator", namespace, folder)


def _account_with_lease(cluster: Cluster) -> list[Object]:
    path = f"/apis/{_RBAC}/v1/namespaces/s3-orchestrator-system/roles/s3orchestrator-operator-leadership"
    lease = cluster.api.get(path).raise_for_status().json()
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}},
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": {"name": "lease"}, "rules": lease["rules"]},
    ]


def _until_allowed(cluster: Cluster, namespace: str) -> None:
    """The API server's authorizer hears of a binding a moment after it is made."""
    deadline = time.monotonic() + WITHIN_S
    for group, resource in (("s3orchestrator.io", "s3orchestrators"), ("coordination.k8s.io", "leases")):
        asked = {"namespace": namespace, "verb": "create" if resource == "leases" else "list", "group": group, "resource": resource}
        review = {"spec": {"user": f"system:serviceaccount:{namespace}:operator", "resourceAttributes": asked}}
        while not cluster.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=review).json()["status"]["allowed"]:
            assert time.monotonic() < deadline, f"still not allowed: {asked}"
            time.sleep(0.02)  # an API server is asked, not waited for


def _binding(namespace: str, kind: str, role_kind: str, role: str, name: str = "") -> Object:
    ref = {"apiGroup": _RBAC, "kind": role_kind, "name": role}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    metadata = {"name": name or role_kind.lower()}
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, "roleRef": ref, "subjects": [subject]}


def kubeconfig_of(cluster: Cluster, account: str, namespace: str, folder: Path) -> Path:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    made = cluster.api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", json=asked)
    token = made.raise_for_status().json()["status"]["token"]
    content = json.loads(cluster.kubeconfig.read_text())
    content["users"] = [{"name": "admin", "user": {"token": token}}]
    path = folder / f"{namespace}-{account}.kubeconfig"
    path.write_text(json.dumps(content))
    return path


@dataclass
class Operator:
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def stop(self) -> int:
        """By SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def leader_of(operators: list[Operator]) -> Operator:
    """The first that leads, or has led."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        leading = [operator for operator in operators if " leads" in operator.said()]
        if leading:
            return leading[0]
        time.sleep(0.05)  # a log is read, not waited for
    raise AssertionError("nobody leads")


@dataclass
class Operators:
    """Starts operators for one namespace, and ends those that still run."""

    cluster: Cluster
    kubeconfig: Path
    namespace: str
    folder: Path
    everywhere: bool = False
    started: list[Operator] = field(default_factory=list)

    def start(self, **environment: str) -> Operator:
        port, log = free_port(), self.folder / f"operator-{secrets.token_hex(4)}.log"
        own = {
            "KUBECONFIG": str(self.kubeconfig),
            "S3O_PROXY_IMAGE": IMAGE,
            "S3O_NAMESPACE": self.namespace,
            "S3O_WATCH_NAMESPACE": "" if self.everywhere else self.namespace,
            "S3O_LISTEN": f"127.0.0.1:{port}",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "s3o_operator"], env=inherited | own | environment, stdout=output, stderr=subprocess.STDOUT
            )
        operator = Operator(process, log, port)
        self.started.append(operator)
        return operator

    def end(self) -> None:
        for operator in self.started:
            if operator.process.poll() is None:
                operator.kill()
            print(f"{operator.log.name}:\n{operator.said()[-6000:]}")  # shown with a test that failed


@contextmanager
def operators(
    cluster: Cluster, namespace: str, folder: Path, *, kubeconfig: Path | None = None, everywhere: bool = False
) -> Iterator[Operators]:
    made = Operators(cluster, kubeconfig or authorize(cluster, namespace, folder), namespace, folder, everywhere)
    try:
        yield made
    finally:
        made.end()


@dataclass(frozen=True)
class Namespace:
    """One namespace, as an administrator sees it, by the API itself: kubectl takes a hundred times longer."""

    cluster: Cluster
    name: str

    def path(self, kind: str, name: str = "") -> str:
        base = f"{_ALL[kind][0]}/namespaces/{self.name}/{_ALL[kind][1]}"
        return f"{base}/{name}" if name else base

    def get(self, kind: str, name: str) -> Object | None:
        response = self.cluster.api.get(self.path(kind, name))
        if response.status_code == 404:
            return None
        response.raise_for_status()
        found: Object = response.json()
        return found

    def list(self, kind: str) -> list[Object]:
        listed: Object = self.cluster.api.get(self.path(kind)).raise_for_status().json()
        return [{"kind": kind, **item} for item in listed["items"]]

    def create(self, document: Object) -> Object:
        made: Object = self.cluster.api.post(self.path(document["kind"]), json=document).raise_for_status().json()
        return made

    def patch(self, kind: str, name: str, change: Object, *, subresource: str = "") -> None:
        url = self.path(kind, name) + (f"/{subresource}" if subresource else "")
        headers = {"Content-Type": "application/merge-patch+json"}
        self.cluster.api.patch(url, content=json.dumps(change), headers=headers).raise_for_status()

    def delete(self, kind: str, name: str) -> None:
        self.cluster.api.delete(self.path(kind, name)).raise_for_status()

    def versions(self) -> dict[str, str]:
        """Name → resourceVersion of everything of every kind that the operator may write, Leases left out."""
        found = {}
        for kind in BASES:
            for item in self.list(kind):
                found[f"{kind} {item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
        return found

    @cached_property
    def pods(self) -> Pods:
        return Pods(self.cluster, self.name)

    def make_proxies_ready(self, name: str = "main") -> None:
        """No controllers run here: what a Deployment's controller would write, and pods that serve whatever is written (`StandIn`)."""
        deployment = self.eventually("Deployment", f"{name}-proxy", lambda found: found is not None)
        count = deployment["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        wanted = [f"{name}-proxy-{number}" for number in range(count)]
        for surplus in set(self.pods.names()) - set(wanted):
            self.pods.delete(surplus)
        for pod in wanted:
            self.pods.put(pod, deployment["spec"]["template"], self.pods.stand_in(name).port)
        self.patch("Deployment", f"{name}-proxy", {"status": status}, subresource="status")

    def eventually(self, kind: str, name: str, holds: Callable[[Any], bool], within_s: float = WITHIN_S) -> Object:
        """The object, when `holds` says so of it (None: it is not there)."""
        deadline = time.monotonic() + within_s
        while True:
            found = self.get(kind, name)
            if holds(found):
                return found or {}
            if time.monotonic() > deadline:
                raise AssertionError(f"{kind} {name} is still {json.dumps(found, indent=1)[:3000]}")
            time.sleep(0.05)  # an API server is asked, not waited for


BASES = {kind.name: (kind.base, kind.plural) for kind in WATCHED if kind.name != "Pod"}
"""Kind → where it stands in the API: of all that the operator may write, and of what it reads."""
_ALL = BASES | {kind.name: (kind.base, kind.plural) for kind in OPTIONAL}


def condition(resource: Object | None, kind: str) -> tuple[str, str]:
    """Status and reason; of what is not reported, two empty strings. Of another generation than the present: not reported."""
    status = (resource or {}).get("status") or {}
    if resource is None or status.get("observedGeneration") != resource["metadata"]["generation"]:
        return "", ""
    return next(((one["status"], one["reason"]) for one in status.get("conditions", []) if one["type"] == kind), ("", ""))
