"""Pods without a kubelet: their objects are written to the API server, and behind their addresses stands what a test puts there.

`StandIn` is for tests about something else: it says that it serves what was written, and that all is well. A test about what pods say puts
a real process there, or a `StandIn` whose `says` it changes.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from tests.support.kube import Cluster
from tests.support.operation_book import OperationBook

Object = dict[str, Any]


@dataclass
class StandIn:
    """Answers the admin API of all pods of one orchestrator. `asked`: method and path of every request."""

    cluster: Cluster
    namespace: str
    orchestrator: str
    says: Callable[[Object], Object] = lambda status: status
    asked: list[str] = field(default_factory=list)
    operations: OperationBook = field(default_factory=OperationBook)
    fault: tuple[int, Any] | None = None
    """Status and body of every answer about operations and backends, while there is one; a text is no JSON."""
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                stand_in.asked.append(f"{self.command} {self.path}")
                try:
                    body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
                    status, answer = stand_in.answer(self.command, self.path, self.headers.get("authorization", ""), body)
                except httpx.HTTPStatusError:
                    status, answer = 503, {"error": "nothing is mounted"}
                written = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, *_: object) -> None:
                """Not on the standard error of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_port

    def answer(self, method: str, path: str, authorization: str, body: Object) -> tuple[int, Any]:
        token = self._secret(f"{self.orchestrator}-admin")["data"]["token"]
        if authorization != f"Bearer {base64.b64decode(token).decode()}":
            return 401, {"error": "a valid bearer token is needed"}
        if path.startswith(("/admin/api/operations", "/admin/api/backends/")):
            if self.fault is not None:
                return self.fault
            return self.operations.answer(method, path.removeprefix("/admin/api/"), body)
        if path not in ("/admin/api/status", "/admin/api/reload"):
            return 404, {"error": "no such thing"}
        return 200, self.says(self._status())

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _status(self) -> Object:
        secret = self._secret(f"{self.orchestrator}-config")
        config = json.loads(base64.b64decode(secret["data"]["config.json"]))
        nothing = {"used": 0, "orphan": 0, "reserved": 0, "objects": 0}
        well = {"reason": "", "message": ""}
        return {
            "instance": "a stand-in",
            "generation": config["generation"],
            "digest": config["digest"],
            "configRefusal": [],
            "troubles": [],
            "backends": {one["name"]: {**nothing, "quota": one["quotaBytes"], "check": well} for one in config["backends"]},
            "buckets": {one["name"]: {"objects": 0, "bytes": 0} for one in config["buckets"]},
            "queueDepths": {},
        }

    def _secret(self, name: str) -> Object:
        found: Object = self.cluster.api.get(f"/api/v1/namespaces/{self.namespace}/secrets/{name}").raise_for_status().json()
        return found


@dataclass
class Pods:
    """The pods of one namespace."""

    cluster: Cluster
    namespace: str
    stand_ins: dict[str, StandIn] = field(default_factory=dict)

    def stand_in(self, orchestrator: str) -> StandIn:
        return self.stand_ins.setdefault(orchestrator, StandIn(self.cluster, self.namespace, orchestrator))

    def another(self, orchestrator: str) -> StandIn:
        """One that answers otherwise, for pods that are put at its port."""
        return self.stand_ins.setdefault(f"{orchestrator} another", StandIn(self.cluster, self.namespace, orchestrator))

    def close(self) -> None:
        for one in self.stand_ins.values():
            one.close()

    def names(self) -> list[str]:
        return [one["metadata"]["name"] for one in self._api("GET", "").json()["items"]]

    def put(self, name: str, template: Object, port: int, *, ready: bool = True, anew: bool = False) -> None:
        """A running pod of a Deployment's template, whose process listens at `port` of this machine. It may be there already; `anew`: then
        it is replaced."""
        if anew and name in self.names():
            self.delete(name)
        containers = [
            one | {"ports": [{**port_of, "containerPort": port} for port_of in one["ports"]]} for one in template["spec"]["containers"]
        ]
        spec = {"nodeName": "nowhere", "containers": containers, "volumes": template["spec"]["volumes"], "terminationGracePeriodSeconds": 0}
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]}, "spec": spec}
        created = self._api("POST", "", document)
        if created.status_code != 409:
            created.raise_for_status()
        self.report(name, ready=ready)

    def report(self, name: str, *, ready: bool, phase: str = "Running") -> None:
        """What a kubelet would."""
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        status = {"phase": phase, "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": [condition]}
        self._api("PATCH", f"/{name}/status", {"status": status}).raise_for_status()

    def delete(self, name: str) -> None:
        self._api("DELETE", f"/{name}", {"gracePeriodSeconds": 0}).raise_for_status()

    def _api(self, method: str, path: str, body: Object | None = None) -> httpx.Response:
        content = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        url = f"/api/v1/namespaces/{self.namespace}/pods{path}"
        return self.cluster.api.request(method, url, content=None if body is None else json.dumps(body), headers=content)
